import type { Network } from "../graph/network.ts";
import { type ImagenetWeightsOptions, imagenetWeightsAddress } from "./imagenet-weights.ts";
import type { PicturePreprocessing } from "./model.ts";
import { type LoadedWeights, type LoadWeightsOptions, weightsFor } from "./open-weights.ts";
import { type FilePlatform, weightsSource } from "./weights-file.ts";
import { openWeightsFile } from "./weights-formats.ts";

export interface StartingWeightsOptions extends LoadWeightsOptions {
  /** For the source `imagenet`. */
  readonly imagenet?: Omit<ImagenetWeightsOptions, "includeTop"> | undefined;
}

export interface StartingWeights extends LoadedWeights {
  /** How pictures become numbers for these weights, if their file says so. */
  readonly preprocessing: PicturePreprocessing | undefined;
}

/**
 * Weights to start training from: those of a file, in which the classifier may be missing or one of other classes; then
 * the network's classifier starts anew, from the network's seed.
 * @param source what `platform.readFile` reads, or `imagenet`: what keras.applications.Xception learned from ImageNet.
 * @throws as `loadWeights`.
 */
export async function startingWeights(
  network: Network,
  source: string,
  platform: FilePlatform,
  { allowMissing, imagenet }: StartingWeightsOptions = {},
): Promise<StartingWeights> {
  const classifier = network.layers.findLast(({ config }) => config.type === "Dense");
  const includeTop = classifier?.config.type === "Dense" && classifier.config.units === 1000;
  const address = source === "imagenet" ? imagenetWeightsAddress({ ...imagenet, includeTop }) : source;
  const patterns = [allowMissing, classifier && `${classifier.name}/*`].filter((each) => each !== undefined);
  const opened = await weightsSource(address, platform);
  const file = await openWeightsFile(opened);
  const loaded = weightsFor(network, file, {
    where: opened.where,
    allowMissing: patterns.length > 0 ? patterns.join(",") : undefined,
  });
  return { ...loaded, preprocessing: file.metadata?.preprocessing };
}
