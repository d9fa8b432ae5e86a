import { expect, it } from "vitest";
import { augmentations, noAugmentation } from "../../src/data/augmentation.ts";
import { BatchSource } from "../../src/data/batches.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { describeImageChange } from "../../src/data/image-change.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type AugmentationSheetOptions, augmentationSheet } from "../../src/train/augmentation-sheet.ts";
import { coloredImages, imageSize } from "./train-fixtures.ts";

const dataset = coloredImages(9, 1);
const decode = { width: imageSize, height: imageSize };

function sheetOf(options: Partial<AugmentationSheetOptions> = {}, images: ImageDataset = dataset) {
  const augmentation = augmentations.strong;
  return augmentationSheet(images, {
    platform: nodePlatform,
    decode,
    seed: 3,
    augmentation,
    labelSmoothing: 0,
    subtitle: "",
    ...options,
  });
}

const pixelsOf = async (png: Uint8Array) => (await nodePlatform.images.decode(png, decode)).data;

it("shows images of all classes in turn, pixel for pixel as the training sees them", async () => {
  const { columns, rows } = await sheetOf({ epochs: 2, images: 4 });
  expect(columns).toEqual(["Original", "Epoch 1", "Epoch 2"]);
  expect(rows.map(([original]) => original!.caption[0])).toEqual(
    ["red", "green", "blue", "red"].map((text) => ({ text, isStrong: true })),
  );
  const batches = new BatchSource(dataset, nodePlatform.images.decode, {
    batchSize: 9,
    decode,
    seed: 3,
    augmentation: augmentations.strong,
  });
  for (const [original, ...shown] of rows) {
    const index = dataset.samples.findIndex(({ name }) => name === original!.caption[1]!.text);
    const { image } = dataset.samples[index]!;
    expect(await pixelsOf(original!.png)).toEqual((image as { data: Uint8Array }).data);
    for (const [epoch, { png }] of shown.entries()) {
      const { value: batch } = await batches.trainingBatches(epoch).next();
      const bytes = batch!.images.data.length / 9;
      const row = batch!.indices.indexOf(index);
      expect(await pixelsOf(png)).toEqual(batch!.images.data.slice(row * bytes, (row + 1) * bytes));
    }
  }
});

it("is the same for the same seed, and says what is mixed with what", async () => {
  const options = { mixing: { mixup: 1 }, augmentation: noAugmentation, labelSmoothing: 0.3, epochs: 1, images: 3 };
  const { rows } = await sheetOf(options);
  expect((await sheetOf(options)).rows).toEqual(rows);
  const [red, green, blue] = await Promise.all(rows.map(([original]) => pixelsOf(original!.png)));
  const partners = [green!, blue!, red!];
  for (const [row, [original, mixed]] of rows.entries()) {
    const [nothing, mixture, target] = mixed!.caption.map(({ text }) => text);
    expect(nothing).toBe("as it is");
    const theirs = Number(/^mixup: (\d+)\u00a0% from (below|the first)$/.exec(mixture!)![1]) / 100;
    const names = [0, 1].map((step) => ["red", "green", "blue"][(row + step) % 3]!);
    // Of each target 0.7 is the label's and 0.1 is everybody's.
    const [own, other] = [0.1 + 0.7 * (1 - theirs), 0.1 + 0.7 * theirs];
    const parts = target!.split(" + ").map((part) => part.split("\u00a0"));
    expect(parts.map(([name]) => name)).toEqual(names);
    expect(Number(parts[0]![1])).toBeCloseTo(own, 1);
    expect(Number(parts[1]![1])).toBeCloseTo(other, 1);
    const [before, after] = [await pixelsOf(original!.png), await pixelsOf(mixed!.png)];
    const difference = after.map((value, at) =>
      Math.abs(value - (before[at]! * (1 - theirs) + partners[row]![at]! * theirs)),
    );
    expect(Math.max(...difference)).toBeLessThan(3);
  }
});

it("passes damaged images over, and needs one that is not", async () => {
  const samples = dataset.samples.map((sample, index) => (index < 4 ? { ...sample, image: Uint8Array.of(1) } : sample));
  expect((await sheetOf({ images: 9 }, { ...dataset, samples })).rows.length).toBe(5);
  const broken = samples.slice(0, 4);
  await expect(sheetOf({}, { ...dataset, samples: broken })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[DataError: data set: there is no usable image to show (4 skipped). The first that was skipped: image of 1 bytes: this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.]`,
  );
});

it("says each change in a few words", () => {
  const change = {
    move: {
      isFlipped: true,
      window: { x: 0, y: 0, width: 0.5, height: 0.8 },
      rotationDegrees: -7.3,
      scale: 1.1,
      shiftX: 0.02,
      shiftY: -0.3,
    },
    colors: { brightness: 1.25, contrast: 1, saturation: 0.5 },
    hueTurn: -0.1,
    operations: [
      { name: "equalize", argument: 0 },
      { name: "rotate", argument: 27 },
      { name: "shear-x", argument: -0.27 },
      { name: "posterize", argument: 4 },
      { name: "solarize", argument: 25.6 },
      { name: "color", argument: 1.81 },
    ],
    erased: { x: 0, y: 0, width: 0.5, height: 0.25, fill: "gray", seed: 1 },
  } as const;
  expect(describeImageChange(change).map((line) => line.replaceAll("\u00a0", " "))).toEqual([
    "flip, window 40 %, turn −7°, scale ×1.10, shift 2, −30 %",
    "brightness ×1.25, saturation ×0.50, hue −36°",
    "equalize, rotate 27°, shear-x −27 %, posterize 4 bits, solarize from 26, color ×1.81",
    "erase 13 %",
  ]);
});
