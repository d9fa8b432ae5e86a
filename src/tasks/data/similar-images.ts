import type { SimilarImages } from "../../report/data.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import type { LabeledFeatures } from "./label-issues.ts";

/** Neighbors that are kept of each image; the last one shows how far apart images of its kind are. */
const neighbors = 5;
/** Largest distance of a pair ÷ distance to that neighbor. */
const largestRatio = 0.6;

/**
 * Finds pairs of images with nearly the same embedding, such as other crops or colors of a photo, or two photos of one thing: they
 * are much closer to each other than both are to their fifth neighbor. So none is found in a group of six or more: it might as well be a
 * class. Compares each with each: 10,000 images of 2048 features take about two minutes.
 * @returns the most similar pair first.
 */
export function findSimilarImages({ images, values }: LabeledFeatures): readonly SimilarImages[] {
  const nearest = nearestOfEach(values);
  const farthestOf = (image: number) => nearest[image]!.at(-1)?.distance ?? 0;
  const pairs = nearest.flatMap((found, image) =>
    found.slice(0, -1).flatMap(({ image: other, distance }) => {
      // A pair that is so close is among the neighbors of both.
      if (other < image || distance > largestRatio * Math.min(farthestOf(image), farthestOf(other))) return [];
      return [{ files: [images[image]!.file, images[other]!.file] as const, similarity: 1 - distance ** 2 / 2 }];
    }),
  );
  return pairs.sort((a, b) => b.similarity - a.similarity);
}

interface Neighbor {
  readonly image: number;
  /** Between the embeddings, scaled to length 1. */
  readonly distance: number;
}

/** The nearest images of each, nearest first; nothing if there are too few images. */
function nearestOfEach(values: FloatTensor): readonly (readonly Neighbor[])[] {
  const [count, dimensions] = values.shape as [number, number];
  const rows = scaledRows(values);
  const nearest = rows.map((): Neighbor[] => []);
  if (count <= neighbors) return nearest;
  const offer = (image: number, other: number, distance: number) => {
    const known = nearest[image]!;
    if (known.length === neighbors && distance >= known.at(-1)!.distance) return;
    const at = known.findLastIndex((each) => each.distance <= distance) + 1;
    known.splice(at, 0, { image: other, distance });
    if (known.length > neighbors) known.pop();
  };
  for (let image = 0; image < count; image += 4) {
    // Four products at a time, so that each row is read a quarter as often.
    const rowAfter = (more: number) => rows[Math.min(image + more, count - 1)]!;
    const [a, b, c, d] = [rowAfter(0), rowAfter(1), rowAfter(2), rowAfter(3)];
    for (let other = image + 1; other < count; other++) {
      const row = rows[other]!;
      let [sumA, sumB, sumC, sumD] = [0, 0, 0, 0];
      for (let at = 0; at < dimensions; at++) {
        const value = row[at]!;
        sumA += a[at]! * value;
        sumB += b[at]! * value;
        sumC += c[at]! * value;
        sumD += d[at]! * value;
      }
      for (const [more, sum] of [sumA, sumB, sumC, sumD].entries()) {
        if (image + more >= other) break;
        const distance = Math.sqrt(Math.max(0, 2 - 2 * sum));
        offer(image + more, other, distance);
        offer(other, image + more, distance);
      }
    }
  }
  return nearest;
}

function scaledRows({ shape, data }: FloatTensor): readonly Float32Array[] {
  const [count, dimensions] = shape as [number, number];
  return Array.from({ length: count }, (_, image) => {
    const row = data.slice(image * dimensions, (image + 1) * dimensions);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    // Images without any feature resemble nothing.
    return length === 0 ? row : row.map((value) => value / length);
  });
}
