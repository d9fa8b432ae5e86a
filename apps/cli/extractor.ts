import type { Device } from "../../src/platform.ts";
import { type FeatureExtractor, loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import type { OpenAsOptions } from "../../src/tasks/weights/open-as.ts";
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
