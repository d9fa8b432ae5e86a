import { stat } from "node:fs/promises";
import { join } from "node:path";
import { isHubAddress } from "../../base/hub-address.ts";
import type { Downloads } from "../../base/platform.ts";
import { parseAddress } from "../address.ts";
import { cachePath, type DownloadOptions, download } from "./download.ts";
import { readFile } from "./files.ts";
import { cachedHubFile, type HubSettings, hubFile, hubSettings, userCaches } from "./hub.ts";

/** Download settings from the environment. */
export interface DownloadSettings {
  readonly cacheFolder: string;
  readonly offline: boolean;
  /** URL of a mirror folder of the published weights. */
  readonly mirror: string | undefined;
  readonly hub: HubSettings;
}

/** Reads `XDG_CACHE_HOME`, `XCEPTION_OFFLINE`, `XCEPTION_WEIGHTS_URL`, and the settings of the Hugging Face Hub. */
export function downloadSettings(environment: Readonly<Record<string, string | undefined>>): DownloadSettings {
  const { XDG_CACHE_HOME: caches, XCEPTION_OFFLINE: offline, XCEPTION_WEIGHTS_URL: mirror } = environment;
  return {
    // Relative paths are to be ignored (XDG Base Directory Specification).
    cacheFolder: join(caches?.startsWith("/") ? caches : userCaches(), "xception-ts"),
    offline: offline !== undefined && !["", "0", "false"].includes(offline),
    mirror: mirror === "" ? undefined : mirror,
    hub: hubSettings(environment),
  };
}

/** Downloads through a cache folder. */
export function cachedDownloads({
  mirror,
  hub = hubSettings({}),
  ...options
}: Omit<DownloadOptions, "checksum"> & Partial<DownloadSettings>): Downloads {
  // The hub's own setting applies unless everything is offline.
  const hubOptions = { ...options, hub, offline: options.offline || hub.offline };
  return {
    mirror,
    read: async (address, { sizeLimit = options.sizeLimit } = {}) => {
      const limit = sizeLimit !== undefined && { sizeLimit };
      if (isHubAddress(address)) return readFile(await hubFile(address, { ...hubOptions, ...limit }));
      const { url, checksum } = parseAddress(address);
      return readFile(await download({ url }, { ...options, ...limit, checksum }));
    },
    cached: async (address) => {
      if (isHubAddress(address)) return cachedHubFile(address, hub);
      const { url, checksum } = parseAddress(address);
      const path = cachePath(url, { ...options, checksum });
      return (await stat(path).catch(() => undefined))?.isFile() ? path : undefined;
    },
  };
}

/** Downloads with the settings of the environment at the time of each. */
export const nodeDownloads: Downloads = {
  get mirror() {
    return downloadSettings(process.env).mirror;
  },
  read: (address, limits) => cachedDownloads(downloadSettings(process.env)).read(address, limits),
  cached: (address) => cachedDownloads(downloadSettings(process.env)).cached!(address),
};
