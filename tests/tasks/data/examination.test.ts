import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AbortedError } from "../../../src/base/errors.ts";
import type { RgbImage } from "../../../src/base/platform.ts";
import { folderDataset } from "../../../src/data/dataset.ts";
import { nodePlatform as platform } from "../../../src/runtime/node/platform.ts";
import { examineData } from "../../../src/tasks/data/examination.ts";
import { exifOrientation } from "../../../src/tasks/data/exif.ts";
import { correlation, fingerprintOf, similarPairs } from "../../../src/tasks/data/fingerprint.ts";
import { findLabelIssues } from "../../../src/tasks/data/label-issues.ts";
import { findSimilarImages } from "../../../src/tasks/data/similar-images.ts";
import { mulberry32 } from "../../../src/tensor/random.ts";
import { floatTensor } from "../../../src/tensor/tensor.ts";

/** A picture of colored waves, another one for each seed. */
function picture(seed: number, [width, height] = [96, 80]): RgbImage {
  const random = mulberry32(seed);
  const waves = Array.from({ length: 6 }, () => [3 * random(), 3 * random(), 7 * random(), 2 * random()] as const);
  const data = new Uint8Array(width! * height! * 3);
  for (let at = 0; at < data.length; at++) {
    const [x, y] = [(Math.floor(at / 3) % width!) / width!, Math.floor(at / 3 / width!) / height!];
    const level = waves.reduce((sum, [a, b, c, d]) => sum + Math.sin(6 * (a * x + b * y) + c + d * (at % 3)), 0);
    data[at] = 128 + 20 * level;
  }
  return { width: width!, height: height!, data };
}

