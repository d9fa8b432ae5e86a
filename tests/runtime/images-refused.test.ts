import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import type { ImageFile } from "../../src/base/source.ts";
import { decodeImage } from "../../src/runtime/node/images.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "images-"));
});
afterAll(() => rm(folder, { recursive: true }));

const size = { width: 8, height: 8 };
const formats = ["jpeg", "png", "webp", "avif", "gif", "tiff"] as const;

/** Noise, so that no format can end early and still have everything. */
function noise() {
  const data = Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => (at * at * 31 + at * 17) % 251);
  return sharp(data, { raw: { width: 64, height: 64, channels: 3 } });
}

async function written(name: string, content: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

/** Code and message of the error, with the folder of this run taken out. */
async function refusal(source: ImageFile, options = {}): Promise<string> {
  const error = await decodeImage(source, { ...size, ...options }).then(
    () => expect.fail("it was decoded"),
    (error) => error,
  );
  return `${error.code} ${error.message.replaceAll(folder, "photos").replaceAll("\\", "/")}`;
}

describe("files", () => {
  it("missing", async () => {
    expect(await refusal(join(folder, "none.jpg"))).toMatchInlineSnapshot(
      `"DATA image "photos/none.jpg": there is no such file."`,
    );
  });
  it("a folder", async () => {
    expect(await refusal(folder)).toMatchInlineSnapshot(
      `"DATA image "photos": this is a folder; expected an image file."`,
    );
  });
  it("a name the system does not take", async () => {
    const message = await refusal(join(folder, `${"x".repeat(300)}.jpg`));
    expect(message.replaceAll(/x+/g, "xx")).toMatchInlineSnapshot(
      `"DATA image "photos/xx.jpg": the file cannot be read (ENAMETOOLONG)."`,
    );
  });
  it("empty", async () => {
    expect(await refusal(await written("empty.jpg", ""))).toMatchInlineSnapshot(
      `"FORMAT image "photos/empty.jpg": it is empty; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP."`,
    );
  });
  it("text", async () => {
    expect(await refusal(await written("text.jpg", "no image at all"))).toMatchInlineSnapshot(
      `"FORMAT image "photos/text.jpg": this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP."`,
    );
  });
  it("cut short", async () => {
    const bytes = await noise().jpeg().toBuffer();
    expect(await refusal(await written("short.jpg", bytes.subarray(0, bytes.length / 2)))).toMatchInlineSnapshot(
      `"FORMAT image "photos/short.jpg": the image is damaged or cut short (VipsJpeg: premature end of JPEG image)."`,
    );
  });
});

describe("bytes", () => {
  it("none", async () => {
    expect(await refusal(new Uint8Array(0))).toMatchInlineSnapshot(
      `"FORMAT image of 0 bytes: it is empty; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP."`,
    );
  });
  it("of a format that is not supported", async () => {
    const bitmap = new Uint8Array(100);
    bitmap.set([0x42, 0x4d]);
    expect(await refusal(bitmap)).toMatchInlineSnapshot(
      `"FORMAT image of 100 bytes: this is not a supported image; expected JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP."`,
    );
  });
  it("with damage in the header", async () => {
    const bytes = await noise().jpeg().toBuffer();
    expect(await refusal(bytes.subarray(0, 100))).toMatchInlineSnapshot(
      `"FORMAT image of 100 bytes: the image is damaged or cut short (VipsJpeg: premature end of JPEG image)."`,
    );
  });
  it("more pixels than allowed", async () => {
    const bytes = await noise().png().toBuffer();
    await expect(decodeImage(bytes, { ...size, pixelLimit: 64 * 64 })).resolves.toMatchObject(size);
    expect(
      (await refusal(bytes, { pixelLimit: 64 * 64 - 1 })).replace(/of \d+ bytes/, "of N bytes"),
    ).toMatchInlineSnapshot(
      `"FORMAT image of N bytes: the image has too many pixels; expected at most 4095 pixels. If you trust its source, raise the option pixelLimit (--pixel-limit)."`,
    );
  });
});

describe("options", () => {
  it.each([
    { width: 0 },
    { height: 1.5 },
    { pixelLimit: Number.NaN },
    { fit: "crop" },
    { background: [0, 0] },
    { background: [0, 0, 256] },
  ])("%o", async (options) => {
    const [name] = Object.keys(options);
    expect(await refusal(new Uint8Array(1), options)).toContain(
      `USAGE decodeImage option ${name}: this value is not allowed`,
    );
  });

  it("say what is allowed", async () => {
    const nothing = new Uint8Array(1);
    expect(await refusal(nothing, { width: 0 })).toMatchInlineSnapshot(
      `"USAGE decodeImage option width: this value is not allowed; received 0; expected a whole number from 1."`,
    );
    expect(await refusal(nothing, { fit: "crop" })).toMatchInlineSnapshot(
      `"USAGE decodeImage option fit: this value is not allowed; received "crop"; expected fill, cover, contain."`,
    );
    expect(await refusal(nothing, { background: [0, 0, 256] })).toMatchInlineSnapshot(
      `"USAGE decodeImage option background: this value is not allowed; received [0, 0, 256]; expected [red, green, blue], whole numbers from 0 to 255."`,
    );
    expect(await refusal(nothing, { height: undefined })).toMatchInlineSnapshot(
      `"USAGE decodeImage option width and height: this value is not allowed; received [8, undefined]; expected both, or neither."`,
    );
    expect(await refusal(nothing, { atLeast: { width: 8, height: 0.5 } })).toMatchInlineSnapshot(
      `"USAGE decodeImage option atLeast.height: this value is not allowed; received 0.5; expected a whole number from 1."`,
    );
  });
});

describe("half an image is never given out as a whole one", () => {
  it.each(formats)("%s, cut anywhere", async (format) => {
    const bytes = await noise().toFormat(format).toBuffer();
    // The last 12 bytes of a PNG (1 of a GIF) are only the end mark: without it all pixels are still there.
    const endMark = 12;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: bytes.length - endMark - 1 }), async (length) => {
        await expect(decodeImage(bytes.subarray(0, length), size)).rejects.toThrow(FormatError);
      }),
      { numRuns: 30 },
    );
  });

  it("random bytes behind each format's signature give FormatError and nothing else", async () => {
    const heads = await Promise.all(
      formats.map(async (format) => (await noise().toFormat(format).toBuffer()).subarray(0, 12)),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 200 }), async (head, rest) => {
        await expect(decodeImage(Buffer.concat([head, rest]), size)).rejects.toThrow(FormatError);
      }),
      { numRuns: 60 },
    );
  });
});
