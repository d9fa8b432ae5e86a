import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import type { Device } from "../../src/base/platform.ts";
import { isAddress } from "../../src/base/source.ts";
import type { OpenAsOptions } from "../../src/model/open-weights.ts";
import { type FeatureExtractor, loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { type DownloadFlags, platformFor } from "./downloads.ts";
import type { CliIo } from "./io.ts";

/** A model on the command line, or in a file that was made with it. */
export interface NamedModel extends OpenAsOptions {
  /** Path or address, or `imagenet`: what Keras's Xception learned, without its top unless the network's options want it. */
  readonly model: string;
}

/** Opens a model to look at its maps. */
export async function openExtractor(
  { model, ...options }: NamedModel,
  flags: DownloadFlags & { readonly device?: Device },
  io: CliIo,
): Promise<FeatureExtractor> {
  const platform = platformFor(flags, io);
  return loadFeatureExtractor(model, { ...options, platform, session: { device: flags.device } });
}

/** What a file calls something that is no path: an address, or the published weights. */
function isNoPath(name: string): boolean {
  return name === "imagenet" || isAddress(name);
}

/** A path as seen from a file, with `/` between the parts: both can then be moved together. */
export function pathFrom(file: string, path: string): string {
  if (isNoPath(path)) return path;
  return (
    relative(dirname(resolve(file)), resolve(path))
      .split(sep)
      .join("/") || "."
  );
}

/** The other way round: a path in a file, as seen from here. */
export function pathIn(file: string, path: string): string {
  if (isNoPath(path) || isAbsolute(path)) return path;
  return relative(".", resolve(dirname(file), path)) || ".";
}
