import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BatchSource } from "../../src/data/batches.ts";
import { countPerClass, folderDataset } from "../../src/data/dataset.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";

describe("from a folder to batches, with the real decoder", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "photos-"));
    const jpeg = (red: number) =>
      sharp({ create: { width: 40, height: 30, channels: 3, background: { r: red, g: 0, b: 0 } } })
        .jpeg()
        .toBuffer();
    for (const name of ["cat", "dog"]) await mkdir(join(root, name));
    for (let index = 0; index < 4; index++) {
      await writeFile(join(root, "cat", `${index}.jpg`), await jpeg(index * 20));
      await writeFile(join(root, "dog", `${index}.jpg`), await jpeg(100 + index * 20));
    }
    await writeFile(join(root, "cat", "cut.jpg"), (await jpeg(1)).subarray(0, -20));
    await writeFile(join(root, "dog", "empty.png"), "");
    await writeFile(join(root, "dog", "text.png"), "not an image");
    await writeFile(join(root, "dog", "notes.txt"), "not meant to be one");
  });
  afterAll(() => rm(root, { recursive: true }));

  it("skips damaged files, names them, and keeps images and labels together", async () => {
    const dataset = folderDataset(await nodePlatform.files.list(root));
    expect(countPerClass(dataset)).toEqual([5, 6]);
    const batches = new BatchSource(dataset, nodePlatform.images.decode, {
      batchSize: 4,
      decode: { width: 8, height: 8 },
      seed: 3,
    });
    let seen = 0;
    for await (const { images, labels, indices } of batches.trainingBatches(0)) {
      expect(images.shape).toEqual([4, 8, 8, 3]);
      for (let row = 0; row < 4; row++) {
        const number = Number.parseInt(dataset.samples[indices[row]!]!.name.slice(4), 10);
        const red = images.data[row * 8 * 8 * 3]!;
        expect(Math.abs(red - (labels[row]! * 100 + number * 20))).toBeLessThanOrEqual(2);
        seen++;
      }
    }
    expect(seen).toBe(8);
    expect(batches.skipped.map(({ file }) => file)).toEqual(["cat/cut.jpg", "dog/empty.png", "dog/text.png"]);
    const reasons = batches.skipped.map(
      ({ reason }) => /damaged|empty|not a supported image/.exec(reason.split(": ")[1]!)?.[0],
    );
    expect(reasons).toEqual(["damaged", "empty", "not a supported image"]);
  });
});

const clothing = "../shared/data/clothing/validation";

describe.skipIf(!existsSync(clothing))(`photos (needs ${clothing})`, () => {
  it("reads real photos of ten classes, none of them damaged", async () => {
    const dataset = folderDataset(await nodePlatform.files.list(clothing));
    expect(dataset.classes.slice(0, 3)).toEqual(["dress", "hat", "longsleeve"]);
    expect(dataset.samples).toHaveLength(341);
    const few = { ...dataset, samples: dataset.samples.filter((_, index) => index % 20 === 0) };
    const batches = new BatchSource(few, nodePlatform.images.decode, {
      batchSize: 8,
      decode: { width: 32, height: 32 },
    });
    let count = 0;
    for await (const { images, labels } of batches.evaluationBatches()) {
      for (let row = 0; row < labels.length; row++) {
        const pixels = images.data.subarray(row * 3072, (row + 1) * 3072);
        expect(Math.max(...pixels) - Math.min(...pixels)).toBeGreaterThan(50);
        count++;
      }
    }
    expect(count).toBe(18);
    expect(batches.skipped).toEqual([]);
  });
});
