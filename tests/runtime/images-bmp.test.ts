import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type BmpParts, bmp } from "./bmp-file.ts";

const folder = mkdtempSync(join(tmpdir(), "bmp-"));
afterAll(() => rmSync(folder, { recursive: true }));
const { decode, encodePng } = nodePlatform.images;

const [red, green, blue, white, black] = ["ff0000", "00ff00", "0000ff", "ffffff", "000000"] as const;
/** Palette entries: black, red, green, blue. */
const four = [
  [0, 0, 0, 0],
  [0, 0, 255, 0],
  [0, 255, 0, 0],
  [255, 0, 0, 0],
];

async function colors(bytes: Uint8Array, options = {}): Promise<readonly string[]> {
  const { data } = await decode(bytes, options);
  return Buffer.from(data).toString("hex").match(/.{6}/g)!;
}

it.each<[string, BmpParts, readonly string[]]>([
  // Rows are stored from the bottom up and padded to four bytes.
  ["24 bits", { width: 1, height: 2, bits: 24, pixels: [0, 0, 255, 0, 255, 0, 0, 0] }, [blue, red]],
  ["24 bits from the top", { width: 1, height: -2, bits: 24, pixels: [0, 0, 255, 0, 255, 0, 0, 0] }, [red, blue]],
  [
    "24 bits, the last padding left out",
    { width: 1, height: 2, bits: 24, pixels: [0, 0, 255, 0, 255, 0, 0] },
    [blue, red],
  ],
  // The fourth byte means nothing.
  ["32 bits", { width: 2, height: 1, bits: 32, pixels: [0, 255, 0, 0, 255, 255, 255, 7] }, [green, white]],
  ["16 bits: 5 for each color", { width: 2, height: 1, bits: 16, pixels: [0x00, 0x7c, 0x10, 0x02] }, [red, "008484"]],
  ["8 bits", { width: 3, height: 1, bits: 8, palette: four, colors: 4, pixels: [1, 3, 2, 0] }, [red, blue, green]],
  [
    "4 bits",
    { width: 3, height: 1, bits: 4, palette: four, colors: 4, pixels: [0x13, 0x20, 0, 0] },
    [red, blue, green],
  ],
  ["2 bits", { width: 3, height: 1, bits: 2, palette: four, pixels: [0b01111000, 0, 0, 0] }, [red, blue, green]],
  [
    "1 bit",
    { width: 3, height: 1, bits: 1, palette: four.slice(0, 2), pixels: [0b10100000, 0, 0, 0] },
    [red, black, red],
  ],
  [
    "OS/2's header, with three bytes for each color",
    {
      width: 2,
      height: 1,
      bits: 1,
      header: 12,
      palette: [
        [255, 0, 0],
        [0, 255, 0],
      ],
      pixels: [0b01000000, 0, 0, 0],
    },
    [blue, green],
  ],
  [
    "16 bits: 5, 6 and 5",
    { width: 2, height: 1, bits: 16, compression: 3, masks: [0xf800, 0x7e0, 0x1f], pixels: [0xe0, 0x07, 0x1f, 0] },
    [green, blue],
  ],
  [
    "32 bits with alpha, in Windows 5's header, over white",
    {
      ...{ width: 2, height: 1, bits: 32, compression: 3, header: 124 },
      masks: [0xff, 0xff00, 0xff0000, 0xff000000],
      pixels: [255, 0, 0, 255, 255, 0, 0, 0],
    },
    [red, white],
  ],
  [
    "run lengths of 8 bits: a run, a skipped pixel, literal ones, the next row",
    {
      ...{ width: 4, height: 2, bits: 8, compression: 1, palette: four, colors: 4 },
      pixels: [2, 1, 0, 2, 1, 0, 1, 3, 0, 0, 0, 3, 1, 2, 3, 0, 0, 1],
    },
    [red, green, blue, black, red, red, black, blue],
  ],
  [
    "run lengths of 4 bits",
    {
      ...{ width: 5, height: 1, bits: 4, compression: 2, palette: four, colors: 4 },
      pixels: [2, 0x12, 0, 3, 0x31, 0x20, 0, 1],
    },
    [red, green, blue, red, green],
  ],
])("%s", async (_, parts, expected) => {
  expect(await colors(bmp(parts))).toEqual(expected);
});

