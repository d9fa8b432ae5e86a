import { describe, expect, it } from "vitest";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { defaultBatchSize } from "../../src/train/batch-size.ts";

function images(count: number): ImageDataset {
  const samples = Array.from({ length: count }, (_, index) => ({ image: "p", label: index % 2, name: `${index}` }));
  return { classes: ["a", "b"], samples };
}

describe("defaultBatchSize", () => {
  it.each([
    ["a small network", { inputShape: [96, 96, 3], width: 0.25 }, 1000, 32],
    ["fewer images than that", { inputShape: [96, 96, 3], width: 0.25 }, 9, 9],
    // 63.0 million outputs of layers · 1.1 · 4 bytes = 0.258 GiB for each image, of 4.
    ["the full network, within memory", {}, 1000, 15],
    ["an image larger than memory is meant for", { inputShape: [1999, 1999, 3] }, 1000, 1],
  ] as const)("%s", (_, options, count, expected) => {
    expect(defaultBatchSize(images(count), xception(options))).toBe(expected);
  });

  it("is larger where activations are computed again", () => {
    // 63.0 million · 0.85 · 4 bytes = 0.200 GiB for each image, of 4.
    expect(defaultBatchSize(images(1000), xception(), { recompute: true })).toBe(20);
  });

  it("is half as large where each activation is kept with its rounded copy", () => {
    expect(defaultBatchSize(images(1000), xception(), { quantizationAware: true })).toBe(7);
  });
});
