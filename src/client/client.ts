import { UsageError } from "../base/errors.ts";
import type {
  ClassifyResponse,
  EmbedResponse,
  ErrorResponse,
  ExplainResponse,
  InferRequest,
  InferResponse,
  ModelMetadataResponse,
  RepositoryIndexEntry,
  ServerMetadata,
} from "./protocol.ts";

/** An encoded image: JPEG, PNG, WebP … */
export type ClientImage = Uint8Array<ArrayBuffer> | ArrayBuffer | Blob;

/** Options of every request. */
export interface ClientRequest {
  readonly signal?: AbortSignal | undefined;
}

/** Options of a request about one image. */
export interface ClientImageRequest extends ClientRequest {
  /** Name of the model; default: the server's only one. */
  readonly model?: string | undefined;
  /** Time in which it must be answered, in microseconds; default: the server's. */
  readonly timeout?: number | undefined;
}

/** Options of {@link createClient}. */
export interface ClientOptions {
  /** Key of a server that was started with `--api-key-file`. */
  readonly apiKey?: string | undefined;
}

/** An error that a server answered with. */
export class ServerError extends UsageError {
  /** HTTP status. */
  readonly status: number;
  /** Seconds after which to try again, if the server says so. */
  readonly retryAfterSeconds: number | undefined;

  constructor(where: string, what: string, status: number, retryAfterSeconds?: number) {
    super({ where, what, received: `status ${status}` });
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Requests to a server of `xception serve`. Every one throws a {@link ServerError} for a status that is not 200. */
export interface Client {
  /** Returns the top classes of an image above a probability. */
  classify(
    image: ClientImage,
    options?: ClientImageRequest & { readonly top?: number; readonly threshold?: number },
  ): Promise<ClassifyResponse>;
  /** Returns an image's embedding. */
  embed(image: ClientImage, options?: ClientImageRequest): Promise<EmbedResponse>;
  /** Returns the evidence of a class in an image; default: the top class. */
  explain(image: ClientImage, options?: ClientImageRequest & { readonly class?: string }): Promise<ExplainResponse>;
  /** Runs an inference of the Open Inference Protocol, with data in JSON. */
  infer(
    model: string,
    request: InferRequest,
    options?: ClientRequest & { readonly version?: string },
  ): Promise<InferResponse>;
  /** Returns whether all models are loaded. */
  ready(options?: ClientRequest): Promise<boolean>;
  /** Returns the name and version of the server, and the protocol extensions that work. */
  metadata(options?: ClientRequest): Promise<ServerMetadata>;
  /** Returns the inputs and outputs of a model: names, types and shapes. */
  modelMetadata(model: string, options?: ClientRequest): Promise<ModelMetadataResponse>;
  /** Lists the models of the repository. */
  models(options?: ClientRequest): Promise<readonly RepositoryIndexEntry[]>;
}

/**
 * Creates a client of `xception serve`; it uses nothing but `fetch`.
 * @param url of the server, e.g. `http://127.0.0.1:8000`.
 * @example
 * const client = createClient("http://127.0.0.1:8000");
 * const { predictions } = await client.classify(await (await fetch("cat.jpg")).blob());
 */
export function createClient(url: string | URL, { apiKey }: ClientOptions = {}): Client {
  const base = String(url).replace(/\/+$/, "");
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };

  async function ask<T>(
    path: string,
    { signal, ...init }: Omit<RequestInit, "signal"> & ClientRequest = {},
  ): Promise<T> {
    const type = typeof init.body === "string" ? { "content-type": "application/json" } : {};
    const response = await fetch(base + path, {
      ...init,
      headers: { ...headers, ...type },
      ...(signal && { signal }),
    });
    if (response.ok) return (await response.json()) as T;
    const text = await response.text();
    const retryAfter = response.headers.get("retry-after");
    throw new ServerError(
      `server ${base}`,
      messageIn(text),
      response.status,
      retryAfter === null ? undefined : Number(retryAfter),
    );
  }

  const post = <T>(path: string, image: ClientImage, { signal, ...query }: ClientRequest & object): Promise<T> => {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)] as [string, string]));
    // A Blob would send its own content type, which may be none that the server takes.
    const body = image instanceof Blob ? image.slice(0, image.size, "application/octet-stream") : image;
    return ask(`${path}?${search}`, { method: "POST", body, signal });
  };
  const modelPath = (model: string) => `/v2/models/${encodeURIComponent(model)}`;

  return {
    classify: (image, options = {}) => post("/classify", image, options),
    embed: (image, options = {}) => post("/embed", image, options),
    explain: (image, options = {}) => post("/explain", image, options),
    infer: (model, request, { version, signal } = {}) => {
      const path = version === undefined ? modelPath(model) : `${modelPath(model)}/versions/${version}`;
      return ask(`${path}/infer`, { method: "POST", body: JSON.stringify(request), signal });
    },
    ready: async ({ signal } = {}) => {
      const response = await fetch(`${base}/v2/health/ready`, signal ? { signal } : {});
      await response.arrayBuffer();
      return response.ok;
    },
    metadata: (options) => ask("/v2", options),
    modelMetadata: (model, options) => ask(modelPath(model), options),
    models: (options) => ask("/v2/repository/index", { ...options, method: "POST", body: "{}" }),
  };
}

function messageIn(text: string): string {
  try {
    return (JSON.parse(text) as ErrorResponse).error.replace(/\.$/, "");
  } catch {
    return text.slice(0, 200) || "it sent no reason";
  }
}
