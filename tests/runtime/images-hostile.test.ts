import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import type { RgbImage } from "../../src/base/platform.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";

const folder = mkdtempSync(join(tmpdir(), "hostile-images-"));
afterAll(() => rmSync(folder, { recursive: true }));

const { decode } = nodePlatform.images;
const size = { width: 8, height: 8 };

async function rejection(image: unknown, options = {}): Promise<string> {
  const error = await decode(image as RgbImage, { ...size, ...options }).then(
    () => expect.fail("it was decoded"),
    (error) => error,
  );
  return `${error.code} ${error.message.replaceAll(folder, "photos").replace(/of \d+ bytes/, "of N bytes")}`;
}

function written(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

/** A PNG of any size, with the data of a small one. */
function pngOf(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const content = Buffer.concat([Buffer.from(type), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(content));
    return Buffer.concat([length, content, check]);
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const parts = [chunk("IHDR", header), chunk("IDAT", deflateSync(Buffer.alloc(1000))), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...parts]);
}

/** An uncompressed TIFF of one channel of floats. */
function grayFloatTiff(width: number, height: number, values: readonly number[]): Buffer {
  const pixels = Buffer.from(
    Float32Array.from({ length: width * height }, (_, at) => values[at % values.length]!).buffer,
  );
  const tags = [
    [256, width],
    [257, height],
    [258, 32],
    [259, 1],
    [262, 1],
    [273, 8],
    [277, 1],
    [278, height],
    [279, pixels.length],
    [339, 3],
  ] as const;
  const directory = Buffer.alloc(2 + 12 * tags.length + 4);
  directory.writeUInt16LE(tags.length);
  for (const [index, [tag, value]] of tags.entries()) {
    directory.writeUInt16LE(tag, 2 + 12 * index);
    directory.writeUInt16LE(4, 4 + 12 * index);
    directory.writeUInt32LE(1, 6 + 12 * index);
    directory.writeUInt32LE(value, 10 + 12 * index);
  }
  const head = Buffer.from("II*\0\0\0\0\0", "latin1");
  head.writeUInt32LE(8 + pixels.length, 4);
  return Buffer.concat([head, pixels, directory]);
}

describe("only documented formats are decoded, whatever the file is called", () => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><image href="beside.png" width="8" height="8"/></svg>`;

  it.each([
    ["an SVG", svg],
    ["an SVG with an XML declaration", `<?xml version="1.0"?>\n${svg}`],
    ["a PPM", "P3 1 1 255 9 9 9"],
    ["a CSV", "1,2,3\n4,5,6\n"],
  ])("%s", async (_, content) => {
    const expected = "this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP.";
    expect(await rejection(written("photo.png", content))).toBe(`FORMAT image "photos/photo.png": ${expected}`);
    expect(await rejection(Buffer.from(content))).toBe(`FORMAT image of N bytes: ${expected}`);
  });

  it("an SVG after the first bytes of another format", async () => {
    for (const start of ["GIF89a", "\xff\xd8", "RIFF    WEBP", "\x89PNG\r\n\x1a\n", "II*\0", "\0\0\0\x20ftypavif"]) {
      const bytes = Buffer.from(`${start}                        ${svg}`, "latin1");
      expect(await rejection(bytes)).toMatch(/^FORMAT image of N bytes: (the image is|this is not a supported image)/);
    }
  });

  it("libvips' own format", async () => {
    await sharp({ create: { ...size, channels: 3, background: "red" } }).toFile(join(folder, "image.v"));
    const renamed = written("image.png", execFileSync("cat", [join(folder, "image.v")]));
    expect(await rejection(renamed)).toContain("this is not a supported image");
  });
});

describe("sizes", () => {
  it.each([
    [2, 49_000_000],
    [49_000_000, 2],
    [65_501, 1],
  ])("%i×%i pixels are rejected before they are decoded", async (width, height) => {
    expect(await rejection(pngOf(width, height))).toBe(
      `FORMAT image of N bytes: the image is too long or too wide; received "${width}×${height} pixels"; expected sides of at most 65500 pixels.`,
    );
  });

  it("65500 pixels are allowed", async () => {
    expect(await rejection(pngOf(65_500, 1))).toContain("the image is damaged or cut short");
  });

  it("of TIFF images have the same limits", async () => {
    const create = { width: 65_501, height: 1, channels: 3, background: "red" } as const;
    const tiff = await sharp({ create }).tiff({ compression: "lzw" }).toBuffer();
    expect(await rejection(tiff)).toContain("the image is too long or too wide");
    const tiff32 = grayFloatTiff(20, 10, [0]);
    expect(await decode(tiff32, { ...size, pixelLimit: 200 })).toMatchObject(size);
    expect(await rejection(tiff32, { pixelLimit: 199 })).toContain("the image has too many pixels");
    expect(await rejection(grayFloatTiff(1000, 1, [0]), { pixelLimit: 499 })).toContain("too many pixels");
  });

  it("of raw pixels are at least 1×1", async () => {
    const data = new Uint8Array(0);
    expect(await rejection({ width: 0, height: 0, data })).toMatchInlineSnapshot(
      `"USAGE image of raw pixels: it has no pixels; received "0×0"; expected width and height from 1."`,
    );
    expect(await rejection({ width: 0.5, height: 2, data: new Uint8Array(3) })).toContain(
      'USAGE image of raw pixels: it has no pixels; received "0.5×2"',
    );
  });
});

it.each([null, undefined, 3, {}, []])("%s is not an image source", async (image) => {
  expect(await rejection(image)).toMatch(/^USAGE image: this is not an image source; received "/);
});

describe("gray TIFF images of floats", () => {
  it("from 0 to 1 have the whole range of brightness", async () => {
    const { data } = await decode(grayFloatTiff(4, 1, [0, 0.25, 0.5, 1]), {});
    expect([...data]).toEqual(
      [0, 64, 128, 255].flatMap((level) => [level, level, level]).map((level) => expect.closeTo(level, -0.5)),
    );
  });

  it("from 0 to 255 come as they are", async () => {
    const { data } = await decode(grayFloatTiff(4, 1, [0, 64, 128, 255]), {});
    expect([...data]).toEqual([0, 64, 128, 255].flatMap((level) => [level, level, level]));
  });
});

it.runIf(process.platform !== "win32")("pipes and devices are rejected before they are opened", async () => {
  const pipe = join(folder, "pipe.jpg");
  execFileSync("mkfifo", [pipe]);
  expect(await rejection(pipe)).toBe(
    'DATA image "photos/pipe.jpg": this is not a regular file; expected an image file.',
  );
  expect(await rejection("/dev/zero")).toContain("this is not a regular file");
});
