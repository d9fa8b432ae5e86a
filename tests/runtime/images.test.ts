import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { DecodeOptions, RgbImage } from "../../src/base/platform.ts";
import { decodeImage, encodePng } from "../../src/runtime/node/images.ts";

type Color = readonly [number, number, number];
const size8 = { width: 8, height: 8 };

/** One color all over, as raw pixels with as many channels as the color has parts. */
function plain(color: readonly number[], width = 8, height = 8) {
  const data = Uint8Array.from({ length: width * height * color.length }, (_, index) => color[index % color.length]!);
  return sharp(data, { raw: { width, height, channels: color.length as 1 | 2 | 3 | 4 } });
}

function plain16(color: readonly number[], space: "gray16" | "rgb16") {
  const data = Uint16Array.from({ length: 64 * color.length }, (_, index) => color[index % color.length]!);
  return sharp(data, { raw: { ...size8, channels: color.length as 1 | 2 | 3 | 4 } }).toColorspace(space);
}

function pixel({ width, data }: RgbImage, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
}

/** Checks that all pixels are within `tolerance` of one color. */
function expectPlain(image: RgbImage, color: Color, tolerance = 0): void {
  expect(image.data.length).toBe(image.width * image.height * 3);
  const largest = image.data.reduce((most, value, at) => Math.max(most, Math.abs(value - color[at % 3]!)), 0);
  expect(largest, `${pixel(image, 0, 0)} is not ${color}`).toBeLessThanOrEqual(tolerance);
}

describe("formats", () => {
  const color = [40, 120, 200] as const;

  it.each([
    ["png", 0],
    ["tiff", 1],
    ["webp", 3],
    ["jpeg", 2],
    ["avif", 3],
    ["gif", 0],
  ] as const)("%s is decoded within %i of what was written", async (format, tolerance) => {
    const bytes = await plain(color, 16, 16).toFormat(format, { quality: 95 }).toBuffer();
    const image = await decodeImage(bytes, size8);
    expect([image.width, image.height]).toEqual([8, 8]);
    expect(image.data.constructor).toBe(Uint8Array);
    expectPlain(image, color, tolerance);
  });

  it("takes the first frame of an animated GIF", async () => {
    const frames = [plain([250, 0, 0]), plain([0, 250, 0])].map((frame) => frame.png().toBuffer());
    const gif = await sharp(await Promise.all(frames), { join: { animated: true } })
      .gif()
      .toBuffer();
    expect((await sharp(gif).metadata()).pages).toBe(2);
    expectPlain(await decodeImage(gif, size8), [250, 0, 0]);
  });

  it.each(["png", "jpeg"] as const)("a gray %s has three equal channels", async (format) => {
    const bytes = await plain([77]).toColorspace("b-w").toFormat(format).toBuffer();
    expect((await sharp(bytes).metadata()).channels).toBe(1);
    expectPlain(await decodeImage(bytes, size8), [77, 77, 77]);
  });

  it("a palette PNG has its colors", async () => {
    const bytes = await plain(color).png({ palette: true }).toBuffer();
    expect((await sharp(bytes).metadata()).isPalette).toBe(true);
    expectPlain(await decodeImage(bytes, size8), color);
  });

  it.each(["jpeg", "tiff"] as const)("a CMYK %s comes back in RGB", async (format) => {
    const bytes = await plain([180, 120, 90]).toColorspace("cmyk").toFormat(format, { quality: 100 }).toBuffer();
    expect((await sharp(bytes).metadata()).space).toBe("cmyk");
    // Two printing-color conversions, rounded to 8 bits of ink each time.
    expectPlain(await decodeImage(bytes, size8), [180, 120, 90], 10);
  });

  it("16-bit values keep their upper eight bits", async () => {
    const color16 = await plain16([0xff80, 0x8040, 0x1001], "rgb16").png().toBuffer();
    expect((await sharp(color16).metadata()).depth).toBe("ushort");
    expectPlain(await decodeImage(color16, size8), [0xff, 0x80, 0x10]);
    const gray16 = await plain16([0x4a10], "gray16").png().toBuffer();
    expectPlain(await decodeImage(gray16, size8), [0x4a, 0x4a, 0x4a]);
  });

  it("an embedded wide-gamut profile is converted to sRGB", async () => {
    // sharp writes the sRGB color as the numbers that show it in Display P3, so reading must bring the color back.
    const bytes = await plain([200, 100, 50]).withIccProfile("p3").png().toBuffer();
    const numbers = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer();
    expect(Math.abs(numbers[0]! - 200)).toBeGreaterThan(8);
    expectPlain(await decodeImage(bytes, size8), [200, 100, 50], 1);
    const bytes16 = await sharp(bytes).keepIccProfile().toColorspace("rgb16").png().toBuffer();
    expect(await sharp(bytes16).metadata()).toMatchObject({ depth: "ushort", hasProfile: true });
    expectPlain(await decodeImage(bytes16, size8), [200, 100, 50], 1);
  });
});

