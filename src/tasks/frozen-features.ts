import { BatchSource } from "../data/batches.ts";
import type { ImageDataset, Sample } from "../data/dataset.ts";
import { XceptionError } from "../errors.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import { sizeOf } from "../tensor/shape.ts";
import { floatTensor } from "../tensor/tensor.ts";
import { sha256 } from "./digest.ts";
import { decodeFeatures, encodeFeatures, type Features } from "./feature-file.ts";
import { featureNetwork } from "./feature-network.ts";
import type { FrozenFeaturesOptions } from "./head-phase-options.ts";
import { inferenceSession } from "./inference.ts";
import { sizedDecodeOptionsOf } from "./model.ts";
import type { TrainingPlan } from "./train-plan.ts";

const batchSize = 16;

/**
 * What a layer of a network says to the training pictures: taken from the cache, or computed and put there.
 * @param layer that puts out one number for each channel.
 * @throws {DataError} there is no usable picture.
 * @throws {AbortedError} the signal fired.
 */
export async function frozenFeatures(
  plan: TrainingPlan,
  layer: string,
  options: FrozenFeaturesOptions,
): Promise<Features> {
  const { cache, onNote } = options;
  const { network: body } = featureNetwork(plan.network, { layers: [layer] });
  if (cache === undefined) return computeFeatures(plan, body, options);
  const key = await keyOf(plan, body, options.views);
  const name = `${key}.safetensors`;
  try {
    const bytes = await cache.read(name);
    if (bytes !== undefined) {
      const features = await decodeFeatures(bytes, key, name);
      onNote?.(`The features of ${features.samples.length} views were computed before.`);
      return features;
    }
  } catch (error) {
    if (!(error instanceof XceptionError)) throw error;
    onNote?.(`The features that were computed before cannot be used: ${error.message} They are computed anew.`);
  }
  const features = await computeFeatures(plan, body, options);
  try {
    await cache.write(name, await encodeFeatures(features, key));
  } catch (error) {
    if (!(error instanceof XceptionError)) throw error;
    onNote?.(`The features could not be kept for the next time: ${error.message}`);
  }
  return features;
}

async function computeFeatures(plan: TrainingPlan, body: Network, options: FrozenFeaturesOptions): Promise<Features> {
  const { dataset, preprocessing, seed, presentation, weights, network } = plan;
  const { platform, device } = plan.options;
  const { views, signal, onProgress } = options;
  const decode = sizedDecodeOptionsOf({ network, preprocessing });
  const { augmentation } = presentation;
  const source = new BatchSource(dataset, platform.decodeImage, { batchSize, decode, seed, augmentation });
  const rows: Float32Array[] = [];
  const samples: number[] = [];
  const inference = await inferenceSession(body, bodyWeights(body, weights), preprocessing, platform, { device });
  try {
    for (let view = 0; view < views; view++) {
      for await (const { images, indices } of source.viewBatches(view, signal && { signal })) {
        rows.push((await inference.run(images)).data);
        samples.push(...indices);
        onProgress?.(samples.length, views * dataset.samples.length);
      }
    }
  } finally {
    await inference.dispose();
  }
  const channels = sizeOf(body.layers.at(-1)!.outputShape);
  const data = new Float32Array(samples.length * channels);
  let offset = 0;
  for (const row of rows) {
    data.set(row, offset);
    offset += row.length;
  }
  return { values: floatTensor([samples.length, channels], data), samples: Uint32Array.from(samples) };
}

/** Another one for other pictures, weights, or anything else that the features depend on. */
async function keyOf(plan: TrainingPlan, body: Network, views: number): Promise<string> {
  const { dataset, preprocessing, presentation, seed, weights, options } = plan;
  const values = [...bodyWeights(body, weights).values()].map(({ data }) => digestOf(data));
  return sha256(
    JSON.stringify({
      format: 1,
      layers: body.layers,
      weights: await Promise.all(values),
      preprocessing,
      device: options.device ?? "default",
      pictures: await picturesDigest(dataset, options.platform.readFile),
      views,
      ...(views > 1 && { augmentation: presentation.augmentation, seed }),
    }),
  );
}

function bodyWeights(body: Network, weights: TrainingPlan["weights"]): TrainingPlan["weights"] {
  return new Map(networkWeights(body).map(({ name }) => [name, weights.get(name)!]));
}

/** What is in the files counts, not what they are called. */
async function picturesDigest(
  { samples }: ImageDataset,
  readFile: (path: string) => Promise<Uint8Array>,
): Promise<string> {
  const digests: string[] = [];
  for (const { picture } of samples) digests.push(await digestOfPicture(picture, readFile));
  return sha256(digests.join());
}

async function digestOfPicture(
  picture: Sample["picture"],
  readFile: (path: string) => Promise<Uint8Array>,
): Promise<string> {
  if (typeof picture !== "string") return sha256(picture instanceof Uint8Array ? picture : picture.data);
  try {
    return await sha256(await readFile(picture));
  } catch (error) {
    // It will be skipped like any other that cannot be used.
    if (error instanceof XceptionError) return "unreadable";
    throw error;
  }
}

function digestOf({ buffer, byteOffset, byteLength }: Float32Array): Promise<string> {
  return sha256(new Uint8Array(buffer, byteOffset, byteLength));
}
