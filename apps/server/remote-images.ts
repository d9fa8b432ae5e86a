import { lookup as systemLookup } from "node:dns";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { RefusedError } from "./exchange.ts";

/** Options of {@link remoteImages}. */
export interface RemoteOptions {
  /** Names of hosts that images may come from. */
  readonly hosts: readonly string[];
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** Returns whether an address may be asked; default: those of the public Internet. */
  readonly isAllowed?: (address: string) => boolean;
  readonly lookup?: LookupFunction;
}

/** Ranges that are not the public Internet. @see https://www.iana.org/assignments/iana-ipv4-special-registry */
const closed = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  closed.addSubnet(network, prefix, "ipv4");
}
/** The only range of IPv6 that is routed globally, and what is closed inside it: Teredo, documentation, 6to4. */
const open6 = new BlockList();
open6.addSubnet("2000::", 3, "ipv6");
for (const [network, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
] as const) {
  closed.addSubnet(network, prefix, "ipv6");
}

/** Returns whether an address is one of the public Internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  if (family === 4) return !closed.check(address, "ipv4");
  return open6.check(address, "ipv6") && !closed.check(address, "ipv6");
}

/**
 * Downloads an image from a named host.
 * @throws {RefusedError} the host is not allowed (403), or the download fails (502) or is too large (413).
 */
export type ReadRemoteImage = (address: string, signal: AbortSignal) => Promise<Uint8Array>;

/**
 * Returns a function that downloads images from named hosts. The address is checked when it is connected to, so that a name
 * cannot be made to point elsewhere in between; redirects are not followed.
 */
export function remoteImages({
  hosts,
  maxBytes,
  timeoutMs,
  isAllowed = isPublicAddress,
  lookup: resolve = systemLookup,
}: RemoteOptions): ReadRemoteImage {
  /** Resolves a name, and fails if any of its addresses is not allowed. */
  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      const addresses = (Array.isArray(found) ? found : []) as { readonly address: string; readonly family: number }[];
      const closedOne = addresses.find(({ address }) => !isAllowed(address));
      if (error || closedOne || addresses.length === 0) {
        return callback(error ?? new Error("its address is not of the public Internet"), "", 0);
      }
      if (options.all) return callback(null, addresses);
      callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };
  return async (text, signal) => {
    const url = checkedUrl(text, hosts, isAllowed);
    const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const failed = (what: string, cause?: unknown) =>
      new RefusedError(502, { where: `url of ${url.host}`, what, cause });
    try {
      const response = await request(url, limited, lookup);
      if (response.statusCode !== 200) {
        response.destroy();
        throw failed(`it answered with status ${response.statusCode}`);
      }
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        size += chunk.length;
        chunks.push(chunk);
        if (size <= maxBytes) continue;
        response.destroy();
        throw new RefusedError(413, {
          where: `url of ${url.host}`,
          what: "the image is too large",
          expected: `at most ${maxBytes} bytes`,
        });
      }
      return Buffer.concat(chunks);
    } catch (error) {
      if (error instanceof RefusedError) throw error;
      throw failed(limited.aborted ? "it did not answer in time" : "the download failed", error);
    }
  };
}

function checkedUrl(text: string, hosts: readonly string[], isAllowed: (address: string) => boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  const isPlain = url?.username === "" && url.password === "";
  if (url && isWeb && isPlain && hosts.includes(url.hostname)) {
    const literal = url.hostname.replace(/^\[(.*)\]$/, "$1");
    if (isIP(literal) === 0 || isAllowed(literal)) return url;
  }
  throw new RefusedError(403, {
    where: "url",
    what: "this server does not download from there",
    received: url ? `${url.protocol}//${url.host}` : "no URL",
    expected: hosts.length === 0 ? "an image in the body" : `http or https, host ${hosts.join(" or ")}`,
    ...(hosts.length === 0 && { remedy: "Start the server with --allow-url HOST." }),
  });
}

function request(url: URL, signal: AbortSignal, lookup: LookupFunction): Promise<IncomingMessage> {
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    send(url, { signal, lookup, agent: false, headers: { accept: "image/*" } }, resolve)
      .on("error", reject)
      .end();
  });
}
