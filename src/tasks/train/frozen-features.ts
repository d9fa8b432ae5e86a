import { sha256 } from "../../checksums.ts";
import { BatchSource } from "../../data/batches.ts";
import type { ImageDataset, Sample } from "../../data/dataset.ts";
import { XceptionError } from "../../errors.ts";
import { type Network, networkWeights } from "../../graph/network.ts";
import type { SourceReader } from "../../platform.ts";
import { readSource } from "../../source.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { floatTensor } from "../../tensor/tensor.ts";
import { featureNetwork } from "../features/feature-network.ts";
import { sizedDecodeOptionsOf } from "../model/model.ts";
import { loadPredictor } from "../model/predictor.ts";
import { onFirstRank, sumOfRanks } from "../ranks/ranks.ts";
import { decodeFeatures, encodeFeatures, type Features } from "./feature-file.ts";
import type { FeatureCache, FrozenFeaturesOptions } from "./head-phase-options.ts";
import type { TrainingPlan } from "./plan.ts";

const batchSize = 16;

/**
 * What a layer of a network says to the training images: taken from the cache, or computed and put there. Several ranks
 * compute it together, and the first one's cache counts.
 * @param layer that puts out one number for each channel.
 * @returns the same rows on one rank as on many; undefined on other ranks than the first.
 * @throws {DataError} there is no usable image.
 * @throws {AbortedError} the signal fired.
 */
export async function frozenFeatures(
  plan: TrainingPlan,
  layer: string,
  options: FrozenFeaturesOptions,
): Promise<Features | undefined> {
  const { communicator } = plan;
  const { network: body } = featureNetwork(plan.network, { layers: [layer] });
  const isFirst = communicator.rank === 0;
  const cache = isFirst ? options.cache : undefined;
  const key = cache && (await keyOf(plan, body, options.views));
  const kept = cache && (await readKept(cache, key!, options));
  if (onFirstRank(communicator, kept !== undefined)) return kept;
  const features = await computeFeatures(plan, body, options);
  if (cache) await keep(cache, key!, features, options);
  return isFirst ? features : undefined;
}

type Notes = Pick<FrozenFeaturesOptions, "onNote">;

const fileOf = (key: string) => `${key}.safetensors`;

async function readKept(cache: FeatureCache, key: string, { onNote }: Notes): Promise<Features | undefined> {
  try {
    const bytes = await cache.read(fileOf(key));
    if (bytes === undefined) return undefined;
    const features = await decodeFeatures(bytes, key, fileOf(key));
    onNote?.(`The features of ${features.samples.length} views were computed before.`);
    return features;
  } catch (error) {
    if (!(error instanceof XceptionError)) throw error;
    onNote?.(`The features that were computed before cannot be used: ${error.message} They are computed anew.`);
    return undefined;
  }
}

async function keep(cache: FeatureCache, key: string, features: Features, { onNote }: Notes): Promise<void> {
  try {
    await cache.write(fileOf(key), await encodeFeatures(features, key));
  } catch (error) {
    if (!(error instanceof XceptionError)) throw error;
    onNote?.(`The features could not be kept for the next time: ${error.message}`);
  }
}

/** Each rank computes its share of the images; all come to know the rows of all, by view and image. */
async function computeFeatures(plan: TrainingPlan, body: Network, options: FrozenFeaturesOptions): Promise<Features> {
  const { dataset, preprocessing, seed, presentation, weights, network, communicator } = plan;
  const { platform, device, threads } = plan.options;
  const { views, signal, onProgress } = options;
  const { length: images } = dataset.samples;
  const decode = sizedDecodeOptionsOf({ network, preprocessing });
  const { augmentation } = presentation;
  const shard = { rank: communicator.rank, size: communicator.size };
  const source = new BatchSource(dataset, platform.images.decode, { batchSize, decode, seed, augmentation, shard });
  const channels = sizeOf(body.layers.at(-1)!.outputShape);
  const all = new Float32Array(views * images * channels);
  /** Which rows there are: none of a damaged image. */
  const isThere = new Float32Array(views * images);
  const inference = await loadPredictor(
    { network: body, weights: bodyWeights(body, weights), preprocessing },
    platform,
    {
      device,
      threads,
    },
  );
  let done = 0;
  try {
    for (let view = 0; view < views; view++) {
      for await (const batch of source.viewBatches(view, signal && { signal })) {
        const { data } = await inference.run(batch.images);
        for (const [row, index] of batch.indices.entries()) {
          const place = view * images + index;
          all.set(data.subarray(row * channels, (row + 1) * channels), place * channels);
          isThere[place] = 1;
        }
        done += batch.indices.length;
        // The others are about as far.
        onProgress?.(Math.min(done * shard.size, views * images), views * images);
      }
    }
  } finally {
    await inference.dispose();
  }
  // What one rank knows the others have as zeros.
  sumOfRanks(communicator, isThere);
  sumOfRanks(communicator, all);
  const places = [...isThere.keys()].filter((place) => isThere[place] === 1);
  if (places.length === 0) source.assertEnough(0, 1);
  for (const [row, place] of places.entries()) all.copyWithin(row * channels, place * channels, (place + 1) * channels);
  const values = floatTensor([places.length, channels], all.subarray(0, places.length * channels));
  return { values, samples: Uint32Array.from(places, (place) => place % images) };
}

/** Another one for other images, weights, or anything else that the features depend on. */
async function keyOf(plan: TrainingPlan, body: Network, views: number): Promise<string> {
  const { dataset, preprocessing, presentation, seed, weights, options } = plan;
  const values = [...bodyWeights(body, weights).values()].map(({ data }) => sha256(data));
  return sha256(
    JSON.stringify({
      format: 1,
      layers: body.layers,
      weights: await Promise.all(values),
      preprocessing,
      device: options.device ?? "default",
      images: await imagesDigest(dataset, options.platform),
      views,
      ...(views > 1 && { augmentation: presentation.augmentation, seed }),
    }),
  );
}

/** Those of the weights that a part of the network has. */
export function bodyWeights(body: Network, weights: TrainingPlan["weights"]): TrainingPlan["weights"] {
  return new Map(networkWeights(body).map(({ name }) => [name, weights.get(name)!]));
}

/** What is in the files counts, not what they are called. */
async function imagesDigest({ samples }: ImageDataset, reader: SourceReader): Promise<string> {
  const digests: string[] = [];
  for (const { image } of samples) digests.push(await digestOfImage(image, reader));
  return sha256(digests.join());
}

async function digestOfImage(image: Sample["image"], reader: SourceReader): Promise<string> {
  if (typeof image === "object" && "data" in image) return sha256(image.data);
  try {
    return await sha256(await readSource(image, reader));
  } catch (error) {
    // It will be skipped like any other that cannot be used.
    if (error instanceof XceptionError) return "unreadable";
    throw error;
  }
}
