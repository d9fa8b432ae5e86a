import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import { UsageError } from "../../src/base/errors.ts";
import type { Platform, SessionOptions } from "../../src/base/platform.ts";
import type { LoadModelOptions } from "../../src/model/load-model.ts";
import { threadedEngine } from "../../src/runtime/node/threaded-engine.ts";
import { keyCheck } from "./access.ts";
import { createGrpc, type GrpcServer } from "./grpc.ts";
import { createHttp } from "./http.ts";
import { Metrics } from "./metrics.ts";
import { declareModelMetrics } from "./model-metrics.ts";
import { remoteImages } from "./remote-images.ts";
import { type LogLine, Repository } from "./repository.ts";
import { serverRoutes } from "./routes.ts";
import type { ServeSettings } from "./settings.ts";
import { loadTracing } from "./tracing.ts";

/** What a server serves, and how. */
export interface ServerOptions {
  /** Path of a model or of a folder of models, URL, or name of weights. */
  readonly source: string;
  readonly platform: Platform;
  /** Options of every model. */
  readonly model?: LoadModelOptions | undefined;
  readonly session?: SessionOptions | undefined;
  readonly settings: ServeSettings;
  readonly modelControl?: boolean | undefined;
  /** Keys of which clients must send one; default: none is needed. */
  readonly apiKeys?: readonly string[] | undefined;
  /** Origins whose pages may ask this server from a browser; default none. */
  readonly corsOrigins?: readonly string[] | undefined;
  /** Hosts that images may be downloaded from; default none. */
  readonly allowUrl?: readonly string[] | undefined;
  /** Version of the package. */
  readonly version: string;
  /** Receives the log, one JSON line for each request and event; without it nothing is logged. */
  readonly log?: ((line: string) => void) | undefined;
}

/** A server: until it is loaded, it answers but is not ready. */
export interface Server {
  /** The endpoints; `inject` asks them without a socket. */
  readonly http: FastifyInstance;
  /** Loads the models. @throws as {@link Repository.load}. */
  load(): Promise<void>;
  /** Listens; returns the URL. @param port 0: any free one. @throws {UsageError} it cannot listen there. */
  listen(where: { readonly host: string; readonly port: number }): Promise<string>;
  /** Listens for gRPC; returns the port. @throws {UsageError} its packages are not installed, or it cannot listen there. */
  listenGrpc(where: { readonly host: string; readonly port: number }): Promise<number>;
  /** Refuses new requests, answers those accepted, and stops. */
  close(): Promise<void>;
}

/** Creates a server; it neither listens nor has loaded anything yet. */
export async function createServer({
  source,
  platform,
  model = {},
  session = {},
  settings,
  modelControl = false,
  apiKeys = [],
  corsOrigins = [],
  allowUrl = [],
  version,
  log,
}: ServerOptions): Promise<Server> {
  const metrics = new Metrics();
  declareModelMetrics(metrics);
  let http: FastifyInstance | undefined;
  const logLine: LogLine = (level, message, facts = {}) => http?.log[level](facts, message);
  const context = { platform: servingPlatform(platform, settings), options: model, session, settings, metrics };
  const repository = new Repository(source, context, logLine);
  const { maxBodyBytes } = settings;
  const timeoutMs = settings.defaultTimeoutMicroseconds / 1000;
  const readRemote = remoteImages({ hosts: allowUrl, maxBytes: maxBodyBytes, timeoutMs });
  const service = { repository, metrics, version, modelControl, readRemote, codec: context.platform.images };
  const check = keyCheck(apiKeys);
  const tracing = await loadTracing(version);
  const routes = serverRoutes(service);
  const app = await createHttp({ routes, settings, metrics, check, corsOrigins, tracing, log });
  http = app;
  let grpc: GrpcServer | undefined;
  return {
    http: app,
    load: () => repository.load(),
    async listen({ host, port }) {
      await app.listen({ host, port }).catch((error: Error) => {
        throw cannotListen("option --port", { host, port }, error);
      });
      const { address, family, port: chosen } = app.server.address() as AddressInfo;
      return `http://${family === "IPv6" ? `[${address}]` : address}:${chosen}`;
    },
    async listenGrpc(where) {
      grpc = await createGrpc(service, { maxBodyBytes, check });
      return grpc.listen(where).catch((error: Error) => {
        throw cannotListen("option --grpc-port", where, error);
      });
    },
    async close() {
      await repository.close(1000 * settings.grace);
      // Replies are on their way; connections without a request are closed.
      await Promise.all([app.close(), grpc?.close()]);
    },
  };
}

function cannotListen(flag: string, { host, port }: { readonly host: string; readonly port: number }, cause: Error) {
  const received = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const isTaken = cause.message.includes("EADDRINUSE");
  const what = isTaken ? "another program listens on it" : `the server cannot listen there (${cause.message})`;
  const remedy = isTaken ? "Choose another port; 0 takes any free one." : "Check --host and the port.";
  return new UsageError({ where: flag, what, received, remedy, cause });
}

/** A platform for requests: the engine does not block this thread, and images have limits. */
function servingPlatform(platform: Platform, { pixelLimit, maxDecodeSeconds }: ServeSettings): Platform {
  const limits = { pixelLimit, secondsLimit: maxDecodeSeconds };
  return {
    ...platform,
    engine: threadedEngine(platform.engine),
    images: {
      encodePng: (image) => platform.images.encodePng(image),
      decode: (image, options) => platform.images.decode(image, { ...options, ...limits }),
    },
  };
}
