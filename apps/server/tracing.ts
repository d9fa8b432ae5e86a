import type { Span } from "@opentelemetry/api";

/** Spans around requests, for whoever has set OpenTelemetry up in this process. */
export interface Tracing {
  /**
   * Runs work in a span of a server.
   * @param headers of the request: they may name the client's span.
   */
  span<T>(name: string, request: TracedRequest, work: () => Promise<T>): Promise<T>;
}

/** A request as a span describes it. */
export interface TracedRequest {
  readonly method: string;
  readonly route: string;
  readonly headers: Readonly<Record<string, unknown>>;
  /** The status, once it is known. */
  readonly status: () => number;
}

/** Loads `@opentelemetry/api`; undefined if it, an optional package, is not installed. */
export async function loadTracing(version: string): Promise<Tracing | undefined> {
  const api = await import("@opentelemetry/api").catch(() => undefined);
  if (!api) return undefined;
  const tracer = api.trace.getTracer("xception-ts", version);
  return {
    span(name, { method, route, headers, status }, work) {
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
