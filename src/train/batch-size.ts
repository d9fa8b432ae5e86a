import type { Platform, SizedDecodeOptions } from "../base/platform.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { imageStore } from "../data/image-loading.ts";
import type { Network } from "../graph/network.ts";
import { sizeOf } from "../tensor/shape.ts";
import type { Settings } from "./settings/settings.ts";

const largestBatch = 32;

/** The usable images of a data set so small that damaged ones affect the default batch size; a larger one as it is. */
export async function usableImages(
  dataset: ImageDataset,
  { images }: Platform,
  decode: SizedDecodeOptions,
  ranks: number,
): Promise<ImageDataset> {
  if (dataset.samples.length >= 2 * largestBatch * ranks) return dataset;
  const store = imageStore(dataset, images.decode, decode, 0);
  const loaded = await Promise.all(dataset.samples.map((_, index) => store.load(index)));
  return { ...dataset, samples: dataset.samples.filter((_, index) => loaded[index] !== undefined) };
}

/**
 * Default batch size: 32, or fewer if there are not so many images or their feature maps would need more than about 4 GiB.
 * An image takes 1.1 times the outputs of all layers, or 0.85 times if they are recomputed (measured at 299×299: 0.25 and
 * 0.19 GiB), twice that with the rounded copies of training for int8; weights and engine need 1.6 GiB more for Xception.
 * @param options `ranks`: processes that share the images.
 */
export function defaultBatchSize(
  { samples }: ImageDataset,
  network: Network,
  options: Partial<Pick<Settings, "recompute" | "quantizationAware">> & { readonly ranks?: number } = {},
): number {
  const outputs = network.layers.reduce((sum, { outputShape }) => sum + sizeOf(outputShape), 0);
  const { ranks = 1, recompute = false, quantizationAware = false } = options;
  const kept = (recompute ? 0.85 : 1.1) * (quantizationAware ? 2 : 1) * outputs;
  const fitting = Math.floor((4 * 2 ** 30) / (kept * Float32Array.BYTES_PER_ELEMENT));
  return Math.max(1, Math.min(largestBatch, Math.floor(samples.length / ranks), fitting));
}
