import type { Platform } from "../../base/platform.ts";
import { type WebDownloadOptions, webDownloads } from "./downloads.ts";
import { type WebEngineOptions, webEngine } from "./engine.ts";
import { webImages } from "./images.ts";

/** Options of a browser's platform. */
export interface WebPlatformOptions extends WebDownloadOptions, WebEngineOptions {}

/** A browser, on the page or in a worker: its image decoder, downloads into its cache, and engines in WebAssembly. */
export function webPlatform(options: WebPlatformOptions = {}): Platform {
  const images = webImages({ downloads: webDownloads(options, false) });
  return { name: "web", engine: webEngine(options), images, downloads: webDownloads(options) };
}
