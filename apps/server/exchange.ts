import { type ErrorParts, UsageError, XceptionError } from "../../src/base/errors.ts";

/** A request as the server's functions get it, whatever carried it. */
export interface ServerRequest {
  /** Parts of the path, such as the model's name. */
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: Readonly<Record<string, string | undefined>>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
  /** Fires when the client is gone. */
  readonly signal: AbortSignal;
}

/** A reply: a JSON document, text, or bytes with their content type. */
export interface ServerReply {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object | string | Uint8Array;
}

/** Answers a request, without a socket. */
export type Handler = (request: ServerRequest) => Promise<ServerReply> | ServerReply;

/** Statuses of refused requests; 499 is never sent, since the client is gone. */
export type RefusalStatus = 400 | 401 | 403 | 404 | 408 | 413 | 415 | 429 | 499 | 502 | 503 | 504;

/** A request that is refused, with its HTTP status. */
export class RefusedError extends UsageError {
  readonly status: RefusalStatus;
  /** Seconds after which the client may try again. */
  readonly retryAfterSeconds: number | undefined;

  constructor(status: RefusalStatus, parts: ErrorParts, retryAfterSeconds?: number) {
    super(parts);
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The status for an error: the client's mistakes are 4xx, ours 500. */
export function statusOf(error: unknown): number {
  if (error instanceof RefusedError) return error.status;
  const isClients = error instanceof XceptionError && ["FORMAT", "DATA", "SHAPE", "USAGE"].includes(error.code);
  if (isClients) return 400;
  const { statusCode } = error as { statusCode?: unknown };
  return typeof statusCode === "number" && statusCode >= 400 && statusCode < 500 ? statusCode : 500;
}

/** The reply for an error; the message of an unexpected one stays in the log. */
export function errorReply(error: unknown): ServerReply {
  const status = statusOf(error);
  const isKnown = status < 500 || error instanceof XceptionError;
  const retry = error instanceof RefusedError ? error.retryAfterSeconds : undefined;
  return {
    status,
    headers: { ...(retry !== undefined && { "retry-after": String(retry) }) },
    body: { error: isKnown ? (error as Error).message : "internal error" },
  };
}
