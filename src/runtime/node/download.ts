import { createHash } from "node:crypto";
import { open, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { FileError } from "../../base/errors.ts";
import { type Checksum, checksumNames, checksumOf } from "./checksum.ts";
import {
  type AttemptOptions,
  claimPartial,
  DownloadFailure,
  type PartialDownload,
  type RemoteFile,
  receive,
  releasePartial,
} from "./download-attempt.ts";
import { makeFolders } from "./files.ts";

/** Options of downloads. */
export interface DownloadOptions extends AttemptOptions {
  /** Cache folder; created if missing. */
  readonly cacheFolder: string;
  /** Expected checksum of the file; default: not verified. */
  readonly checksum?: Checksum | undefined;
  /** Uses only the cache. */
  readonly offline?: boolean;
  /** Downloads the file even if it is cached. */
  readonly refresh?: boolean;
  /** Consecutive attempts without progress before giving up; default 5. */
  readonly attempts?: number;
  /** Delay before the second attempt; doubles with each one. Default 500 ms. */
  readonly backoffMs?: number;
}

/** Longest delay between two attempts. */
const longestBackoffMs = 15_000;

/** An attempt counts as progress if it adds this many bytes to the most received so far. */
const leastProgress = 2 ** 16;

/**
 * Downloads a file once; later calls find it in the cache. Interrupted downloads are resumed, and the file appears
 * under its name only when it is complete, its checksum is correct, and it is not a web page. Concurrent downloads of the
 * same file by several processes are safe.
 * @param file its URL, `http:` or `https:`.
 * @param target path in the cache.
 * @returns the path of the file.
 * @throws {FileError} the download failed; the message gives the path for adding the file by hand.
 * @throws {AbortedError} the signal fired.
 */
export async function download(
  file: RemoteFile,
  options: DownloadOptions,
  target = cachePath(file.url, options),
): Promise<string> {
  const { checksum, offline = false, refresh = false } = options;
  const unavailable = (what: string, { isMissing = false, cause }: { isMissing?: boolean; cause?: unknown } = {}) => {
    const check = checksum === undefined ? "" : ` Its ${checksumNames[checksum.algorithm]} is ${checksum.digest}.`;
    const remedy = `To work without a download, get the file elsewhere and put it at ${target}.${check}`;
    return new FileError({ where: `download of ${file.name ?? file.url}`, what, remedy, cause }, { isMissing });
  };
  if (!refresh || offline) {
    const problem = await cacheProblem(target, checksum);
    if (problem === undefined) return target;
    if (offline) throw unavailable(problem, { isMissing: true });
  }
  await makeFolders(dirname(target));
  const partial = await claimPartial(target, checksum !== undefined);
  try {
    await fetchAll(file, partial, options);
    // On the disk before it has its name.
    const written = await open(partial.path, "r+");
    await written.sync().finally(() => written.close());
    await rename(partial.path, target);
  } catch (error) {
    await releasePartial(partial, target, checksum !== undefined);
    if (!(error instanceof DownloadFailure)) throw error;
    throw unavailable(error.message, { isMissing: error.status === 404, cause: error.cause });
  }
  return target;
}

/** The reason that a cached file cannot be used, if there is one. */
async function cacheProblem(path: string, checksum: Checksum | undefined): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return "it is not in the cache, and downloads are switched off";
  if (checksum === undefined) return contentProblem(path);
  if ((await checksumOf(path, checksum.algorithm)) === checksum.digest) return undefined;
  return `the file in the cache has another ${checksumNames[checksum.algorithm]} than ${checksum.digest}`;
}

/** Recognizes pages and pointers that servers send in place of a file, with the status of success. */
async function contentProblem(path: string): Promise<string | undefined> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, 0);
    const text = buffer
      .toString("utf8", 0, bytesRead)
      .replace(/^\uFEFF/, "")
      .trimStart();
    if (text.startsWith("<")) return "the server sent a web page in place of the file";
    if (text.startsWith("version https://git-lfs")) return "the server sent a Git LFS pointer in place of the file";
    return undefined;
  } finally {
    await file.close();
  }
}

/** Cache path of a file: its own name if it has a checksum, else with a hash of its URL in the name. */
export function cachePath(url: string, { cacheFolder, checksum }: DownloadOptions): string {
  const { pathname } = new URL(url);
  const name =
    pathname
      .split("/")
      .at(-1)!
      .replaceAll(/[^\w.-]/g, "_")
      .slice(-100) || "index";
  if (checksum !== undefined) return join(cacheFolder, name);
  return join(cacheFolder, `${createHash("sha256").update(url).digest("hex").slice(0, 16)}-${name}`);
}

/** Retries until the file is complete, and once more if its checksum differs. */
async function fetchAll(file: RemoteFile, partial: PartialDownload, options: DownloadOptions): Promise<void> {
  const { checksum } = options;
  let isSecondCopy = false;
  const attempt = async (): Promise<void> => {
    await receive(file, partial, options);
    const problem = await contentProblem(partial.path);
    if (problem !== undefined) {
      await partial.restart();
      throw new DownloadFailure(problem, { transient: false });
    }
    if (checksum === undefined) return;
    const name = checksumNames[checksum.algorithm];
    const received = await checksumOf(partial.path, checksum.algorithm);
    if (received === checksum.digest) return;
    await partial.restart();
    const what = `the file received has the ${name} ${received} instead of ${checksum.digest}`;
    if (isSecondCopy) throw new DownloadFailure(what, { transient: false });
    isSecondCopy = true;
    throw new DownloadFailure(what, { transient: true });
  };
  let most = partial.size;
  await withRetries(attempt, options, () => {
    const isProgress = partial.size >= most + leastProgress;
    most = Math.max(most, partial.size);
    return isProgress;
  });
}

/**
 * Repeats an attempt that failed for a transient reason, with a longer delay after each one without progress.
 * @param hasProgressed checks the last attempt.
 * @throws {DownloadFailure} the last one failed.
 */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  { attempts = 5, backoffMs = 500, signal }: DownloadOptions,
  hasProgressed: () => boolean = () => false,
): Promise<T> {
  for (let idle = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof DownloadFailure)) throw error;
      idle = hasProgressed() ? 1 : idle + 1;
      if (!error.transient || idle >= attempts) throw error;
      const delay = Math.min(backoffMs * 2 ** (idle - 1), longestBackoffMs);
      await wait(delay, undefined, signal && { signal }).catch(() => {});
    }
  }
}
