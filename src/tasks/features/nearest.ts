import { DataError, ShapeError, UsageError } from "../../errors.ts";
import type { EmbeddedImage, Embeddings } from "./embeddings.ts";

/** An image that is like another one. */
export interface Neighbor extends EmbeddedImage {
  /** Of its row among the embeddings, from 0. */
  readonly row: number;
  /** Cosine of the angle between the two embeddings: 1 is the same direction, 0 none in common. */
  readonly similarity: number;
}

export interface NearestOptions {
  /** How many; default 12. */
  readonly top?: number | undefined;
  /** A row to leave out: that of the query itself. */
  readonly except?: number | undefined;
}

/**
 * The images whose embeddings point most nearly the same way, nearest first; equal ones in the order of their rows.
 * @param query `[dimensions]`
 * @throws {ShapeError} the query has another number of dimensions.
 * @throws {DataError} the query or an embedding is zero, and points nowhere.
 * @throws {UsageError} `top` is no count.
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
    what: "all its numbers are 0, so that it points nowhere",
    remedy: "Leave the image out, or choose another layer.",
  });
}
