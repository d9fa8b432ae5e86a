import { FormatError } from "../../src/base/errors.ts";
import { parseJson } from "../../src/base/json.ts";
import type { ImageCodec } from "../../src/base/platform.ts";
import type {
  ModelReadyStatus,
  ModelStatisticsResponse,
  ServerMetadata,
  ServerReadyStatus,
} from "../../src/client/protocol.ts";
import { classify, classifyQuery, requestedImage } from "./classify.ts";
import { RefusedError, type ServerReply, type ServerRequest } from "./exchange.ts";
import { modelConfig, modelMetadata } from "./infer.ts";
import { answerInfer } from "./infer-document.ts";
import { embedImage, embedQuery, explainImage, explainQuery } from "./insight.ts";
import type { Metrics } from "./metrics.ts";
import { openApi, type Route } from "./openapi.ts";
import { pageRoutes } from "./page.ts";
import type { ReadRemoteImage } from "./remote-images.ts";
import type { Repository } from "./repository.ts";
import type { ServedModel } from "./served-model.ts";

/** Everything that the endpoints answer from. */
export interface Service {
  readonly repository: Repository;
  readonly metrics: Metrics;
  /** Version of the package. */
  readonly version: string;
  /** Lets clients load and unload models. */
  readonly modelControl: boolean;
  readonly codec: ImageCodec;
  readonly readRemote: ReadRemoteImage;
}

const extensions = [
  "binary_tensor_data",
  "classification",
  "model_configuration",
  "schedule_policy",
  "statistics",
] as const;

/** The answer of `GET /v2`. */
export function serverMetadata({ version, modelControl }: Service): ServerMetadata {
  const control = modelControl ? ["model_repository"] : [];
  return { name: "xception-ts", version, extensions: [...extensions, ...control] };
}

const images = [
  { type: "image/*" },
  { type: "application/octet-stream" },
  { type: "multipart/form-data" },
  "ImageUrl",
] as const;

/** All endpoints. */
export function serverRoutes(service: Service): readonly Route[] {
  const routes: readonly Route[] = [...imageRoutes(service), ...protocolRoutes(service), ...repositoryRoutes(service)];
  const description = openApi([...routes, ...ownRoutes(service, {})], service.version);
  return [...routes, ...ownRoutes(service, description), ...pageRoutes()];
}

function imageRoutes({ repository, readRemote, codec }: Service): readonly Route[] {
  const onImage = (
    about: Pick<Route, "path" | "summary" | "query" | "answer">,
    work: (model: ServedModel, image: Uint8Array, request: ServerRequest) => Promise<ServerReply>,
  ): Route => ({
    ...about,
    method: "POST",
    body: images,
    handle: async (request) => {
      // First: once a model is chosen, it must get the request at once.
      const image = await requestedImage(request, readRemote);
      return work(repository.model(request.query.model), image, request);
    },
  });
  const evidence = "Evidence of a class in an image, as JSON or drawn over it";
  const drawn = { type: "image/png" };
  return [
    onImage(
      { path: "/classify", summary: "Top classes of an image", query: classifyQuery, answer: ["ClassifyResponse"] },
      classify,
    ),
    onImage(
      { path: "/embed", summary: "Embedding of an image", query: embedQuery, answer: ["EmbedResponse"] },
      embedImage,
    ),
    onImage(
      { path: "/explain", summary: evidence, query: explainQuery, answer: ["ExplainResponse", drawn] },
      (model, image, request) => explainImage(model, image, request, codec),
    ),
  ];
}

/** The Open Inference Protocol. */
function protocolRoutes(service: Service): readonly Route[] {
  const { repository } = service;
  const modelOf = ({ params: { name, version } }: ServerRequest) => repository.model(name, version);
  return [
    {
      method: "GET",
      path: "/v2",
      summary: "Name, version and extensions of the server",
      answer: ["ServerMetadata"],
      handle: () => ({ body: serverMetadata(service) }),
    },
    {
      method: "GET",
      path: "/v2/health/live",
      summary: "The server answers",
      answer: ["ServerLiveStatus"],
      isOpen: true,
      handle: () => ({ body: { live: true } }),
    },
    {
      method: "GET",
      path: "/v2/health/ready",
      summary: "All models are loaded",
      answer: ["ServerReadyStatus"],
      alsoWith: [503],
      isOpen: true,
      handle: () => readiness({ ready: repository.isReady }),
    },
    {
      method: "GET",
      path: "/v2/models/stats",
      summary: "Counts and durations of all loaded models",
      answer: ["ModelStatisticsResponse"],
      handle: () => ({ body: modelStatistics(service) }),
    },
    ...["/v2/models/:name", "/v2/models/:name/versions/:version"].flatMap((path): readonly Route[] => [
      {
        method: "GET",
        path,
        summary: "Inputs and outputs of a model",
        answer: ["ModelMetadataResponse"],
        handle: (request) => ({ body: modelMetadata(modelOf(request)) }),
      },
      {
        method: "GET",
        path: `${path}/ready`,
        summary: "The model is loaded",
        answer: ["ModelReadyStatus"],
        alsoWith: [503],
        handle: (request) => modelReadiness(request, modelOf),
      },
      {
        method: "GET",
        path: `${path}/config`,
        summary: "Configuration of a model: its batching",
        answer: ["ModelConfig"],
        handle: (request) => ({ body: modelConfig(modelOf(request)) }),
      },
      {
        method: "GET",
        path: `${path}/stats`,
        summary: "Counts and durations of a model since it was loaded",
        answer: ["ModelStatisticsResponse"],
        handle: ({ params: { name, version } }) => ({ body: modelStatistics(service, name, version) }),
      },
      {
        method: "POST",
        path: `${path}/infer`,
        summary: "Inference on tensors, or on encoded images",
        body: ["InferRequest", { type: "application/octet-stream" }],
        answer: ["InferResponse", { type: "application/octet-stream" }],
        handle: (request) => answerInfer(modelOf(request), request),
      },
    ]),
  ];
}

