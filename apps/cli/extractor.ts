import { dirname, relative, resolve, sep } from "node:path";
import type { Device } from "../../src/base/platform.ts";
import { isAddress } from "../../src/base/source.ts";
import type { OpenAsOptions } from "../../src/model/open-weights.ts";
import { namedWeights } from "../../src/model/published-weights.ts";
import { type FeatureExtractor, loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { type DownloadFlags, platformFor } from "./downloads.ts";
import type { CliIo } from "./io.ts";
import { isWithin } from "./train/run-folder.ts";

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
  return loadFeatureExtractor(model, { ...options, platform, session: { device: flags.device, signal: io.signal } });
}

function isPath(name: string): boolean {
  return !isAddress(name) && !namedWeights.some((weights) => weights.name === name);
}

/** A path relative to a file, with `/` as the separator, so that both can be moved together; URLs are unchanged. */
export function pathFrom(file: string, path: string): string {
  if (!isPath(path)) return path;
  const steps = relative(dirname(resolve(file)), resolve(path)).split(sep);
  return steps.join("/") || ".";
}

/** Resolves the path of a model in a file; undefined unless it is below the file's folder, since the file may be untrusted. */
export function pathBelow(file: string, path: string): string | undefined {
  const folder = dirname(resolve(file));
  const resolved = resolve(folder, path);
  return isPath(path) && isWithin(folder, resolved) ? relative(".", resolved) : undefined;
}
