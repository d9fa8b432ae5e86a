import { DataError, UsageError, WeightsError, type XceptionError } from "../../base/errors.ts";
import type { ImageSource, OnPlatform, Source } from "../../base/platform.ts";
import type { SkippedFile } from "../../base/records.ts";
import { nameOfSource } from "../../base/source.ts";
import type { PredictAllOptions } from "../../model/predictor.ts";
import { floatTensor } from "../../tensor/tensor.ts";
import {
  type EmbeddedImage,
  type Embeddings,
  type EmbeddingsOrigin,
  type NearestOptions,
  type Neighbor,
  nearest,
} from "./embeddings.ts";
import { type LoadExtractorOptions, loadFeatureExtractor, type Pooling } from "./feature-extractor.ts";

/** An image to embed. */
export interface ImageToEmbed extends EmbeddedImage {
  readonly image: ImageSource;
}

/** Options of {@link Verbs.embed}. */
export interface EmbedOptions extends LoadExtractorOptions, Pick<PredictAllOptions, "batchSize" | "signal"> {
  /** Layer whose feature maps are pooled; default: the last one with feature maps. */
  readonly layer?: string | undefined;
  /** Default `avg`. */
  readonly pooling?: Pooling | undefined;
  /** Called after each image. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Embeddings just computed. */
export interface Embedded extends Embeddings {
  /** The model by its path or URL, or `model` if it has none; the images' folder is `.`. */
  readonly origin: EmbeddingsOrigin;
  /** Images that could not be read, or for which the network's values are NaN or infinite; they have no row. */
  readonly skipped: readonly SkippedFile[];
  /** Assumptions about information missing from the model's file, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Computes the embeddings of images, one row for each.
 * @throws as {@link Verbs.embed}.
 */
export async function embed(
  source: Source,
  images: readonly ImageToEmbed[],
  { pooling = "avg", batchSize, signal, onProgress, ...options }: EmbedOptions,
): Promise<Embedded> {
  const rows: Float32Array[] = [];
  const embedded: EmbeddedImage[] = [];
  const skipped: SkippedFile[] = [];
  const { layer: chosen, platform, session, ...how } = options;
  await using extractor = await loadFeatureExtractor(source, { ...how, platform, session });
  const layer = chosen ?? extractor.lastMap;
  const choice = { layers: [layer], pooling };
  const digest = await extractor.digest(choice);
  const sources = images.map(({ image }) => image);
  for await (const result of extractor.featuresAll(sources, { ...choice, batchSize, signal })) {
    const { file, label } = images[rows.length + skipped.length]!;
    if ("error" in result) skipped.push({ file, reason: result.error.message });
    else {
      const { data } = result.maps[0]!.values;
      rows.push(data);
      embedded.push({ file, ...(label !== undefined && { label }) });
    }
    onProgress?.(rows.length + skipped.length);
  }
  if (rows.length === 0) {
    throw new DataError({
      where: "embed",
      what: "none of the images can be embedded",
      received: skipped.slice(0, 3).map(({ reason }) => reason),
    });
  }
  const dimensions = rows[0]!.length;
  const values = floatTensor([rows.length, dimensions], new Float32Array(rows.length * dimensions));
  for (const [row, data] of rows.entries()) values.data.set(data, row * dimensions);
  const origin = { ...how, model: nameOfSource(source) ?? "model", digest, layer, pooling, folder: "." };
  return { images: embedded, values, origin, skipped, notes: extractor.notes };
}

/** Options of {@link Verbs.search}. */
export interface SearchOptions extends NearestOptions, OnPlatform {}

/**
 * Finds the images most similar to one that is embedded for it.
 * @throws as {@link Verbs.search}.
 */
export async function search(
  source: Source,
  image: ImageSource,
  embeddings: Embeddings,
  { platform, session, ...options }: SearchOptions,
): Promise<readonly Neighbor[]> {
  const { extractor: loaded, choice } = await extractorOf(embeddings, source, { platform, session });
  await using extractor = loaded;
  const [map] = await extractor.features(image, choice);
  return nearest(map!.values.data, embeddings, options);
}

/** Most similar images of one of several, or the error. */
export type Searched = { readonly neighbors: readonly Neighbor[] } | { readonly error: XceptionError };

/**
 * Finds the images most similar to each of several, in their order.
 * @param images `row` of one that is among the embeddings itself, so that it is not its own neighbor.
 * @throws as {@link Verbs.search}, but for images.
 */
export async function* searchAll(
  source: Source,
  images: readonly { readonly image: ImageSource; readonly row?: number | undefined }[],
  embeddings: Embeddings,
  { platform, session, top }: SearchOptions,
): AsyncGenerator<Searched, void, void> {
  const { extractor: loaded, choice } = await extractorOf(embeddings, source, { platform, session });
  await using extractor = loaded;
  const sources = images.map(({ image }) => image);
  let index = 0;
  for await (const result of extractor.featuresAll(sources, { ...choice, signal: session?.signal })) {
    const { row: except } = images[index++]!;
    if ("error" in result) yield result;
    else yield { neighbors: nearest(result.maps[0]!.values.data, embeddings, { top, except }) };
  }
}

/**
 * Loads the model that made embeddings.
 * @throws {UsageError} they do not record it.
 * @throws {WeightsError} it is another one.
 */
async function extractorOf(
  embeddings: Embeddings,
  source: Source,
  { platform, session }: Pick<SearchOptions, "platform" | "session">,
) {
  const { digest, model: _, folder: __, layer, pooling, ...how } = originOf(embeddings);
  const extractor = await loadFeatureExtractor(source, { ...how, platform, session });
  const choice = { layers: [layer], pooling };
  const received = await extractor.digest(choice);
  if (received === digest) return { extractor, choice };
  await extractor.dispose();
  const name = nameOfSource(source);
  throw new WeightsError({
    where: name === undefined ? "model" : `model "${name}"`,
    what: "it is not the model that made the embeddings",
    received: `digest ${received.slice(0, 16)}…`,
    expected: `${digest.slice(0, 16)}…`,
    remedy: "Use that model, or embed the images again.",
  });
}

/**
 * Returns the origin of embeddings.
 * @param where names them in errors.
 * @throws {UsageError} they do not record it.
 */
export function originOf({ origin }: Embeddings, where = "embeddings"): EmbeddingsOrigin {
  if (origin) return origin;
  throw new UsageError({
    where,
    what: "the file does not record its model, so other images cannot be compared with its own",
    expected: "the path of one of its images",
    remedy: "Write the embeddings as .safetensors or .json.",
  });
}
