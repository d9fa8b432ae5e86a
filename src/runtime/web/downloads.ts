import { sha256 } from "../../base/checksums.ts";
import { AbortedError, FileError } from "../../base/errors.ts";
import { isHubAddress, parseHubAddress } from "../../base/hub-address.ts";
import type { Downloads } from "../../base/platform.ts";
import { parseAddress } from "../address.ts";

/** Name of the cache in the browser's Cache API. */
const cacheName = "xception-ts";
/** Headers of stored files. */
const [sha256Header, storedAtHeader] = ["x-sha256", "x-stored-at"];

/** Progress of a download. */
export interface WebDownloadProgress {
  readonly url: string;
  /** Bytes received so far. */
  readonly received: number;
  /** Size of the file, if the server states it. */
  readonly total: number | undefined;
}

/** Options of downloads in a browser. */
export interface WebDownloadOptions {
  /** Base of relative URLs; default: the script's own. */
  readonly baseUrl?: string | undefined;
  /** Stops downloads with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
  readonly onDownload?: ((progress: WebDownloadProgress) => void) | undefined;
}

/** A downloaded model in the browser's cache. */
export interface CachedModel {
  readonly url: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Time of the download, ISO 8601. */
  readonly storedAt: string;
}

/**
 * Downloads through the browser's Cache API: each file once, then also offline. Where the page is not served securely there is
 * no cache, and files are downloaded each time.
 * @param areKept false for files that may change, such as images.
 */
export function webDownloads(options: WebDownloadOptions = {}, areKept = true): Downloads {
  return {
    async read(address) {
      const { url, checksum } = addressOf(address, options.baseUrl ?? location.href);
      const cache = areKept && /^https?:/.test(url) ? await openCache() : undefined;
      const found = await cache?.match(url);
      if (found) {
        const bytes = new Uint8Array(await found.arrayBuffer());
        const isSha256 = checksum?.algorithm === "sha256";
        const digest = isSha256 ? found.headers.get(sha256Header) : checksum && (await digestOf(bytes, "md5"));
        if (digest === checksum?.digest) return bytes;
      }
      const bytes = await download(url, options);
      const digest = checksum && (await digestOf(bytes, checksum.algorithm));
      if (checksum !== undefined && digest !== checksum.digest) {
        throw new FileError({
          where: `download of ${url}`,
          what: `the file has another ${checksum.algorithm === "md5" ? "MD5" : "SHA-256"}`,
          received: digest,
          expected: checksum.digest,
        });
      }
      const headers = { [sha256Header]: await sha256(bytes), [storedAtHeader]: new Date().toISOString() };
      const stored = new Response(bytes, { headers: { ...headers, "content-length": String(bytes.length) } });
      // The cache only saves time: it may be full.
      await cache?.put(url, stored).catch(() => {});
      return bytes;
    },
  };
}

/** Lists the downloaded models. */
export async function listModels(): Promise<readonly CachedModel[]> {
  const cache = await openCache();
  const requests = (await cache?.keys()) ?? [];
  return Promise.all(
    requests.map(async (request) => {
      const headers = (await cache!.match(request))!.headers;
      return {
        url: request.url,
        bytes: Number(headers.get("content-length")),
        sha256: headers.get(sha256Header) ?? "",
        storedAt: headers.get(storedAtHeader) ?? "",
      };
    }),
  );
}

/** Removes a downloaded model from the cache, or all of them; returns whether there was one. */
export async function removeModel(address?: string, baseUrl: string = location.href): Promise<boolean> {
  if (address === undefined) return (await storage()?.delete(cacheName)) ?? false;
  return (await (await openCache())?.delete(addressOf(address, baseUrl).url)) ?? false;
}

function addressOf(address: string, baseUrl: string): ReturnType<typeof parseAddress> {
  if (isHubAddress(address)) {
    const { repo, revision, file } = parseHubAddress(address);
    return { url: `https://huggingface.co/${repo}/resolve/${revision}/${file}`, checksum: undefined };
  }
  if (/^(blob|data):/.test(address)) return { url: address, checksum: undefined };
  return parseAddress(URL.canParse(address, baseUrl) ? new URL(address, baseUrl).href : address);
}

/** Undefined where the page is not served securely, or the user forbids storage. */
function storage(): CacheStorage | undefined {
  return globalThis.caches;
}

async function openCache(): Promise<Cache | undefined> {
  return storage()
    ?.open(cacheName)
    .catch(() => undefined);
}

async function download(url: string, { signal, onDownload }: WebDownloadOptions): Promise<Uint8Array<ArrayBuffer>> {
  const where = `download of ${url}`;
  try {
    const response = await fetch(url, { signal: signal ?? null });
    if (!response.ok) {
      const what = `the server answered ${response.status} ${response.statusText}`.trimEnd();
      throw new FileError({ where, what }, { isMissing: response.status === 404 });
    }
    if (/^text\/html\b/.test(response.headers.get("content-type") ?? "")) {
      throw new FileError({ where, what: "the server sent a web page in place of the file" }, { isMissing: true });
    }
    return await receive(response, (received, total) => onDownload?.({ url, received, total }));
  } catch (cause) {
    if (signal?.aborted) throw new AbortedError({ where, what: "it was stopped by the caller", cause: signal.reason });
    if (cause instanceof FileError) throw cause;
    throw new FileError({
      where,
      what: `it failed (${(cause as Error).message})`,
      remedy: "Check the connection; a server of another origin must send Access-Control-Allow-Origin.",
      cause,
    });
  }
}

async function receive(
  response: Response,
  onProgress: (received: number, total: number | undefined) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const length = response.headers.get("content-length");
  // Compressed by the server, the length is another.
  const total = length === null || response.headers.has("content-encoding") ? undefined : Number(length);
  const chunks: Uint8Array[] = [];
  let received = 0;
  if (response.body === null) return new Uint8Array(await response.arrayBuffer());
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    received += part.value.length;
    onProgress(received, total);
  }
  if (total !== undefined && received !== total) throw new Error(`${received} of ${total} bytes arrived`);
  const bytes = new Uint8Array(received);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

async function digestOf(bytes: Uint8Array, algorithm: "md5" | "sha256"): Promise<string> {
  return algorithm === "md5" ? (await import("../../base/md5.ts")).md5(bytes) : sha256(bytes);
}
