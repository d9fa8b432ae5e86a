import { sha256 } from "../base/checksums.ts";
import { FormatError, XceptionError } from "../base/errors.ts";
import type { SourceReader } from "../base/platform.ts";
import { readSource } from "../base/source.ts";
import { BatchSource } from "../data/batches.ts";
import type { ImageDataset, Sample } from "../data/dataset.ts";
import { decodeFloats } from "../formats/number-formats.ts";
import { readSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import { sizedDecodeOptionsOf } from "../model/model.ts";
import { loadPredictor } from "../model/predictor.ts";
import { featureNetwork } from "../tasks/features/feature-extractor.ts";
import { sizeOf } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../tensor/tensor.ts";
import type { TrainingPlan } from "./prepare.ts";
import { onFirstRank, sumOfRanks } from "./ranks/ranks.ts";
import type { FeatureCache, HeadHooks, TrainingHooks } from "./request.ts";

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

/** Each rank computes its share of the images; all come to know the rows of all, by view and image. */
async function computeFeatures(
  plan: TrainingPlan,
  body: Network,
  views: number,
  { signal, onProgress }: FeatureHooks,
): Promise<Features> {
  const { dataset, preprocessing, seed, presentation, weights, network, communicator } = plan;
  const { platform, session } = plan.step;
  const { length: images } = dataset.samples;
  const decode = sizedDecodeOptionsOf({ network, preprocessing });
  const { augmentation } = presentation;
  const shard = { rank: communicator.rank, size: communicator.size };
  const source = new BatchSource(dataset, platform.images.decode, { batchSize, decode, seed, augmentation, shard });
  const channels = sizeOf(body.layers.at(-1)!.outputShape);
  const all = new Float32Array(views * images * channels);
  /** Which rows there are: none of a damaged image. */
  const isThere = new Float32Array(views * images);
  const model = { network: body, weights: bodyWeights(body, weights), preprocessing };
  const inference = await loadPredictor(model, platform, session);
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
  const { dataset, preprocessing, presentation, seed, weights } = plan;
  const { platform, session } = plan.step;
  const values = [...bodyWeights(body, weights).values()].map(({ data }) => sha256(data));
  return sha256(
    JSON.stringify({
      format: 1,
      layers: body.layers,
      weights: await Promise.all(values),
      preprocessing,
      device: session?.device ?? "default",
      images: await imagesDigest(dataset, platform),
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

/** What the frozen part of a network makes of images. */
export interface Features {
  /** `[rows, channels]` */
  readonly values: FloatTensor;
  /** `[rows]`, the sample of each row: an index into the data set. */
  readonly samples: Uint32Array;
}

const format = "xception-ts features";

/**
 * Features as the bytes of a `.safetensors` file.
 * @param key what they are of: other images, weights or settings have another one.
 */
export async function encodeFeatures({ values, samples }: Features, key: string): Promise<Uint8Array> {
  const indices: Tensor<"int32"> = { type: "int32", shape: [samples.length], data: Int32Array.from(samples) };
  const metadata = new Map([
    ["format", format],
    ["key", key],
    ["sha256", await checksumOf(values.data, indices.data)],
  ]);
  return writeSafetensors(
    new Map<string, Tensor>([
      ["features", values],
      ["samples", indices],
    ]),
    metadata,
  );
}

/**
 * @param where what errors call the file.
 * @throws {FormatError} the file is no such file, is damaged, or of something else than the key says.
 */
export async function decodeFeatures(bytes: Uint8Array, key: string, where: string): Promise<Features> {
  const { tensors, metadata } = readSafetensors(bytes, where);
  const stored = tensors.get("features");
  const indices = tensors.get("samples");
  const isOurs = metadata.get("format") === format && stored?.shape.length === 2 && indices?.format === "I32";
  if (!isOurs || stored.shape[0] !== indices.shape[0] || indices.shape.length !== 1) {
    throw new FormatError({ where, what: "this is another kind of file", expected: format });
  }
  if (metadata.get("key") !== key) {
    throw new FormatError({
      where,
      what: "these are features of something else",
      received: metadata.get("key"),
      expected: key,
    });
  }
  const { shape, data } = decodeFloats(stored);
  // Copied, since in the file they may lie anywhere.
  const samples = new Int32Array(indices.bytes.slice().buffer);
  const checksum = await checksumOf(data, samples);
  if (metadata.get("sha256") !== checksum) {
    throw new FormatError({
      where,
      what: "the file is damaged: its checksum is wrong",
      received: metadata.get("sha256"),
      expected: checksum,
    });
  }
  return { values: floatTensor(shape, data), samples: Uint32Array.from(samples) };
}

async function checksumOf(...arrays: readonly (Float32Array | Int32Array)[]): Promise<string> {
  return sha256((await Promise.all(arrays.map(sha256))).join());
}
