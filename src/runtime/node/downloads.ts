import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as wait } from "node:timers/promises";
import { FileError, UsageError } from "../../base/errors.ts";
import type { Downloads } from "../../base/platform.ts";
import {
  type AttemptOptions,
  claimPartial,
  DownloadFailure,
  type PartialDownload,
  receive,
  releasePartial,
} from "./download-attempt.ts";
import { makeFolders, readFile } from "./files.ts";

/** Download settings from the environment. */
export interface DownloadSettings {
  readonly cacheFolder: string;
  readonly offline: boolean;
  /** URL of a mirror folder of the published weights. */
  readonly mirror: string | undefined;
}

/** Reads `XDG_CACHE_HOME`, `XCEPTION_OFFLINE` and `XCEPTION_WEIGHTS_URL`. */
export function downloadSettings(environment: Readonly<Record<string, string | undefined>>): DownloadSettings {
  const { XDG_CACHE_HOME: caches, XCEPTION_OFFLINE: offline, XCEPTION_WEIGHTS_URL: mirror } = environment;
  return {
    // Relative paths are to be ignored (XDG Base Directory Specification).
    cacheFolder: join(caches?.startsWith("/") ? caches : join(homedir(), ".cache"), "xception-ts"),
    offline: offline !== undefined && !["", "0", "false"].includes(offline),
    mirror: mirror === "" ? undefined : mirror,
  };
}

/** Downloads through a cache folder. */
export function cachedDownloads(options: Omit<DownloadOptions, "md5"> & Partial<DownloadSettings>): Downloads {
  return {
    mirror: options.mirror,
    read: async (address) => {
      const { url, md5 } = parseAddress(address);
      return readFile(await download(url, { ...options, md5 }));
    },
  };
}

/** Downloads with the settings of the environment at the time of each. */
export const nodeDownloads: Downloads = {
  get mirror() {
    return downloadSettings(process.env).mirror;
  },
  read: (address) => cachedDownloads(downloadSettings(process.env)).read(address),
};

function parseAddress(source: string): { url: string; md5: string | undefined } {
  const where = `address ${source}`;
  if (!URL.canParse(source)) throw new UsageError({ where, what: "this is not a URL" });
  const url = new URL(source);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new UsageError({ where, what: "it cannot be read", received: url.protocol, expected: "http: or https:" });
  }
  const md5 = /^#md5=([\da-f]{32})$/i.exec(url.hash)?.[1]?.toLowerCase();
  if (url.hash.startsWith("#md5") && md5 === undefined) {
    throw new UsageError({ where, what: "this is not an MD5", received: url.hash, expected: "#md5= and 32 digits" });
  }
  url.hash = "";
  return { url: url.href, md5 };
}

/** Options of downloads. */
export interface DownloadOptions extends AttemptOptions {
  /** Cache folder; created if missing. */
  readonly cacheFolder: string;
  /** MD5 of the file, as 32 hexadecimal digits; default: not verified. */
  readonly md5?: string | undefined;
  /** Uses only the cache. */
  readonly offline?: boolean;
  /** Consecutive attempts without new bytes before giving up; default 5. */
  readonly attempts?: number;
  /** Delay before the second attempt; doubles with each one. Default 500 ms. */
  readonly backoffMs?: number;
}

/** Longest delay between two attempts. */
const longestBackoffMs = 15_000;

/**
 * Downloads a file once; later calls find it in the cache. Interrupted downloads are resumed, and the file appears
 * under its name only when it is complete and its MD5 is correct. Concurrent downloads of the same file by several
 * processes are safe.
 * @param url `http:` or `https:`.
 * @returns the path of the file.
 * @throws {FileError} the download failed; the message gives the path for adding the file by hand.
 * @throws {AbortedError} the signal fired.
 */
export async function download(url: string, options: DownloadOptions): Promise<string> {
  const { cacheFolder, md5, offline = false } = options;
  const target = cachePath(url, cacheFolder, md5);
  const there = await stat(target).catch(() => undefined);
  if (there?.isFile()) {
    if (md5 === undefined || (await md5Of(target)) === md5) return target;
    // Another version, or damaged.
    if (offline) throw unavailable(url, target, `the file in the cache has another MD5 than ${md5}`, options);
  }
  if (offline) throw unavailable(url, target, "it is not in the cache, and downloads are switched off", options);
  await makeFolders(cacheFolder);
  const partial = await claimPartial(target, md5 !== undefined);
  try {
    await fetchAll(url, partial, target, options);
    await flush(partial.path);
    await rename(partial.path, target);
  } catch (error) {
    await releasePartial(partial, target, md5 !== undefined);
    throw error;
  }
  return target;
}

/** Cache path of a file: its own name if it has an MD5, else with a hash of its URL in the name. */
function cachePath(url: string, cacheFolder: string, md5?: string): string {
  const { pathname } = new URL(url);
  const name =
    pathname
      .split("/")
      .at(-1)!
      .replaceAll(/[^\w.-]/g, "_")
      .slice(-100) || "index";
  if (md5 !== undefined) return join(cacheFolder, name);
  return join(cacheFolder, `${createHash("sha256").update(url).digest("hex").slice(0, 16)}-${name}`);
}

/** Retries until the file is complete, with a longer delay after each attempt without new bytes. */
async function fetchAll(
  url: string,
  partial: PartialDownload,
  target: string,
  options: DownloadOptions,
): Promise<void> {
  const { md5, attempts = 5, backoffMs = 500, signal } = options;
  let idle = 0;
  let isSecondCopy = false;
  for (;;) {
    const before = partial.size;
    try {
      await receive(url, partial, options);
      if (md5 === undefined) return;
      const received = await md5Of(partial.path);
      if (received === md5) return;
      await partial.restart();
      if (isSecondCopy)
        throw unavailable(url, target, `what was received has the MD5 ${received} instead of ${md5}`, options);
      isSecondCopy = true;
    } catch (error) {
      if (!(error instanceof DownloadFailure)) throw error;
      idle = partial.size > before ? 1 : idle + 1;
      if (!error.transient || idle >= attempts) throw unavailable(url, target, error.message, options, error.cause);
      await wait(Math.min(backoffMs * 2 ** (idle - 1), longestBackoffMs), undefined, signal && { signal }).catch(
        () => {},
      );
    }
  }
}

async function md5Of(path: string): Promise<string> {
  const hash = createHash("md5");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/** Flushes the file to the disk before it is renamed. */
async function flush(path: string): Promise<void> {
  const file = await open(path, "r+");
  await file.sync().finally(() => file.close());
}

function unavailable(url: string, target: string, what: string, { md5 }: DownloadOptions, cause?: unknown): FileError {
  const check = md5 === undefined ? "" : ` Its MD5 is ${md5}.`;
  return new FileError({
    where: `download of ${url}`,
    what,
    remedy: `To do without a download, get the file some other way and put it at ${target}.${check}`,
    ...(cause !== undefined && { cause }),
  });
}