it("is resized like any other format, from a path, too", async () => {
  const pixels = Array.from({ length: 3 * 8 * 6 }, (_, index) => (index * 37) % 256);
  const bytes = bmp({ width: 8, height: -6, bits: 24, pixels });
  const whole = await decode(bytes, {});
  const options = { width: 5, height: 3, fit: "cover" } as const;
  const path = join(folder, "photo.bmp");
  writeFileSync(path, bytes);
  expect(await decode(path, options)).toEqual(await decode(await encodePng(whole), options));
});

it.each<[string, Uint8Array, object, string]>([
  [
    "an end in the header",
    bmp({ width: 1, height: 1, bits: 24, pixels: [] }).subarray(0, 30),
    {},
    "damaged or cut short (its header is cut short)",
  ],
  [
    "an end in the masks",
    bmp({ width: 1, height: 1, bits: 16, compression: 3, pixels: [] }),
    {},
    "(its masks are cut short)",
  ],
  ["an end in the pixels", bmp({ width: 2, height: 2, bits: 24, pixels: [1, 2, 3] }), {}, "(its pixels are cut short)"],
  [
    "an end in the runs",
    bmp({ width: 2, height: 2, bits: 8, compression: 1, palette: four, pixels: [1] }),
    {},
    "(its pixels are cut short)",
  ],
  ["no width", bmp({ width: 0, height: 2, bits: 24, pixels: [] }), {}, "(it has 0×2 pixels)"],
  ["a negative width", bmp({ width: -3, height: 2, bits: 24, pixels: [] }), {}, "(it has -3×2 pixels)"],
  [
    "a JPEG in it",
    bmp({ width: 1, height: 1, bits: 24, compression: 4, pixels: [] }),
    {},
    'this kind of BMP is not supported; received "compression 4 with 24 bits per pixel"; expected 1 to 32 bits, uncompressed, run lengths or bit fields',
  ],
  ["7 bits", bmp({ width: 1, height: 1, bits: 7, pixels: [] }), {}, "compression 0 with 7 bits per pixel"],
  [
    "a side of 65,501 pixels",
    bmp({ width: 65_501, height: 1, bits: 1, pixels: [] }),
    {},
    "the image is too long or too wide",
  ],
  [
    "the height −2³¹",
    bmp({ width: 1, height: -(2 ** 31), bits: 1, pixels: [] }),
    {},
    "the image is too long or too wide",
  ],
  [
    "more pixels than allowed",
    bmp({ width: 60_000, height: 60_000, bits: 8, compression: 1, pixels: [0, 1] }),
    {},
    "too many pixels",
  ],
  [
    "a larger file than such an image needs",
    bmp({ width: 1, height: 1, bits: 1, pixels: new Array(3000).fill(0) }),
    { pixelLimit: 1 },
    "too many pixels",
  ],
])("rejects %s", async (_, bytes, options, message) => {
  await expect(decode(bytes, options)).rejects.toThrow(FormatError);
  await expect(decode(bytes, options)).rejects.toThrow(message);
});

it("pixels before the header or after the end", async () => {
  for (const start of [0, 53, 59, 2 ** 32 - 1]) {
    const bytes = bmp({ width: 1, height: 1, bits: 24, pixels: [1, 2, 3, 0] });
    new DataView(bytes.buffer).setUint32(10, start, true);
    await expect(decode(bytes, {})).rejects.toThrow("(its pixels start outside of it)");
  }
});

it("any damage gives FormatError or an image of the declared size", async () => {
  const sound = [
    bmp({ width: 4, height: 2, bits: 8, compression: 1, palette: four, pixels: [2, 1, 0, 2, 1, 0, 1, 3, 0, 0, 0, 1] }),
    bmp({ width: 9, height: 3, bits: 4, palette: four, pixels: new Array(24).fill(0x12) }),
    bmp({
      width: 2,
      height: 2,
      bits: 32,
      compression: 3,
      header: 124,
      masks: [255, 255, 255, 255],
      pixels: new Array(16).fill(9),
    }),
  ];
  const damage = fc.record({
    file: fc.constantFrom(...sound),
    at: fc.nat(200),
    value: fc.nat(255),
    end: fc.nat(250),
  });
  await fc.assert(
    fc.asyncProperty(damage, async ({ file, at, value, end }) => {
      const bytes = file.slice(0, Math.max(18, end));
      if (at >= 18 && at < bytes.length) bytes[at] = value;
      const result = await decode(bytes, { pixelLimit: 100_000 }).catch((error: unknown) => error);
      if (result instanceof Error) expect(result).toBeInstanceOf(FormatError);
      else expect(result).toMatchObject({ data: { length: expect.any(Number) } });
    }),
    { numRuns: 300 },
  );
});
