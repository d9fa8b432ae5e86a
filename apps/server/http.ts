import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import helmet, { type FastifyHelmetOptions } from "@fastify/helmet";
import multipart from "@fastify/multipart";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from "fastify";
import { AbortedError, FormatError } from "../../src/base/errors.ts";
import { guardAccess, type KeyCheck } from "./access.ts";
import { errorReply, RefusedError, type ServerReply, type ServerRequest } from "./exchange.ts";
import type { Metrics } from "./metrics.ts";
import type { Route } from "./openapi.ts";
import type { ServeSettings } from "./settings.ts";
import type { Tracing } from "./tracing.ts";

/** Options of {@link createHttp}. */
export interface HttpOptions {
  readonly routes: readonly Route[];
  readonly settings: ServeSettings;
  readonly metrics: Metrics;
  readonly check: KeyCheck;
  /** Origins whose pages may ask this server from a browser. */
  readonly corsOrigins: readonly string[];
  /** Spans around requests; default: none. */
  readonly tracing?: Tracing | undefined;
  /** Receives the log, one JSON line for each request and event; without it nothing is logged. */
  readonly log?: ((line: string) => void) | undefined;
}

const durationMetric = "http_server_request_duration_seconds";

declare module "fastify" {
  interface FastifyRequest {
    /** Message of the error that it was answered with. */
    failure?: string;
  }
}

/** The endpoints over HTTP; it does not listen yet. */
export async function createHttp({
  routes,
  settings,
  metrics,
  check,
  corsOrigins,
  tracing,
  log,
}: HttpOptions): Promise<FastifyInstance> {
  const { maxBodyBytes, maxHeaderBytes, requestSeconds } = settings;
  const limitMs = 1000 * requestSeconds;
  const app = fastify({
    bodyLimit: maxBodyBytes,
    requestTimeout: limitMs,
    keepAliveTimeout: 65_000,
    http: {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: limitMs,
      connectionsCheckingInterval: 1000,
      keepAlive: true,
    },
    // Requests that arrive during shutdown are answered, by our own error.
    return503OnClosing: false,
    logger: log ? { level: "info", stream: { write: log } } : false,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers: { "x-request-id": given } }) => {
      return typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
    },
    clientErrorHandler: refuseConnection,
    // A model's name is a file's: at most 255 bytes, each as %XX.
    routerOptions: { maxParamLength: 3 * 255 },
    // Paths that cannot be decoded, and longer names.
    frameworkErrors: (_, request, reply) => void send(request, reply, fail(request, unknownPath(request))),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_, body, done) => done(null, body));
  await app.register(multipart, { limits: { files: 1, fileSize: maxBodyBytes, fields: 10, fieldSize: 10_000 } });
  app.setErrorHandler((error, request, reply) => send(request, reply, fail(request, error)));
  app.setNotFoundHandler((request, reply) => send(request, reply, fail(request, unknownPath(request))));
  await app.register(helmet, { global: false });
  const open = new Set(routes.filter(({ isOpen }) => isOpen).map(({ path }) => path));
  guardAccess(app, { check, corsOrigins }, (path) => open.has(path));
  metrics.declare(durationMetric, "histogram", "Duration of HTTP requests");
  app.addHook("onResponse", async (request, reply) => {
    const { method, routeOptions, failure } = request;
    const status = failure === gone ? 499 : reply.statusCode;
    const route = routeOptions.url ?? "unknown";
    metrics.observe(
      durationMetric,
      { http_request_method: method, http_route: route, http_response_status_code: String(status) },
      reply.elapsedTime / 1000,
    );
    // Without the query, which may hold secrets.
    const path = request.url.split("?")[0]!.slice(0, 500);
    const facts = { method, path, status, ms: Number(reply.elapsedTime.toFixed(1)) };
    request.log.info({ ...facts, ...(failure !== undefined && { error: failure }) }, "request");
  });
  for (const { method, path, isPage, handle } of routes) {
    app.route({
      method,
      url: path,
      ...(isPage && { helmet: pageHeaders }),
      handler: async (request, reply) => {
        const client = new AbortController();
        reply.raw.once("close", () => {
          if (!reply.raw.writableEnded) client.abort();
        });
        let answer: ServerReply = { status: 500, body: "" };
        const work = async () => {
          try {
            answer = await handle(await readRequest(request, client.signal, maxBodyBytes));
          } catch (error) {
            answer = fail(request, error);
          }
        };
        const { headers } = request;
        const traced = { method, route: path, headers, status: () => answer.status ?? 200 };
        await (tracing ? tracing.span(`${method} ${path}`, traced, work) : work());
        return send(request, reply, answer);
      },
    });
  }
  return app;
}

