import { AbortedError, FileError } from "../errors.ts";
import type { Partial } from "./node-download-partial.ts";

export interface DownloadProgress {
  readonly receivedBytes: number;
  /** Undefined where the server does not say. */
  readonly totalBytes: number | undefined;
}

export interface AttemptOptions {
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A connection that brings nothing for so long is given up; default 30 s. */
  readonly stallTimeoutMs?: number;
}

/** Why an attempt did not bring the whole file. */
export class DownloadFailure extends Error {
  /** Whether it may go better the next time. */
  readonly transient: boolean;

  constructor(message: string, { transient, cause }: { readonly transient: boolean; readonly cause?: unknown }) {
    super(message, { cause });
    this.transient = transient;
  }
}

/** Answers after which it is worth asking again. */
const transientStatuses = [408, 425, 429, 500, 502, 503, 504];

/** There is no way to the server; asking again at once would only keep the user waiting. */
const unreachable = ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH"];

/**
 * Asks once for what is missing of a file and adds what comes. A server that does not send parts begins anew.
 * @throws {DownloadFailure} not all of it came; what did is kept.
 * @throws {FileError} it cannot be written.
 * @throws {AbortedError} the signal fired.
 */
export async function receive(url: string, partial: Partial, options: AttemptOptions): Promise<void> {
  const { onProgress, signal, stallTimeoutMs = 30_000 } = options;
  const stall = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const watch = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => stall.abort(), stallTimeoutMs);
  };
  watch();
  try {
    const response = await fetch(url, {
      headers: { "accept-encoding": "identity", ...rangeOf(partial) },
      signal: signal ? AbortSignal.any([signal, stall.signal]) : stall.signal,
    });
    const total = await beginning(response, partial);
    if (total === partial.size) return;
    await partial.append(response.body as unknown as AsyncIterable<Uint8Array>, (receivedBytes) => {
      watch();
      onProgress?.({ receivedBytes, totalBytes: total });
    });
    if (total === undefined || partial.size === total) return;
    const what = `the connection ended after ${partial.size} of ${total} bytes`;
    if (partial.size > total) await partial.restart();
    throw new DownloadFailure(what, { transient: true });
  } catch (error) {
    if (error instanceof DownloadFailure) throw error;
    if (signal?.aborted) {
      throw new AbortedError({ where: `download of ${url}`, what: "it was stopped", remedy: "The next one goes on." });
    }
    if (stall.signal.aborted) {
      throw new DownloadFailure(`nothing came for ${stallTimeoutMs / 1000} seconds`, { transient: true, cause: error });
    }
    throw explained(error, partial);
  } finally {
    clearTimeout(timer);
  }
}

function rangeOf({ size, validator }: Partial): Record<string, string> {
  if (size === 0) return {};
  return { range: `bytes=${size}-`, ...(validator !== undefined && { "if-range": validator }) };
}

/**
 * Prepares for the bytes that the answer brings.
 * @returns how many the whole file has, if the server says so.
 */
async function beginning(response: Response, partial: Partial): Promise<number | undefined> {
  const { status, headers } = response;
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(headers.get("content-range") ?? "");
  const whole = range ? Number(range[2]) : undefined;
  if (status === 206 && range && Number(range[1]) === partial.size) return whole;
  if (status === 416 && whole !== undefined && whole === partial.size) {
    await response.body?.cancel();
    return whole;
  }
  if (status === 200) {
    await partial.restart(validatorOf(headers));
    const length = headers.get("content-length");
    if (length === "0") throw new DownloadFailure("the answer is empty", { transient: true });
    return length === null || headers.has("content-encoding") ? undefined : Number(length);
  }
  await response.body?.cancel();
  if (status === 206 || status === 416) {
    await partial.restart();
    throw new DownloadFailure("the server sent another part than the one asked for", { transient: true });
  }
  const what = `the server answered ${status}${response.statusText === "" ? "" : ` ${response.statusText}`}`;
  throw new DownloadFailure(what, { transient: transientStatuses.includes(status) });
}

/** Only a strong validator says that two answers have the same bytes. */
function validatorOf(headers: Headers): string | undefined {
  const tag = headers.get("etag");
  return tag?.startsWith('"') ? tag : undefined;
}

function explained(error: unknown, { path, size }: Partial): Error {
  const cause = (error instanceof Error && error.cause) || error;
  const { code, message } = cause as NodeJS.ErrnoException;
  if (error instanceof Error && "syscall" in error) {
    return new FileError({ where: `file "${path}"`, what: `it cannot be written (${error.message})`, cause });
  }
  const reason = message || code;
  if (unreachable.includes(code ?? "")) {
    return new DownloadFailure(`the server cannot be reached (${reason})`, { transient: false, cause });
  }
  return new DownloadFailure(`the connection broke${size > 0 ? ` after ${size} bytes` : ""} (${reason})`, {
    transient: true,
    cause,
  });
}
