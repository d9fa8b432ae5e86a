import type { Span } from "@opentelemetry/api";

/** A request as a span describes it; its headers may name the client's span. */
interface TracedRequest {
  readonly method: string;
  readonly route: string;
  readonly headers: Readonly<Record<string, unknown>>;
  /** The status, once it is known. */
  readonly status: () => number;
}

/** Spans around requests, for whoever has set OpenTelemetry up in this process. */
export type Tracing = NonNullable<Awaited<ReturnType<typeof loadTracing>>>;

/** Loads `@opentelemetry/api`; undefined if it, an optional package, is not installed. */
export async function loadTracing(version: string) {
  const api = await import("@opentelemetry/api").catch(() => undefined);
  if (!api) return undefined;
  const tracer = api.trace.getTracer("xception-ts", version);
  return {
    /** Runs work in a span of a server. */
    span<T>(name: string, { method, route, headers, status }: TracedRequest, work: () => Promise<T>): Promise<T> {
      // The attributes of OpenTelemetry's conventions for HTTP servers.
      const attributes = { "http.request.method": method, "http.route": route };
      const parent = api.propagation.extract(api.context.active(), headers);
      return tracer.startActiveSpan(name, { kind: api.SpanKind.SERVER, attributes }, parent, async (span: Span) => {
        try {
          return await work();
        } finally {
          span.setAttribute("http.response.status_code", status());
          if (status() >= 500) span.setStatus({ code: api.SpanStatusCode.ERROR });
          span.end();
        }
      });
    },
  };
}
