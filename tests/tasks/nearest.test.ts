import { describe, expect, it } from "vitest";
import { nearest } from "../../src/tasks/features/embeddings.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const rows = [
  [3, 4],
  [8, 6],
  [-3, -4],
  [-4, 3],
  [30, 40],
];
const embeddings = {
  images: rows.map((_, index) => ({ file: `${index}.jpg`, label: index === 1 ? "cat" : "dog" })),
  values: floatTensor([5, 2], Float32Array.from(rows.flat())),
};

describe("the nearest images", () => {
  it("are those with the largest cosine, whatever their length", () => {
    // [3, 4]·[8, 6] / (5 · 10) = 48/50, [3, 4]·[−4, 3] = 0.
    expect(nearest(Float32Array.of(3, 4), embeddings)).toEqual([
      { file: "0.jpg", label: "dog", row: 0, similarity: 1 },
      { file: "4.jpg", label: "dog", row: 4, similarity: 1 },
      { file: "1.jpg", label: "cat", row: 1, similarity: 0.96 },
      { file: "3.jpg", label: "dog", row: 3, similarity: 0 },
      { file: "2.jpg", label: "dog", row: 2, similarity: -1 },
    ]);
  });

  it("are as many as asked for, without the query itself", () => {
    const found = nearest(Float32Array.of(3, 4), embeddings, { top: 2, except: 0 });
    expect(found.map(({ file }) => file)).toEqual(["4.jpg", "1.jpg"]);
  });

  it("are refused for what has no direction, other dimensions or no count", () => {
    const zero = { images: [{ file: "black.jpg" }], values: floatTensor([1, 2]) };
    const search = (query: number[], among: Parameters<typeof nearest>[1], top = 1) => {
      return () => nearest(Float32Array.from(query), among, { top });
    };
    expect(search([1, 0], zero)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: embedding of "black.jpg": it is a zero vector, which has no direction. Leave the image out, or choose another layer.]`,
    );
    expect(search([0, 0], embeddings)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: embedding of the query: it is a zero vector, which has no direction. Leave the image out, or choose another layer.]`,
    );
    expect(search([1, 2, 3], embeddings)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: search: the query has another number of dimensions than the embeddings; received 3; expected 2. Embed it with the same model, layer and pooling.]`,
    );
    expect(search([1, 2], embeddings, 0)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: option top: this value is not allowed; received 0; expected a whole number from 1.]`,
    );
  });
});
