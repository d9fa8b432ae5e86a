import { sha256 } from "../base/checksums.ts";
import { FormatError, XceptionError } from "../base/errors.ts";
import { string } from "../base/kinds.ts";
import type { SourceReader } from "../base/platform.ts";
import { fitting, object } from "../base/schema.ts";
import { readSource } from "../base/source.ts";
import { BatchSource } from "../data/batches.ts";
import type { ImageDataset, Sample } from "../data/dataset.ts";
import { decodeFloats } from "../formats/number-formats.ts";
import type { Network } from "../graph/network.ts";
import { sizedDecodeOptionsOf } from "../model/images.ts";
import { loadPredictor } from "../model/predictor.ts";
import { featureNetwork } from "../tasks/features/feature-extractor.ts";
import { sizeOf } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../tensor/tensor.ts";
import type { TrainingPlan } from "./prepare.ts";
import { onFirstRank, sumOfRanks } from "./ranks/ranks.ts";
import type { FeatureCache, HeadHooks, TrainingHooks } from "./request.ts";
import { decodeSealed, encodeSealed } from "./sealed-tensors.ts";
import { weightsOf } from "./step/frozen-backbone.ts";

const batchSize = 16;

/**
 * Features of the training images: the outputs of a layer, taken from the cache, or computed and put there. Several ranks
 * compute them together; the cache of rank 0 counts.
 * @param layer with one output per channel.
 * @returns the same rows on one rank as on many; undefined on other ranks than 0.
 * @throws {DataError} there is no usable image.
 * @throws {AbortedError} the signal fired.
 */
export async function frozenFeatures(
  plan: TrainingPlan,
  layer: string,
  views: number,
  hooks: FeatureHooks = {},
): Promise<Features | undefined> {
  const { communicator } = plan;
  const { network: body } = featureNetwork(plan.network, { layers: [layer] });
  const isFirst = communicator.rank === 0;
  const cache = isFirst ? hooks.cache : undefined;
  const key = cache && (await keyOf(plan, body, views));
  const kept = cache && (await readKept(cache, key!, hooks));
  if (onFirstRank(communicator, kept !== undefined)) return kept;
  const features = await computeFeatures(plan, body, views, hooks);
  if (cache) await keep(cache, key!, features, hooks);
  return isFirst ? features : undefined;
}

type Notes = Pick<HeadHooks, "onNote">;
type FeatureHooks = Pick<HeadHooks, "cache" | "onProgress" | "onNote"> & Pick<TrainingHooks, "signal">;

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
    onNote?.(`Cached features cannot be used: ${error.message} They are recomputed.`);
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

/** Each rank computes its share of the images; the results, by view and image, are then summed over all ranks. */
async function computeFeatures(
  plan: TrainingPlan,
  body: Network,
  views: number,
  { signal, onProgress }: FeatureHooks,
): Promise<Features> {
  const { dataset, preprocessing, presentation, weights, network, communicator } = plan;
  const { seed } = plan.settings;
  const { platform, session } = plan.step;
  const { length: images } = dataset.samples;
  const decode = sizedDecodeOptionsOf({ network, preprocessing });
  const { augmentation } = presentation;
  const shard = { rank: communicator.rank, size: communicator.size };
  const source = new BatchSource(dataset, platform.images.decode, { batchSize, decode, seed, augmentation, shard });
  const channels = sizeOf(body.layers.at(-1)!.outputShape);
  const all = new Float32Array(views * images * channels);
  /** 0 for the rows of damaged images. */
  const isThere = new Float32Array(views * images);
  const model = { network: body, weights: weightsOf(body, weights), preprocessing };
  const inference = await loadPredictor(model, platform, session);
  let done = 0;
  try {
    for (let view = 0; view < views; view++) {
      for await (const batch of source.evaluationBatches({ view, ...(signal && { signal }) })) {
        const { data } = await inference.run(batch.images);
        for (const [row, index] of batch.indices.entries()) {
          const place = view * images + index;
          all.set(data.subarray(row * channels, (row + 1) * channels), place * channels);
          isThere[place] = 1;
        }
        done += batch.indices.length;
        // The other ranks are about as far.
        onProgress?.(Math.min(done * shard.size, views * images), views * images);
      }
    }
  } finally {
    await inference.dispose();
  }
  sumOfRanks(communicator, isThere);
  sumOfRanks(communicator, all);
  const places = [...isThere.keys()].filter((place) => isThere[place] === 1);
  if (places.length === 0) source.assertEnough(0, 1);
  for (const [row, place] of places.entries()) all.copyWithin(row * channels, place * channels, (place + 1) * channels);
  const values = floatTensor([places.length, channels], all.subarray(0, places.length * channels));
  return { values, samples: Uint32Array.from(places, (place) => place % images) };
}

/** Changes with the images, the weights, and everything else that the features depend on. */
async function keyOf(plan: TrainingPlan, body: Network, views: number): Promise<string> {
  const { dataset, preprocessing, presentation, settings, weights } = plan;
  const { platform, session } = plan.step;
  const values = [...weightsOf(body, weights).values()].map(({ data }) => sha256(data));
  return sha256(
    JSON.stringify({
      format: 2,
      layers: body.layers,
      weights: await Promise.all(values),
      preprocessing,
      device: session?.device ?? "default",
      images: await imagesDigest(dataset, platform),
      views,
      ...(views > 1 && { augmentation: presentation.augmentation, seed: settings.seed }),
    }),
  );
}

/** Depends on the files' contents, not on their names. */
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
    if (error instanceof XceptionError) return "unreadable";
    throw error;
  }
}

/** Features of images from the frozen part of a network. */
export interface Features {
  /** `[rows, channels]` */
  readonly values: FloatTensor;
  /** `[rows]`, the sample of each row: an index into the data set. */
  readonly samples: Uint32Array;
}

const format = "xception-ts features";

/**
 * Encodes features as a `.safetensors` file.
 * @param key identifies the images, weights and settings they were computed from.
 */
export function encodeFeatures({ values, samples }: Features, key: string): Promise<Uint8Array> {
  const indices: Tensor = { type: "int32", shape: [samples.length], data: Int32Array.from(samples) };
  return encodeSealed(format, { key }, new Map<string, Tensor>(Object.entries({ features: values, samples: indices })));
}

/**
 * Decodes a file written by {@link encodeFeatures}.
 * @param where the file's name in errors.
 * @throws {FormatError} the bytes are not such a file, damaged, or belong to another key.
 */
export async function decodeFeatures(bytes: Uint8Array, expected: string, where: string): Promise<Features> {
  const { json, tensors } = await decodeSealed(format, bytes, where);
  const { key: received } = fitting(object({ key: string }), json, where);
  if (received !== expected) {
    throw new FormatError({ where, what: "these are features of something else", received, expected });
  }
  const [features, indices] = [tensors.get("features")!, tensors.get("samples")!];
  // Copied, since in the file they may lie anywhere.
  return { values: decodeFloats(features), samples: new Uint32Array(indices.bytes.slice().buffer) };
}
