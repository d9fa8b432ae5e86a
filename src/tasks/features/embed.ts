import { DataError, WeightsError } from "../../errors.ts";
import type { ImageSource } from "../../platform.ts";
import type { SkippedFile } from "../../records.ts";
import { floatTensor } from "../../tensor/tensor.ts";
import type { EmbeddedImage, Embeddings } from "./embeddings.ts";
import type { FeatureExtractor } from "./feature-extractor.ts";
import type { Pooling } from "./feature-network.ts";

/** An image to embed. */
export interface ImageToEmbed extends EmbeddedImage {
  readonly image: ImageSource;
}

export interface EmbedOptions {
  /** Whose maps are pooled; default: the last one with maps. */
  readonly layer?: string | undefined;
  /** Default `avg`. */
  readonly pooling?: Pooling | undefined;
  /** Images that the engine sees at a time; default 8. */
  readonly batchSize?: number | undefined;
  /** Ends the work with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each image. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

export interface Embedded extends Embeddings {
  /** Images that could not be read; they have no row. */
  readonly skipped: readonly SkippedFile[];
}

/**
 * What a network makes of images, one row for each.
 * @throws {DataError} none of the images can be read.
 * @throws {UsageError} there is no such layer, or an option is not allowed.
 * @throws {WeightsError} the layer needs weights that the file lacks, or its values are not finite numbers.
 * @throws {AbortedError} the signal fired.
 */
export async function embed(
  extractor: FeatureExtractor,
  images: readonly ImageToEmbed[],
  { layer, pooling = "avg", batchSize, signal, onProgress }: EmbedOptions = {},
): Promise<Embedded> {
  const rows: Float32Array[] = [];
  const embedded: EmbeddedImage[] = [];
  const skipped: SkippedFile[] = [];
  const sources = images.map(({ image }) => image);
  const choice = { layers: [layer ?? extractor.lastMap], pooling, batchSize, signal };
  for await (const result of extractor.featuresAll(sources, choice)) {
    const { file, label } = images[rows.length + skipped.length]!;
    if ("error" in result) skipped.push({ file, reason: result.error.message });
    else {
      const { data } = result.maps[0]!.values;
      if (!data.every(Number.isFinite)) throw notFinite(file);
      rows.push(data);
      embedded.push({ file, ...(label !== undefined && { label }) });
    }
    onProgress?.(rows.length + skipped.length);
  }
  if (rows.length === 0) {
    throw new DataError({
      where: "embed",
      what: "none of the images can be read",
      received: skipped.slice(0, 3).map(({ reason }) => reason),
    });
  }
  const dimensions = rows[0]!.length;
  const values = floatTensor([rows.length, dimensions], new Float32Array(rows.length * dimensions));
  for (const [row, data] of rows.entries()) values.data.set(data, row * dimensions);
  return { images: embedded, values, skipped };
}

function notFinite(file: string): WeightsError {
  return new WeightsError({
    where: `embedding of "${file}"`,
    what: "its values are not finite numbers",
    remedy: "The weights have probably diverged: train again with a lower learning rate.",
  });
}