/** The page runs WebAssembly with threads, which needs its isolation from other origins. */
const pageHeaders: FastifyHelmetOptions = {
  crossOriginEmbedderPolicy: true,
  // Over plain HTTP, which is usual on this machine alone.
  strictTransportSecurity: false,
  contentSecurityPolicy: {
    directives: {
      scriptSrc: ["'self'", "'wasm-unsafe-eval'"],
      workerSrc: ["'self'", "blob:"],
      styleSrc: ["'self'", "'unsafe-inline'"],
      imgSrc: ["'self'", "blob:", "data:"],
      connectSrc: ["'self'", "blob:", "https:"],
      upgradeInsecureRequests: null,
    },
  },
};

const gone = "the client closed the connection";

async function readRequest(request: FastifyRequest, signal: AbortSignal, maxBytes: number): Promise<ServerRequest> {
  const { params, query } = request;
  const headers = request.headers as ServerRequest["headers"];
  const encoding = headers["content-encoding"]?.toLowerCase() ?? "identity";
  const isForm = request.isMultipart();
  const decompress = isForm ? undefined : decompressors.get(encoding);
  if (encoding !== "identity" && !decompress) {
    throw new RefusedError(415, {
      where: "header Content-Encoding",
      what: "it is not supported",
      received: encoding.slice(0, 40),
      expected: isForm ? "a form that is not compressed" : [...decompressors.keys()].join(" or "),
    });
  }
  const about = { params: params as ServerRequest["params"], query: flat(query as object), signal };
  if (!isForm) {
    const body = request.body instanceof Uint8Array ? request.body : new Uint8Array();
    return { ...about, headers, body: decompress ? await decompressed(body, decompress, maxBytes) : body };
  }
  try {
    const file = await request.file();
    if (file) return { ...about, headers: { ...headers, "content-type": file.mimetype }, body: await file.toBuffer() };
  } catch (error) {
    // Those of the parser of forms have no status.
    if ((error as { statusCode?: number }).statusCode !== undefined) throw error;
    throw new RefusedError(400, { where: "request", what: `the form is damaged (${(error as Error).message})` });
  }
  throw new RefusedError(400, { where: "request", what: "the form has no file", expected: "one file, an image" });
}

type Decompress = (body: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Uint8Array>;

/** Compressions of bodies by their name in HTTP; `deflate` is zlib's format there. */
const decompressors: ReadonlyMap<string, Decompress> = new Map([
  ["gzip", promisify(gunzip)],
  ["deflate", promisify(inflate)],
]);

/** A small body must not become a huge one: the limit is that of bodies that are not compressed. */
async function decompressed(body: Uint8Array, decompress: Decompress, maxBytes: number): Promise<Uint8Array> {
  try {
    return await decompress(body, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE") {
      const what = "the decompressed body is too large";
      throw new RefusedError(413, { where: "request", what, expected: `at most ${maxBytes} bytes` });
    }
    throw new FormatError({ where: "request", what: `the compressed body is damaged (${(error as Error).message})` });
  }
}

/** Of several values of a name the last one. */
function flat(query: object): ServerRequest["query"] {
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [name, Array.isArray(value) ? value.at(-1) : value]),
  );
}

function send(request: FastifyRequest, reply: FastifyReply, { status = 200, headers = {}, body }: ServerReply) {
  reply.code(status).headers({ "x-request-id": request.id, ...headers });
  if (body instanceof Uint8Array) {
    if (!reply.hasHeader("content-type")) reply.type("application/octet-stream");
    return reply.send(Buffer.from(body.buffer, body.byteOffset, body.length));
  }
  if (typeof body === "string") return reply.send(body);
  return reply.type("application/json").send(JSON.stringify(body));
}

function fail(request: FastifyRequest, error: unknown): ServerReply {
  const answer = errorReply(error);
  request.failure = error instanceof AbortedError ? gone : (error as Error).message;
  if (answer.status === 500 && !(error instanceof AbortedError)) request.log.error(error, "unexpected error");
  return answer;
}

function unknownPath({ method, url }: FastifyRequest): RefusedError {
  return new RefusedError(404, {
    where: "request",
    what: "there is no such endpoint",
    received: `${method} ${url.split("?")[0]!.slice(0, 100)}`,
    expected: "one of those in /openapi.json",
  });
}

const connectionErrors: Readonly<Record<string, readonly [status: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the headers are too large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request did not arrive in time"],
};

/** Answers what is not HTTP, or took too long to arrive. */
function refuseConnection(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const [status, message] = connectionErrors[error.code ?? ""] ?? ["400 Bad Request", "this is not an HTTP request"];
  const body = JSON.stringify({ error: `request: ${message}.` });
  const headers = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close`;
  socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`, () => socket.destroy());
}