describe("transparency", () => {
  const background = [255, 0, 0] as const;

  it.each(["png", "webp", "avif", "tiff"] as const)(
    "a half transparent %s is mixed with the background",
    async (format) => {
      // sharp's own choice for TIFF, JPEG inside, has no transparency.
      const options = { png: {}, webp: { lossless: true }, avif: { lossless: true }, tiff: { compression: "lzw" } };
      const bytes = await plain([0, 200, 100, 128]).toFormat(format, options[format]).toBuffer();
      // 128/255 of the image, 127/255 of the background.
      expectPlain(await decodeImage(bytes, { ...size8, background }), [127, 100, 50], 1);
    },
  );

  it("lies over white when nothing is said", async () => {
    const bytes = await plain([0, 200, 100, 0]).png().toBuffer();
    expectPlain(await decodeImage(bytes, size8), [255, 255, 255]);
  });

  it("a gray image gets a colored background", async () => {
    const gray8 = await plain([64, 128]).toColorspace("b-w").png().toBuffer();
    expect((await sharp(gray8).metadata()).channels).toBe(2);
    expectPlain(await decodeImage(gray8, { ...size8, background }), [159, 32, 32], 1);
    const gray16 = await plain16([0x4000, 0x8000], "gray16").png().toBuffer();
    expectPlain(await decodeImage(gray16, { ...size8, background }), [159, 32, 32], 1);
  });

  it("a 16-bit image is mixed as an 8-bit one", async () => {
    const bytes = await plain16([0xff00, 0x8000, 0x1000, 0x8000], "rgb16").png().toBuffer();
    expectPlain(await decodeImage(bytes, { ...size8, background }), [255, 64, 8], 1);
  });

  it("colors hidden under full transparency do not bleed when the image shrinks", async () => {
    const data = Uint8Array.from({ length: 32 * 32 * 4 }, (_, at) => {
      const isRight = Math.floor(at / 4) % 32 >= 16;
      return [0, 255, 0, isRight ? 0 : 255][at % 4]!;
    });
    const bytes = await sharp(data, { raw: { width: 32, height: 32, channels: 4 } })
      .png()
      .toBuffer();
    const image = await decodeImage(bytes, { ...size8, background });
    expect(pixel(image, 0, 4)).toEqual([0, 255, 0]);
    expect(pixel(image, 7, 4)).toEqual([255, 0, 0]);
  });
});

describe("EXIF orientation", () => {
  // Upright: red top left, green top right, blue bottom left, white bottom right; 24 wide and 16 high.
  const corners: readonly Color[] = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [255, 255, 255],
  ];
  const upright = Uint8Array.from({ length: 24 * 16 * 3 }, (_, at) => {
    const column = Math.floor(at / 3) % 24;
    const row = Math.floor(at / 72);
    return corners[(row < 8 ? 0 : 2) + (column < 12 ? 0 : 1)]![at % 3]!;
  });
  // By the EXIF standard: where the pixel stored at (column, row) belongs in the upright image.
  const placeOf: Readonly<Record<number, (column: number, row: number) => readonly [x: number, y: number]>> = {
    1: (column, row) => [column, row],
    2: (column, row) => [23 - column, row],
    3: (column, row) => [23 - column, 15 - row],
    4: (column, row) => [column, 15 - row],
    5: (column, row) => [row, column],
    6: (column, row) => [23 - row, column],
    7: (column, row) => [23 - row, 15 - column],
    8: (column, row) => [row, 15 - column],
  };

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("%i decodes to the upright image", async (orientation) => {
    const [width, height] = orientation < 5 ? [24, 16] : [16, 24];
    const data = Uint8Array.from({ length: upright.length }, (_, at) => {
      const stored = Math.floor(at / 3);
      const [x, y] = placeOf[orientation]!(stored % width, Math.floor(stored / width));
      return upright[(y * 24 + x) * 3 + (at % 3)]!;
    });
    const stored = sharp(data, { raw: { width, height, channels: 3 } }).withMetadata({ orientation });
    const image = await decodeImage(await stored.clone().png().toBuffer(), { width: 24, height: 16 });
    expect(image.data).toEqual(upright);

    const jpeg = await stored.clone().jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer();
    const half = await decodeImage(jpeg, { width: 12, height: 8 });
    const seen = [pixel(half, 1, 1), pixel(half, 10, 1), pixel(half, 1, 6), pixel(half, 10, 6)].flat();
    expect(Math.max(...seen.map((value, at) => Math.abs(value - corners.flat()[at]!)))).toBeLessThanOrEqual(8);
  });
});