const encoded = ({ width, height, data }: RgbImage) => sharp(data, { raw: { width, height, channels: 3 } });

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "examined-"));
  for (const name of ["train/a", "train/b", "val/a", "val/b"]) mkdirSync(at(name), { recursive: true });
  for (let index = 0; index < 8; index++) {
    await encoded(picture(index))
      .png()
      .toFile(at(`train/${index % 2 ? "b" : "a"}/${index}.png`));
  }
  const [first, second, third] = [at("train/a/0.png"), at("train/b/1.png"), at("train/a/2.png")];
  copyFileSync(first, at("train/a/0-copy.png"));
  await sharp(first).png({ progressive: true }).toFile(at("train/a/0-pixels.png"));
  await sharp(second).resize({ width: 72 }).jpeg({ quality: 60 }).toFile(at("train/b/1-smaller.jpg"));
  await sharp(third).flop().webp({ quality: 80 }).toFile(at("train/b/2-mirrored.webp"));
  await sharp(at("train/b/3.png")).jpeg({ quality: 95 }).toFile(at("val/b/3.jpg"));
  await encoded(picture(50)).png().toFile(at("val/a/50.png"));
  writeFileSync(at("train/a/broken.jpg"), "not an image");
  await encoded(picture(60)).jpeg().withMetadata({ orientation: 6 }).toFile(at("train/a/rotated.jpg"));
  await encoded(picture(61)).grayscale().jpeg().toFile(at("train/a/gray.jpg"));
  await encoded(picture(62, [640, 20]))
    .png()
    .toFile(at("train/a/strip.png"));
  await encoded(picture(63, [10, 12]))
    .png()
    .toFile(at("train/a/tiny.png"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const read = async (name: string) => folderDataset(await platform.files.list(at(name)));

describe("examineData", () => {
  it("finds unreadable files, copies, leaks and odd images, and lists the clean ones", async () => {
    let done = 0;
    const found = await examineData(await read("train"), {
      platform,
      validation: await read("val"),
      onProgress: (count) => {
        done = count;
      },
    });
    expect(done).toBe(19);
    expect(found.images).toBe(17);
    expect(found.validationImages).toBe(2);
    expect(found.unreadable).toEqual([
      { file: "a/broken.jpg", reason: expect.stringContaining("this is not a supported image") },
    ]);
    expect(found.duplicates).toEqual([
      { kind: "pixels", files: ["a/0-copy.png", "a/0-pixels.png", "a/0.png"] },
      { kind: "mirrored", files: ["a/2.png", "b/2-mirrored.webp"] },
      { kind: "near", files: ["b/1-smaller.jpg", "b/1.png"] },
      { kind: "near", files: ["b/3.png", "validation:b/3.jpg"] },
    ]);
    expect(found.leaks).toEqual([{ kind: "near", files: ["b/3.png", "validation:b/3.jpg"] }]);
    expect(found.odd).toEqual([
      { file: "a/gray.jpg", kind: "grayscale", note: "96×80 pixels" },
      { file: "a/rotated.jpg", kind: "rotated", note: "EXIF orientation 6" },
      { file: "a/strip.png", kind: "elongated", note: "640×20 pixels" },
      { file: "a/tiny.png", kind: "small", note: "10×12 pixels" },
    ]);
    // One of each group of copies; none with labels that differ, or with a validation image.
    expect(found.clean).toEqual([
      ...["a/0-copy.png", "a/4.png", "a/6.png", "a/gray.jpg", "a/rotated.jpg", "a/strip.png", "a/tiny.png"],
      ...["b/1-smaller.jpg", "b/5.png", "b/7.png"],
    ]);
    expect(found.labelIssues).toBe(undefined);
  });

  it("finds images that are similar to one of several copies, once", async () => {
    const dataset = await read("train");
    const images = dataset.samples.map(({ name }) => ({ file: name, label: name[0]! }));
    const values = floatTensor([images.length, images.length]);
    const group = ["a/0-copy.png", "a/0-pixels.png", "a/0.png", "a/4.png"];
    for (const [row, { file }] of images.entries()) {
      values.data[row * images.length + row] = 1;
      if (group.includes(file)) values.data[row * images.length] = 4;
    }
    const { similar } = await examineData(dataset, { platform, features: { images, values } });
    expect(similar!.map(({ files }) => files)).toEqual([["a/0-copy.png", "a/4.png"]]);
  });

  it("heeds a signal", async () => {
    const work = examineData(await read("train"), { platform, signal: AbortSignal.abort() });
    await expect(work).rejects.toThrow(AbortedError);
  });
});

describe("fingerprints", () => {
  it("of copies are close, of others far", () => {
    const [image, other] = [fingerprintOf(picture(1)), fingerprintOf(picture(2))];
    const { width, height, data } = picture(1);
    const flopped = data.map((_, index) => {
      const [pixel, color] = [Math.floor(index / 3), index % 3];
      return data[3 * (pixel - (pixel % width) + width - 1 - (pixel % width)) + color]!;
    });
    const mirrored = fingerprintOf({ width, height, data: flopped });
    expect(similarPairs([image.hash, mirrored.hash], 3)).toEqual([[0, 1, true]]);
    expect(similarPairs([image.hash, other.hash, mirrored.hash], 14)).toEqual([[0, 2, true]]);
    expect(correlation(image.thumbnail, mirrored.thumbnail, true)).toBeGreaterThan(0.999);
  });

  it("are compared in all 64 bits, odd frequencies inverted in the mirror", () => {
    const all = 0xffffffff;
    const hashes = [
      [0, 0],
      [0b111, 0b1],
      [0, all],
      [0b1, all - 2],
    ] as const;
    expect(similarPairs(hashes, 4)).toEqual([
      [0, 1, false],
      [0, 2, true],
      [0, 3, true],
      [1, 2, true],
      [1, 3, true],
      [2, 3, false],
    ]);
    expect(similarPairs(hashes, 1)).toEqual([[0, 2, true]]);
    expect(
      similarPairs(
        [
          [0, 0],
          [all, 0xffff],
        ],
        47,
      ),
    ).toEqual([]);
    expect(
      similarPairs(
        [
          [0, 0],
          [all, 0xffff],
        ],
        48,
      ),
    ).toEqual([
      [0, 1, false],
      [0, 1, true],
    ]);
  });

  it("of images of one color are equal only if the color is", () => {
    const plain = (level: number) => fingerprintOf({ width: 3, height: 5, data: new Uint8Array(45).fill(level) });
    expect(correlation(plain(200).thumbnail, plain(201).thumbnail)).toBe(1);
    expect(correlation(plain(200).thumbnail, plain(210).thumbnail)).toBe(0);
  });
});

it("the EXIF orientation of a damaged file is 1", () => {
  const bytes = new Uint8Array(readFileSync(at("train/a/rotated.jpg")));
  expect(exifOrientation(bytes)).toBe(6);
  for (let end = 0; end < 200; end++) expect([1, 6]).toContain(exifOrientation(bytes.slice(0, end)));
  for (let place = 0; place < 200; place++) {
    const value = exifOrientation(bytes.with(place, 0xff));
    expect(value >= 1 && value <= 8).toBe(true);
  }
});

describe("findSimilarImages", () => {
  /** Images with an axis of their own, and one at this cosine to the first axis, another one to the second. */
  function axes(count: number, cosines: readonly [number, number]) {
    const dimensions = count + 2;
    const values = floatTensor([count + 2, dimensions]);
    for (let axis = 0; axis < dimensions; axis++) values.data[axis * dimensions + axis] = axis + 1;
    for (const [at, cosine] of cosines.entries()) {
      const row = (count + at) * dimensions;
      values.data[row + at] = cosine;
      values.data[row + count + at] = Math.sqrt(1 - cosine ** 2);
    }
    return { images: Array.from({ length: count + 2 }, (_, index) => ({ file: `${index}`, label: "a" })), values };
  }

  it("finds pairs at up to 0.6 of the distance to the fifth neighbor, most similar first", () => {
    // All others are √2 away, 0.6·√2 is the distance at a cosine of 1 - 0.36 = 0.64.
    const found = findSimilarImages(axes(8, [0.65, 0.63]));
    expect(found).toEqual([{ files: ["0", "8"], similarity: expect.closeTo(0.65, 6) }]);
    expect(findSimilarImages(axes(8, [0.65, 0.95])).map(({ files }) => files)).toEqual([
      ["1", "9"],
      ["0", "8"],
    ]);
  });

  it("finds nothing among five images or fewer", () => {
    expect(findSimilarImages(axes(3, [0.99, 0.99]))).toEqual([]);
  });
});

describe("findLabelIssues", () => {
  /** Clouds of points around a center for each class. */
  function clouds(perClass: number, wrong: readonly number[]) {
    const random = mulberry32(3);
    const labels = ["a", "b", "c"];
    const images: { readonly file: string; readonly label: string }[] = [];
    const values = floatTensor([3 * perClass, 6]);
    for (let index = 0; index < 3 * perClass; index++) {
      const truth = index % 3;
      for (let axis = 0; axis < 6; axis++) values.data[index * 6 + axis] = (axis === truth ? 3 : 0) + random() - 0.5;
      images.push({ file: `${index}`, label: labels[wrong.includes(index) ? (truth + 1) % 3 : truth]! });
    }
    return { images, values };
  }

  it("finds exactly the labels that were changed, with the true class", () => {
    const { issues, accuracy } = findLabelIssues(clouds(40, [5, 60, 100]));
    expect(issues.map(({ file }) => file).sort()).toEqual(["100", "5", "60"]);
    expect(issues.find(({ file }) => file === "5")).toMatchObject({ label: "a", suggested: "c" });
    expect(issues[0]!.suggestedProbability).toBeGreaterThan(0.9);
    expect(accuracy).toBeCloseTo(117 / 120, 9);
  });

  it("finds nothing in correct labels, and does not judge a class of a few images", () => {
    expect(findLabelIssues(clouds(40, [])).issues).toEqual([]);
    const { images, values } = clouds(40, []);
    const few = images.map((image, index) => (index < 2 ? { ...image, label: "d" } : image));
    expect(findLabelIssues({ images: few, values })).toMatchObject({ issues: [], unjudged: 1 });
  });
});
