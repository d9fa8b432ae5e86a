import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import type { Downloads } from "../platform.ts";
import { type DownloadOptions, download } from "./node-downloads.ts";
import { readFile } from "./node-files.ts";

/** What the environment says about downloads. */
export interface DownloadSettings {
  readonly cacheFolder: string;
  readonly offline: boolean;
  /** Where the published weights are mirrored: the address of the folder that they are in. */
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

/** Downloads into a folder that keeps what was downloaded; later reads come from there. */
export function cachedDownloads({
  mirror,
  ...options
}: Omit<DownloadOptions, "md5"> & Partial<DownloadSettings>): Downloads {
  return {
    mirror,
    read: async (address) => {
      const { url, md5 } = parseAddress(address);
      return readFile(await download(url, { ...options, md5 }));
    },
  };
}

/** Downloads as the environment says at the time of each. */
export const nodeDownloads: Downloads = {
  get mirror() {
    return downloadSettings(process.env).mirror;
  },
  read: (address) => cachedDownloads(downloadSettings(process.env)).read(address),
};

function parseAddress(source: string): { url: string; md5: string | undefined } {
  const where = `address ${source}`;
  if (!URL.canParse(source)) throw new UsageError({ where, what: "this is no address" });
  const url = new URL(source);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new UsageError({ where, what: "it cannot be read", received: url.protocol, expected: "http: or https:" });
  }
  const md5 = /^#md5=([\da-f]{32})$/i.exec(url.hash)?.[1]?.toLowerCase();
  if (url.hash.startsWith("#md5") && md5 === undefined) {
    throw new UsageError({ where, what: "this is no MD5", received: url.hash, expected: "#md5= and 32 digits" });
  }
  url.hash = "";
  return { url: url.href, md5 };
}
