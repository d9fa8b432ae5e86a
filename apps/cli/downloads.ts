import type { Command } from "commander";
import type { Platform } from "../../src/base/platform.ts";
import type { DownloadProgress } from "../../src/runtime/node/download-attempt.ts";
import { cachedDownloads, downloadSettings } from "../../src/runtime/node/downloads.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { CliIo } from "./io.ts";
import { type Progress, startProgress } from "./progress.ts";

/** What commander makes of the flags of `addDownloadOptions`. */
export interface DownloadFlags {
  readonly cacheDir?: string | undefined;
  readonly offline?: boolean | undefined;
}

/** Gives a command that reads weights the flags about downloading them. */
export function addDownloadOptions(command: Command): Command {
  return command
    .option("--cache-dir <folder>", "where downloaded weights are kept (default: the user's cache)")
    .option("--offline", "take what is in the cache, and download nothing (also: XCEPTION_OFFLINE=1)");
}

/** Node's platform with downloads as flags and environment say, their progress shown. */
export function platformFor({ cacheDir, offline }: DownloadFlags, io: CliIo): Required<Platform> {
  const settings = downloadSettings(process.env);
  const { onProgress, stop } = downloadDisplay(io);
  const downloads = cachedDownloads({
    mirror: settings.mirror,
    cacheFolder: cacheDir ?? settings.cacheFolder,
    offline: offline ?? settings.offline,
    signal: io.signal,
    onProgress,
  });
  const read = (address: string) => downloads.read(address).finally(stop);
  return { ...nodePlatform, downloads: { ...downloads, read } };
}

/** In units that people read; the bar begins with the first bytes, when the size is known. */
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
