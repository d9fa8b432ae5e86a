import { type Attributes, type Context, SpanKind, trace } from "@opentelemetry/api";
import { afterAll, beforeAll, expect, it } from "vitest";
import { serving } from "./serving.ts";

interface Noted {
  readonly name: string;
  readonly kind: SpanKind | undefined;
  readonly attributes: Attributes;
  isEnded: boolean;
}

const spans: Noted[] = [];

/** Notes spans, as an SDK of OpenTelemetry would export them. */
const provider = {
  getTracer: () => ({
    startActiveSpan: (
      name: string,
      options: { kind?: SpanKind; attributes?: Attributes },
      _: Context,
      work: (span: object) => unknown,
    ) => {
      const noted: Noted = { name, kind: options.kind, attributes: { ...options.attributes }, isEnded: false };
      spans.push(noted);
      return work({
        setAttribute: (key: string, value: string) => Object.assign(noted.attributes, { [key]: value }),
        setStatus: () => {},
        end: () => {
          noted.isEnded = true;
        },
      });
    },
  }),
};

beforeAll(() => {
  trace.setGlobalTracerProvider(provider as never);
});
afterAll(() => trace.disable());
const own = serving();

it("each request has a span with its route and status", async () => {
  spans.length = 0;
  await own.ask({ url: "/v2/models/small" });
  await own.ask({ method: "POST", url: "/classify" });
  const span = (method: string, route: string, status: number) => ({
    name: `${method} ${route}`,
    kind: SpanKind.SERVER,
    attributes: { "http.request.method": method, "http.route": route, "http.response.status_code": status },
    isEnded: true,
  });
  expect(spans).toEqual([span("GET", "/v2/models/:name", 200), span("POST", "/classify", 400)]);
});
