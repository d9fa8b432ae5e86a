import { join } from "node:path";
import type { Command } from "commander";
import { limitPixels } from "../../src/base/pixel-limit.ts";
import type { DownloadLimits, Platform } from "../../src/base/platform.ts";
import type { DownloadProgress } from "../../src/runtime/node/download-attempt.ts";
import { cachedDownloads, type DownloadSettings, downloadSettings } from "../../src/runtime/node/downloads.ts";
import { nodeImages, nodePlatform } from "../../src/runtime/node/platform.ts";
import type { CliIo } from "./io.ts";
import { countOf } from "./options.ts";
import { type Progress, startProgress } from "./progress.ts";

/** Values of the flags of {@link addDownloadOptions}. */
export interface DownloadFlags {
  readonly cacheDir?: string | undefined;
  readonly offline?: boolean | undefined;
  readonly refresh?: boolean | undefined;
  readonly pixelLimit?: number | undefined;
}

/** Adds the flag of a command that reads images. */
export function addPixelLimit(command: Command): Command {
  const about = "largest number of pixels of an image (default: 100000000)";
  return command.option("--pixel-limit <n>", about, countOf("--pixel-limit"));
}

/** Adds the flags of a command that may download weights. */
export function addDownloadOptions(command: Command): Command {
  return command
    .option("--cache-dir <folder>", "folder for downloaded weights (default: the user's cache)")
    .option("--offline", "use only cached downloads (also: XCEPTION_OFFLINE=1)")
    .option("--refresh", "download again what is cached");
}

/** Node's platform with downloads as set by flags and environment; shows their progress. */
export function platformFor(flags: DownloadFlags, io: CliIo): Required<Platform> {
  const { offline, refresh = false } = flags;
  const settings = downloadSettingsOf(flags);
  const { onProgress, stop } = downloadDisplay(io);
  const options = { ...settings, offline: offline ?? settings.offline, refresh, onProgress };
  const downloads = cachedDownloads(options);
  const { interruptible = (work) => work(io.signal) } = io;
  const read = (address: string, limits?: DownloadLimits) =>
    interruptible((signal) => cachedDownloads({ ...options, signal }).read(address, limits)).finally(stop);
  const reader = { ...nodePlatform, downloads: { ...downloads, read } };
  return limitPixels({ ...reader, images: nodeImages(reader) }, flags.pixelLimit);
}

/** The settings of the environment, with the cache folder of the flag. */
export function downloadSettingsOf({ cacheDir }: DownloadFlags): DownloadSettings {
  const settings = downloadSettings(process.env);
  if (cacheDir === undefined) return settings;
  return { ...settings, cacheFolder: cacheDir, hub: { ...settings.hub, cacheFolder: join(cacheDir, "hub") } };
}

/** A progress bar in megabytes, shown once the size is known. */
function downloadDisplay(io: CliIo) {
  let display: Progress | undefined;
  const megabytes = (bytes: number): number => Math.round(bytes / 1e5) / 10;
  return {
    onProgress: ({ receivedBytes, totalBytes }: DownloadProgress): void => {
      if (totalBytes === undefined) return;
      display ??= startProgress(io, { label: "download, MB", total: megabytes(totalBytes) });
      display.update(megabytes(receivedBytes));
    },
    stop: (): void => {
      display?.stop();
      display = undefined;
    },
  };
}
