import sharp from "sharp";
import { beforeAll, expect, test } from "vitest";
import { AbortedError, FormatError } from "../../src/base/errors.ts";
import { decodeApart } from "../../src/runtime/node/image-processes.ts";
import { decodeHere, decodeImage } from "../../src/runtime/node/images.ts";

const limits = { timeMs: 60_000, memoryBytes: 2 ** 30 };
const size = { width: 6, height: 5 };
/** 25 megapixels of one color. */
let large: Uint8Array;
let small: Uint8Array;

beforeAll(async () => {
  const color = { channels: 3, background: { r: 10, g: 200, b: 90 } } as const;
  large = await sharp({ create: { width: 5000, height: 5000, ...color } })
    .png({ compressionLevel: 1 })
    .toBuffer();
  const data = Uint8Array.from({ length: 40 * 30 * 3 }, (_, at) => (at * at * 31 + at * 17) % 251);
  small = await sharp(data, { raw: { width: 40, height: 30, channels: 3 } })
    .webp()
    .toBuffer();
});

test("another process gives the same pixels and errors", async () => {
  for (const options of [{}, size, { ...size, fit: "contain", background: [1, 2, 3] }] as const) {
    expect(await decodeApart(small, options, limits)).toEqual(await decodeHere(small, options));
  }
  const damaged = small.subarray(0, 200);
  const [there, here] = await Promise.all(
    [decodeApart(damaged, size, limits), decodeHere(damaged, size)].map((work) => work.catch((error) => error)),
  );
  expect(there).toBeInstanceOf(FormatError);
  expect((there as Error).message).toBe((here as Error).message);
});

test("images of more than 24 megapixels are decoded there, within the pixel limit", async () => {
  const { data, ...decoded } = await decodeImage(large, size);
  expect(decoded).toEqual(size);
  expect([...data]).toEqual(Array.from({ length: 30 }, () => [10, 200, 90]).flat());
  await expect(decodeImage(large, { ...size, pixelLimit: 24_999_999 })).rejects.toThrow(
    "the image has too many pixels; expected at most 24999999 pixels.",
  );
});

test("one that takes too long or too much memory is ended, and the next is decoded", async () => {
  await expect(decodeApart(large, {}, { ...limits, timeMs: 50 })).rejects.toThrow(
    /^image of \d+ bytes: decoding it takes longer than 0\.1 s\.$/,
  );
  await expect(decodeApart(small, {}, { ...limits, memoryBytes: 2 ** 20 })).rejects.toThrow(
    /^image of \d+ bytes: decoding it needs more than 1 MiB\.$/,
  );
  expect(await decodeApart(small, size, limits)).toEqual(await decodeHere(small, size));
});

test("a signal ends it", async () => {
  const stop = new AbortController();
  const decoding = decodeImage(large, { signal: stop.signal });
  setTimeout(() => stop.abort(), 20);
  await expect(decoding).rejects.toThrow(AbortedError);
  await expect(decodeImage(large, { signal: stop.signal })).rejects.toThrow("it was stopped by the caller.");
});
