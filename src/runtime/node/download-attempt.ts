import { randomUUID } from "node:crypto";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { AbortedError, FileError } from "../../base/errors.ts";

/** Progress of a download. */
export interface DownloadProgress {
  readonly receivedBytes: number;
  /** Undefined if the server does not report it. */
  readonly totalBytes: number | undefined;
}

export interface AttemptOptions {
  /** Called as bytes arrive. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Time without data after which a connection is dropped; default 30 s. */
  readonly stallTimeoutMs?: number;
}

/** Failure of a download attempt. */
export class DownloadFailure extends Error {
  /** True if a retry may succeed. */
  readonly transient: boolean;

  constructor(message: string, { transient, cause }: { readonly transient: boolean; readonly cause?: unknown }) {
    super(message, { cause });
    this.transient = transient;
  }
}

/** HTTP statuses worth a retry. */
const transientStatuses = [408, 425, 429, 500, 502, 503, 504];

/** Errors of unreachable servers; an immediate retry would only keep the user waiting. */
const unreachable = ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH"];

/**
 * Requests the missing part of a file once and appends it. Servers without range support start over.
 * @throws {DownloadFailure} the file is incomplete; what was received is kept.
 * @throws {FileError} it cannot be written.
 * @throws {AbortedError} the signal fired.
 */
export async function receive(url: string, partial: PartialDownload, options: AttemptOptions): Promise<void> {
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
      throw new AbortedError({
        where: `download of ${url}`,
        what: "it was stopped",
        remedy: "The next download resumes it.",
      });
    }
    if (stall.signal.aborted) {
      throw new DownloadFailure(`no data arrived for ${stallTimeoutMs / 1000} seconds`, {
        transient: true,
        cause: error,
      });
    }
    throw explained(error, partial);
  } finally {
    clearTimeout(timer);
  }
}

function rangeOf({ size, validator }: PartialDownload): Record<string, string> {
  if (size === 0) return {};
  return { range: `bytes=${size}-`, ...(validator !== undefined && { "if-range": validator }) };
}

/**
 * Prepares for the bytes of the response.
 * @returns the size of the whole file in bytes, if the server reports it.
 */
async function beginning(response: Response, partial: PartialDownload): Promise<number | undefined> {
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
    throw new DownloadFailure("the server sent a different range than requested", { transient: true });
  }
  const what = `the server answered ${status}${response.statusText === "" ? "" : ` ${response.statusText}`}`;
  throw new DownloadFailure(what, { transient: transientStatuses.includes(status) });
}

/** Only a strong validator guarantees that two responses have the same bytes. */
function validatorOf(headers: Headers): string | undefined {
  const tag = headers.get("etag");
  return tag?.startsWith('"') ? tag : undefined;
}

function explained(error: unknown, { path, size }: PartialDownload): Error {
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

/** Longer validators than this do not fit into a file's name. */
const longestValidator = 120;

/**
 * A partial download, in a file next to the target. Its name contains its owner and the server's validator (ETag) of
 * the version: `NAME.OWNER.VALIDATOR.partial`.
 */
export class PartialDownload {
  readonly #target: string;
  readonly #owner: string;
  #validator: string | undefined;
  #path: string;
  #size: number;

  constructor(target: string, owner: string, found?: { validator: string | undefined; path: string; size: number }) {
    this.#target = target;
    this.#owner = owner;
    this.#validator = found?.validator;
    this.#path = found?.path ?? pathOf(target, owner, undefined);
    this.#size = found?.size ?? 0;
  }

  get path(): string {
    return this.#path;
  }

  /** Number of bytes received. */
  get size(): number {
    return this.#size;
  }

  /** The server's validator of this version of the file, if any. */
  get validator(): string | undefined {
    return this.#validator;
  }

  /** Discards the bytes received; the next ones belong to the version of the validator. */
  async restart(validator?: string): Promise<void> {
    this.#size = 0;
    await rm(this.#path, { force: true });
    this.#validator = validator !== undefined && validator.length <= longestValidator ? validator : undefined;
    this.#path = pathOf(this.#target, this.#owner, this.#validator);
  }

  /** Appends `chunks` as they arrive. */
  async append(chunks: AsyncIterable<Uint8Array>, onChunk: (size: number) => void): Promise<void> {
    const file = await open(this.#path, this.#size === 0 ? "w" : "r+");
    try {
      for await (const chunk of chunks) {
        await file.write(chunk, 0, chunk.length, this.#size);
        this.#size += chunk.length;
        onChunk(this.#size);
      }
    } finally {
      await file.close();
    }
  }
}

/**
 * Takes over the partial file of an earlier attempt if its process has ended, else starts an empty one; either way it
 * is ours alone.
 * @param isChecked whether the whole file is verified in the end: then any partial file may be resumed.
 */
export async function claimPartial(target: string, isChecked: boolean): Promise<PartialDownload> {
  const owner = `${hostname().replaceAll(/[^\w-]/g, "_")}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const prefix = `${basename(target)}.`;
  const names = (await readdir(dirname(target))).filter((name) => name.startsWith(prefix) && name.endsWith(".partial"));
  for (const name of names) {
    const [writer = "", encoded = ""] = name.slice(prefix.length, -".partial".length).split(".");
    const validator = encoded === "" ? undefined : Buffer.from(encoded, "base64url").toString();
    if (isAtWork(writer) || (validator === undefined && !isChecked)) continue;
    const path = pathOf(target, owner, validator);
    try {
      // Only one of several processes succeeds.
      await rename(join(dirname(target), name), path);
      const { size } = await stat(path);
      return new PartialDownload(target, owner, { validator, path, size });
    } catch {
      // Another one was faster.
    }
  }
  return new PartialDownload(target, owner);
}

/** Keeps the partial file for the next attempt if it can be resumed. */
export async function releasePartial(partial: PartialDownload, target: string, isChecked: boolean): Promise<void> {
  const { size, validator } = partial;
  if (size === 0 || (validator === undefined && !isChecked)) await rm(partial.path, { force: true }).catch(() => {});
  else await rename(partial.path, pathOf(target, "free", validator)).catch(() => {});
}

function pathOf(target: string, owner: string, validator: string | undefined): string {
  return `${target}.${owner}.${validator === undefined ? "" : Buffer.from(validator).toString("base64url")}.partial`;
}

/** Returns whether the process in a partial file's name is still running; unknown for other machines. */
function isAtWork(owner: string): boolean {
  if (owner === "free") return false;
  const match = /^(.+)-(\d+)-[\da-f]{8}$/.exec(owner);
  if (!match || match[1] !== hostname().replaceAll(/[^\w-]/g, "_")) return true;
  try {
    process.kill(Number(match[2]), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
