import { randomUUID } from "node:crypto";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { AbortedError, FileError } from "../../base/errors.ts";
import { isProcess } from "./guarded-process.ts";

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
  /** Largest file to download, in bytes; default 2 GB; Node reads at most 2 GiB into memory at once. */
  readonly sizeLimit?: number;
}

/** Failure of a download attempt. */
export class DownloadFailure extends Error {
  /** True if a retry may succeed. */
  readonly transient: boolean;
  /** HTTP status, if the server answered with an error. */
  readonly status: number | undefined;

  constructor(message: string, about: { readonly transient: boolean; readonly cause?: unknown; status?: number }) {
    super(message, { cause: about.cause });
    this.transient = about.transient;
    this.status = about.status;
  }
}

/** HTTP statuses worth a retry. */
const transientStatuses = [408, 425, 429, 500, 502, 503, 504];

/** Errors of unreachable servers; an immediate retry would only keep the user waiting. */
const unreachable = ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH"];

/** A file on a server. */
export interface RemoteFile {
  readonly url: string;
  /** Headers of its requests. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Name in messages; default: the URL. */
  readonly name?: string;
}

/**
 * Requests the missing part of a file once and appends it. Servers without range support start over.
 * @throws {DownloadFailure} the file is incomplete; the bytes received are kept.
 * @throws {FileError} it cannot be written.
 * @throws {AbortedError} the signal fired.
 */
export async function receive(file: RemoteFile, partial: PartialDownload, options: AttemptOptions): Promise<void> {
  const { onProgress, sizeLimit = 2e9 } = options;
  await request(file, rangeOf(partial), options, async (response, watch) => {
    const total = await beginning(response, partial);
    if (total === partial.size) return;
    const most = Math.min(total ?? sizeLimit, sizeLimit);
    const assertSmall = (bytes: number) => {
      if (bytes <= most) return;
      if (bytes <= sizeLimit)
        throw new DownloadFailure("the server sent more bytes than announced", { transient: true });
      const limit = `the limit of ${sizeLimit / 1e6} MB`;
      throw new DownloadFailure(`the file is larger than ${limit}`, { transient: false });
    };
    try {
      assertSmall(total ?? 0);
      await partial.append(response.body as unknown as AsyncIterable<Uint8Array>, (receivedBytes) => {
        assertSmall(receivedBytes);
        watch(receivedBytes);
        onProgress?.({ receivedBytes, totalBytes: total });
      });
    } catch (error) {
      if (error instanceof DownloadFailure) await partial.restart();
      if (!(error instanceof Error && "syscall" in error)) throw error;
      const what = `it cannot be written (${error.message})`;
      throw new FileError({ where: `file "${partial.path}"`, what, cause: error });
    }
    if (total === undefined || partial.size === total) return;
    throw new DownloadFailure(`the connection ended after ${partial.size} of ${total} bytes`, { transient: true });
  });
}

/**
 * Sends a request and handles its response; fails if no data arrives for a while.
 * @param handle reads the response; calls `watch` with the number of bytes whenever data arrives.
 * @throws {DownloadFailure} the server cannot be reached, or the connection broke.
 * @throws {AbortedError} the signal fired.
 */
export async function request<T>(
  { url, headers, name = url }: RemoteFile,
  init: Pick<RequestInit, "method" | "redirect"> & { readonly headers?: Readonly<Record<string, string>> },
  options: AttemptOptions,
  handle: (response: Response, watch: (receivedBytes: number) => void) => Promise<T>,
): Promise<T> {
  const { signal, stallTimeoutMs = 30_000 } = options;
  const stall = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let received = 0;
  const watch = (receivedBytes: number): void => {
    received = receivedBytes;
    clearTimeout(timer);
    timer = setTimeout(() => stall.abort(), stallTimeoutMs);
  };
  watch(0);
  try {
    const response = await fetch(url, {
      ...init,
      headers: { "accept-encoding": "identity", ...headers, ...init.headers },
      signal: signal ? AbortSignal.any([signal, stall.signal]) : stall.signal,
    });
    return await handle(response, watch);
  } catch (error) {
    if (error instanceof DownloadFailure || error instanceof FileError) throw error;
    if (signal?.aborted) {
      const remedy = "The next download resumes it.";
      throw new AbortedError({ where: `download of ${name}`, what: "it was stopped", remedy });
    }
    if (stall.signal.aborted) {
      const what = `no data arrived for ${stallTimeoutMs / 1000} seconds`;
      throw new DownloadFailure(what, { transient: true, cause: error });
    }
    throw explained(error, received);
  } finally {
    clearTimeout(timer);
  }
}

function rangeOf({ size, validator }: PartialDownload): { readonly headers?: Readonly<Record<string, string>> } {
  if (size === 0) return {};
  return { headers: { range: `bytes=${size}-`, ...(validator !== undefined && { "if-range": validator }) } };
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
  throw statusFailure(response);
}

/** The failure that an HTTP status reports. */
export function statusFailure({ status, statusText, headers }: Response): DownloadFailure {
  const reason = headers.get("x-error-code");
  const what = `the server answered ${status} ${statusText}`.trimEnd() + (reason === null ? "" : ` (${reason})`);
  return new DownloadFailure(what, { transient: transientStatuses.includes(status), status });
}

/** Only a strong validator guarantees that two responses have the same bytes. */
function validatorOf(headers: Headers): string | undefined {
  const tag = headers.get("etag");
  return tag?.startsWith('"') ? tag : undefined;
}

function explained(error: unknown, received: number): DownloadFailure {
  const cause = (error instanceof Error && error.cause) || error;
  const { code, message } = cause as NodeJS.ErrnoException;
  const reason = message || code;
  if (unreachable.includes(code ?? "")) {
    return new DownloadFailure(`the server cannot be reached (${reason})`, { transient: false, cause });
  }
  const place = received > 0 ? ` after ${received} bytes` : "";
  return new DownloadFailure(`the connection broke${place} (${reason})`, { transient: true, cause });
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
  return isProcess(Number(match[2]));
}
