import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import type { Device } from "../../src/base/platform.ts";
import { isAddress } from "../../src/base/source.ts";
import type { OpenAsOptions } from "../../src/model/open-weights.ts";
import { type FeatureExtractor, loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { type DownloadFlags, platformFor } from "./downloads.ts";
import type { CliIo } from "./io.ts";

/**
 * Loads a feature extractor.
 * @param named the model, as a path, URL or `imagenet` (without its top, unless the network's options include it).
 */
export async function openExtractor(
  { model, ...options }: OpenAsOptions & { readonly model: string },
  flags: DownloadFlags & { readonly device?: Device },
  io: CliIo,
): Promise<FeatureExtractor> {
  const platform = platformFor(flags, io);
  return loadFeatureExtractor(model, { ...options, platform, session: { device: flags.device } });
}

function isPath(name: string): boolean {
  return name !== "imagenet" && !isAddress(name);
}

/** A path relative to a file, with `/` as the separator, so that both can be moved together; URLs are unchanged. */
export function pathFrom(file: string, path: string): string {
  if (!isPath(path)) return path;
  const steps = relative(dirname(resolve(file)), resolve(path)).split(sep);
  return steps.join("/") || ".";
}

/** Resolves a path of {@link pathFrom} relative to the working directory. */
export function pathIn(file: string, path: string): string {
  if (!isPath(path) || isAbsolute(path)) return path;
  return relative(".", resolve(dirname(file), path)) || ".";
}