describe("size and fit", () => {
  /** Left half black, right half white. */
  function halves(width: number, height: number) {
    const data = Uint8Array.from({ length: width * height }, (_, at) => (at % width < width / 2 ? 0 : 255));
    return sharp(data, { raw: { width, height, channels: 1 } });
  }

  it("fill stretches to any size", async () => {
    const image = await decodeImage(await halves(40, 10).png().toBuffer(), { width: 5, height: 20 });
    expect([image.width, image.height]).toEqual([5, 20]);
    expect(pixel(image, 0, 0)).toEqual([0, 0, 0]);
    expect(pixel(image, 4, 19)).toEqual([255, 255, 255]);
  });

  it("cover crops what hangs over, evenly on both sides", async () => {
    const third = Uint8Array.from({ length: 30 * 10 }, (_, at) => (at % 30 >= 10 && at % 30 < 20 ? 200 : 0));
    const png = await sharp(third, { raw: { width: 30, height: 10, channels: 1 } })
      .png()
      .toBuffer();
    expectPlain(await decodeImage(png, { width: 10, height: 10, fit: "cover" }), [200, 200, 200]);
  });

  it.each(["png", "jpeg"] as const)("contain puts a colored border round a gray %s", async (format) => {
    const bytes = await plain([100], 16, 8).toColorspace("b-w").toFormat(format).toBuffer();
    const options: DecodeOptions = { ...size8, fit: "contain", background: [10, 20, 30] };
    const image = await decodeImage(bytes, options);
    const rows = Array.from({ length: 8 }, (_, row) => pixel(image, 3, row));
    const border = [10, 20, 30];
    const gray = [100, 100, 100];
    expect(rows).toEqual([border, border, gray, gray, gray, gray, border, border]);
  });

  it("contain centers an image that is too high", async () => {
    const image = await decodeImage(await plain([1, 2, 3], 4, 8).png().toBuffer(), { ...size8, fit: "contain" });
    const columns = Array.from({ length: 8 }, (_, column) => pixel(image, column, 0)[0]);
    expect(columns).toEqual([255, 255, 1, 1, 1, 1, 255, 255]);
  });

  it("averages the pixels that fall together, so that fine patterns turn gray instead of aliasing", async () => {
    const checks = Uint8Array.from({ length: 64 * 64 }, (_, at) => ((at + Math.floor(at / 64)) % 2 === 0 ? 0 : 255));
    const png = await sharp(checks, { raw: { width: 64, height: 64, channels: 1 } })
      .png()
      .toBuffer();
    expectPlain(await decodeImage(png, size8), [127, 127, 127], 3);
  });

  it.each(["jpeg", "webp", "png"] as const)("a %s gives the same pixels by path and by content", async (format) => {
    const bytes = await halves(640, 480).toFormat(format).toBuffer();
    const folder = await mkdtemp(join(tmpdir(), "images-"));
    try {
      const path = join(folder, `ein Bild é.${format}`);
      await writeFile(path, bytes);
      const target = { width: 71, height: 71 };
      expect((await decodeImage(path, target)).data).toEqual((await decodeImage(bytes, target)).data);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("encodePng", () => {
  it("is undone by decodeImage", async () => {
    const image = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, at) => at * 14) };
    expect(await decodeImage(await encodePng(image), { width: 3, height: 2 })).toEqual(image);
  });

  it("refuses data of another size", async () => {
    await expect(
      encodePng({ width: 2, height: 2, data: new Uint8Array(5) }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: encodePng: the data does not fill the image; received "5 bytes for 2×2 pixels"; expected 12 bytes.]`,
    );
  });
});
