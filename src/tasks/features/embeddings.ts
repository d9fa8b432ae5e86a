import { z } from "zod";
import { DataError, FormatError, ShapeError, UsageError } from "../../base/errors.ts";
import { type ArchitectureName, architectureNames, type NetworkOptions } from "../../models/registry.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";

/** An image with an embedding. */
export interface EmbeddedImage {
  /** Its path inside the images' folder, with `/` as the separator. */
  readonly file: string;
  /** Its class. */
  readonly label?: string | undefined;
}

/** Embeddings of images: one vector each; similar images have similar directions. */
export interface Embeddings {
  readonly images: readonly EmbeddedImage[];
  /** `[images, dimensions]` */
  readonly values: FloatTensor;
  /** Origin of the embeddings, for embedding another image in the same way; CSV cannot store it. */
  readonly origin?: EmbeddingsOrigin | undefined;
}

/** The model of the embeddings, and the folder of the images; paths are relative to the embeddings' file. */
export interface EmbeddingsOrigin {
  /** Path or URL of the model file, or `imagenet`. */
  readonly model: string;
  /** Digest of the model, see `FeatureExtractor.digest`. */
  readonly digest: string;
  /** As in `openAs`, if the model file holds only weights. */
  readonly network?: NetworkOptions | undefined;
  readonly architecture?: ArchitectureName | undefined;
  readonly allowMissing?: string | undefined;
  readonly key?: string | undefined;
  readonly layer: string;
  readonly pooling: "avg" | "max";
  readonly folder: string;
}

const originSchema = z.object({
  model: z.string().min(1),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  // Validated when the network is built.
  network: z.record(z.string(), z.json()).optional(),
  architecture: z.enum(architectureNames).optional(),
  allowMissing: z.string().optional(),
  key: z.string().optional(),
  layer: z.string().min(1),
  pooling: z.enum(["avg", "max"]),
  folder: z.string().min(1),
});

/** An image in a file. */
export const imageSchema = z.object({ file: z.string().min(1), label: z.string().min(1).optional() });

/** Version of the files. */
export const embeddingsVersion = 1;

/** Everything in a file besides the values. */
export const documentSchema = z.object({
  formatVersion: z.literal(embeddingsVersion),
  origin: originSchema.optional(),
  images: z.array(imageSchema),
});

/**
 * Builds embeddings from the parsed parts of a file.
 * @throws {FormatError} the number of rows differs from the images, there are none, or a value is NaN or infinite.
 */
export function checkedEmbeddings(
  { images, origin }: z.infer<typeof documentSchema>,
  values: FloatTensor,
  where: string,
): Embeddings {
  const [rows, dimensions] = values.shape;
  if (values.shape.length !== 2 || rows !== images.length || rows === 0 || dimensions === 0) {
    throw new FormatError({
      where,
      what: "its values do not match its images",
      received: `values ${JSON.stringify(values.shape)} for ${images.length} images`,
      expected: "[images, dimensions], one image at least",
    });
  }
  const bad = values.data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const { file } = images[Math.floor(bad / dimensions!)]!;
    throw new FormatError({
      where: `${where}, image "${file}", dimension ${bad % dimensions!}`,
      what: "the value is not finite",
      received: values.data[bad],
    });
  }
  return { images, values, origin: origin as EmbeddingsOrigin | undefined };
}

/** A similar image. */
export interface Neighbor extends EmbeddedImage {
  /** Its row among the embeddings, from 0. */
  readonly row: number;
  /** Cosine similarity of the two embeddings: 1 is the same direction, 0 orthogonal. */
  readonly similarity: number;
}

/** Options of {@link nearest}. */
export interface NearestOptions {
  /** Number of neighbors; default 12. */
  readonly top?: number | undefined;
  /** Row to exclude: that of the query itself. */
  readonly except?: number | undefined;
}

/**
 * Finds the images with the most similar embeddings, most similar first; ties in row order.
 * @param query `[dimensions]`
 * @throws {ShapeError} the query has another number of dimensions.
 * @throws {DataError} the query or an embedding is a zero vector.
 * @throws {UsageError} `top` is not a positive integer.
 */
export function nearest(
  query: Float32Array,
  { images, values }: Pick<Embeddings, "images" | "values">,
  { top = 12, except }: NearestOptions = {},
): readonly Neighbor[] {
  if (!(Number.isInteger(top) && top >= 1)) {
    const expected = "a whole number from 1";
    throw new UsageError({ where: "option top", what: "this value is not allowed", received: top, expected });
  }
  const dimensions = values.shape[1]!;
  if (query.length !== dimensions) {
    throw new ShapeError({
      where: "search",
      what: "the query has another number of dimensions than the embeddings",
      received: query.length,
      expected: String(dimensions),
      remedy: "Embed it with the same model, layer and pooling.",
    });
  }
  const length = lengthOf(query, "the query");
  const found = images.map((image, row): Neighbor => {
    const embedding = values.data.subarray(row * dimensions, (row + 1) * dimensions);
    return { ...image, row, similarity: dot(query, embedding) / (length * lengthOf(embedding, image.file)) };
  });
  return found
    .filter(({ row }) => row !== except)
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, top);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (const [index, value] of a.entries()) sum += value * b[index]!;
  return sum;
}

function lengthOf(embedding: Float32Array, of: string): number {
  const length = Math.sqrt(dot(embedding, embedding));
  if (length > 0) return length;
  throw new DataError({
    where: `embedding of ${of === "the query" ? of : JSON.stringify(of)}`,
    what: "it is a zero vector, which has no direction",
    remedy: "Leave the image out, or choose another layer.",
  });
}