function modelReadiness(request: ServerRequest, modelOf: (request: ServerRequest) => unknown): ServerReply {
  const name = request.params.name!;
  try {
    modelOf(request);
    return readiness({ name, ready: true });
  } catch (error) {
    if (error instanceof RefusedError && error.status === 503) return readiness({ name, ready: false });
    throw error;
  }
}

function readiness(body: ServerReadyStatus | ModelReadyStatus): ServerReply {
  return { status: body.ready ? 200 : 503, body };
}

/** The answer of `GET /v2/models/stats`, or of one model. */
export function modelStatistics({ repository }: Service, name?: string, version?: string): ModelStatisticsResponse {
  const models = name === undefined ? repository.served : [repository.model(name, version)];
  return { model_stats: models.map((model) => model.statistics()) };
}

/**
 * Loads or unloads a model.
 * @param parameters of the request; those of Triton's clients may hold a configuration and files.
 * @throws {RefusedError} clients may not do so (403), or there is no such model (404).
 * @throws {FormatError} the parameters would replace the model's configuration or files.
 * @throws as {@link Repository.loadModel}.
 */
export async function changeRepository(
  { repository, modelControl }: Service,
  change: "load" | "unload",
  name: string,
  parameters: unknown,
): Promise<void> {
  if (!modelControl) {
    throw new RefusedError(403, {
      where: "repository",
      what: "this server does not let clients load and unload models",
      remedy: "Start it with --model-control.",
    });
  }
  const received = Object.keys(parameters ?? {}).filter((key) => key === "config" || key.startsWith("file:"));
  if (received.length > 0) {
    throw new FormatError({
      where: "repository",
      what: "a request cannot replace a model's configuration or files",
      received,
      remedy: "Change the files in the repository.",
    });
  }
  await (change === "load" ? repository.loadModel(name) : repository.unloadModel(name));
}

/** Triton's model repository extension. */
function repositoryRoutes(service: Service): readonly Route[] {
  const { repository } = service;
  const changing = (change: "load" | "unload", summary: string): Route => ({
    method: "POST",
    path: `/v2/repository/models/:name/${change}`,
    summary,
    body: [{ type: "application/json" }],
    answer: [{ type: "text/plain" }],
    handle: async (request) => {
      await changeRepository(service, change, request.params.name!, optionsIn(request).parameters);
      return { body: "" };
    },
  });
  return [
    {
      method: "POST",
      path: "/v2/repository/index",
      summary: "Models of the repository, loaded or not",
      body: [{ type: "application/json" }],
      answer: [["RepositoryIndexEntry"]],
      handle: (request) => ({ body: repository.index(optionsIn(request).ready === true) }),
    },
    changing("load", "Loads a model, or loads it again"),
    changing("unload", "Takes a model out of use"),
  ];
}

/** The document of a request that may have none. */
function optionsIn({ body }: ServerRequest): Readonly<Record<string, unknown>> {
  const document = body.length === 0 ? {} : parseJson(new TextDecoder().decode(body), "request");
  return (document ?? {}) as Readonly<Record<string, unknown>>;
}

/** The server's descriptions of itself. */
function ownRoutes({ metrics }: Service, description: object): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/metrics",
      summary: "Metrics in Prometheus's text format",
      answer: [{ type: "text/plain" }],
      handle: () => ({ headers: { "content-type": "text/plain; version=0.0.4" }, body: metrics.text() }),
    },
    {
      method: "GET",
      path: "/openapi.json",
      summary: "This description",
      answer: [{ type: "application/json" }],
      isOpen: true,
      handle: () => ({ body: description }),
    },
  ];
}
