import { crc32 } from "node:zlib";
import fc from "fast-check";
import sharp from "sharp";
import { bmp } from "../runtime/bmp-file.ts";

const [width, height] = [40, 30];

/** Small images in every format and in the variants that decoders treat differently. */
export async function smallImages() {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * at * 31 + at * 17) % 251);
  const image = () => sharp(data, { raw: { width, height, channels: 3 } });
  const still = await image().png().toBuffer();
  const frames = await sharp([still, still], { join: { animated: true } })
    .gif()
    .toBuffer();
  const written = {
    jpeg: [image().jpeg(), image().jpeg({ progressive: true }), image().toColorspace("cmyk").jpeg(), withOrientation()],
    png: [
      image().png(),
      image().png({ progressive: true }),
      image().png({ palette: true }),
      image().toColorspace("rgb16").png(),
    ],
    webp: [image().webp(), image().webp({ lossless: true }), sharp(frames, { animated: true }).webp()],
    gif: [image().gif(), sharp(frames, { animated: true }).gif()],
    tiff: (["none", "lzw", "deflate", "jpeg"] as const)
      .map((compression) => image().tiff({ compression }))
      .concat([image().tiff({ tile: true, tileWidth: 16, tileHeight: 16 }), image().tiff({ pyramid: true })]),
    avif: [image().avif({ effort: 0 }), image().avif({ effort: 0, lossless: true })],
  };
  function withOrientation() {
    return image().withMetadata({ orientation: 6 }).jpeg();
  }
  const entries = Object.entries(written).map(async ([format, images]) => {
    return [format, await Promise.all(images.map(async (each) => new Uint8Array(await each.toBuffer())))] as const;
  });
  const bySharp = Object.fromEntries(await Promise.all(entries)) as Record<keyof typeof written, Uint8Array[]>;
  return { ...bySharp, bmp: smallBmps() };
}

/** As sharp does not write them. */
function smallBmps(): Uint8Array[] {
  const palette = Array.from({ length: 4 }, (_, index) => [60 * index, 255 - 60 * index, 20, 0]);
  const pixels = (count: number) => Array.from({ length: count }, (_, at) => (at * at * 31) % 251);
  const masks = [0xf800, 0x7e0, 0x1f];
  const runs = Array.from({ length: height }, () => [20, 1, 0, 3, 1, 2, 3, 0, 0, 2, 2, 0, 15, 2, 0, 0]).flat();
  return [
    bmp({ width, height, bits: 24, pixels: pixels(120 * height) }),
    bmp({ width, height: -height, bits: 4, palette, colors: 4, pixels: pixels(20 * height) }),
    bmp({ width, height, bits: 16, compression: 3, masks, pixels: pixels(80 * height) }),
    bmp({ width, height, bits: 32, compression: 3, header: 124, masks: [255, 1, 2, 4], pixels: pixels(160 * height) }),
    bmp({ width, height, bits: 8, compression: 1, palette, colors: 4, pixels: [...runs, 0, 1] }),
  ];
}

/** Counts and sizes that are zero, negative, or beyond what a file or memory holds. */
const number = fc.oneof(
  fc.constantFrom(0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 65_500, 65_501, 100_000, 2 ** 27 + 1, 2 ** 31, 2 ** 32 - 1),
  fc.nat(300),
);

/** The file with one to four of the integers at some places changed. */
function lyingIntegers(good: Uint8Array, places: readonly number[], isLittle: fc.Arbitrary<boolean>) {
  const lie = fc.tuple(fc.constantFrom(...places), fc.constantFrom(1, 2, 4), number, isLittle);
  return fc.array(lie, { minLength: 1, maxLength: 4 }).map((lies) => {
    const copy = good.slice();
    for (const [place, bytes, value, little] of lies) {
      for (let byte = 0; byte < bytes && place + byte < copy.length; byte++) {
        copy[place + byte] = Math.floor(value / 256 ** (little ? byte : bytes - 1 - byte)) % 256;
      }
    }
    return copy;
  });
}

/** The lengths and contents of the segments before a JPEG's data. */
function jpegPlaces(good: Uint8Array): readonly number[] {
  const places: number[] = [];
  for (let at = 2; at + 4 < good.length && good[at] === 0xff && good[at + 1] !== 0xda; ) {
    const length = good[at + 2]! * 256 + good[at + 3]!;
    for (let each = 1; each < Math.min(2 + length, 40); each++) places.push(at + each);
    at += 2 + length;
  }
  return places;
}

/** The entries of a TIFF's directories: tag, type, count and value. */
function tiffPlaces(good: Uint8Array): readonly number[] {
  const view = new DataView(good.buffer, good.byteOffset);
  const places = [4];
  for (let at = view.getUint32(4, true); at > 0 && at + 2 < good.length; ) {
    const count = view.getUint16(at, true);
    for (let each = 0; each < 12 * count; each += 2) places.push(at + 2 + each);
    places.push(at, at + 2 + 12 * count);
    at = at + 6 + 12 * count <= good.length ? view.getUint32(at + 2 + 12 * count, true) : 0;
  }
  return places;
}

/** Behind the names of an AVIF's boxes. */
function avifPlaces(good: Uint8Array): readonly number[] {
  const text = String.fromCharCode(...good);
  const names = /ftyp|meta|hdlr|pitm|iloc|iinf|infe|iprp|ipco|ispe|pixi|av1C|colr|ipma|mdat/g;
  return [...text.matchAll(names)].flatMap(({ index }) =>
    Array.from({ length: 24 }, (_, at) => Math.max(0, index - 4) + at),
  );
}

const first = (count: number) => Array.from({ length: count }, (_, at) => at);

/** PNG files whose chunks are changed, left out, repeated or moved, each with the checksum of its content. */
function damagedChunks(good: Uint8Array): fc.Arbitrary<Uint8Array> {
  const view = new DataView(good.buffer, good.byteOffset);
  const chunks: { readonly type: Uint8Array; readonly data: Uint8Array }[] = [];
  for (let at = 8; at < good.length; at += 12 + view.getUint32(at)) {
    chunks.push({ type: good.slice(at + 4, at + 8), data: good.slice(at + 8, at + 8 + view.getUint32(at)) });
  }
  const change = fc.record({
    chunk: fc.nat(chunks.length - 1),
    kind: fc.constantFrom("bytes" as const, "bytes" as const, "remove" as const, "repeat" as const, "cut" as const),
    place: fc.nat(30),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
    count: fc.constantFrom(2, 50),
  });
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    const list = chunks.map((each) => [{ ...each, data: each.data.slice() }]);
    for (const { chunk, kind, place, bytes, count } of changes) {
      const [one] = list[chunk]!;
      if (kind === "remove") list[chunk] = [];
      else if (kind === "repeat" && one) list[chunk] = Array(count).fill(one);
      else if (kind === "cut" && one) list[chunk] = [{ ...one, data: one.data.slice(0, place) }];
      else if (one)
        one.data.set(bytes.subarray(0, Math.max(0, one.data.length - place)), Math.min(place, one.data.length));
    }
    return new Uint8Array(Buffer.concat([good.slice(0, 8), ...list.flat().map(chunkBytes)]));
  });
}

function chunkBytes({ type, data }: { readonly type: Uint8Array; readonly data: Uint8Array }): Uint8Array {
  const content = Buffer.concat([type, data]);
  const around = Buffer.alloc(8);
  around.writeUInt32BE(data.length);
  around.writeUInt32BE(crc32(content), 4);
  return Buffer.concat([around.subarray(0, 4), content, around.subarray(4)]);
}

/** Files whose headers, counts and sizes are wrong in the way of their format. */
export const damagedHeaders: Readonly<
  Record<keyof Awaited<ReturnType<typeof smallImages>>, (good: Uint8Array) => fc.Arbitrary<Uint8Array>>
> = {
  jpeg: (good) => lyingIntegers(good, jpegPlaces(good), fc.constant(false)),
  png: damagedChunks,
  webp: (good) => lyingIntegers(good, first(60), fc.constant(true)),
  gif: (good) => lyingIntegers(good, first(40), fc.constant(true)),
  tiff: (good) => lyingIntegers(good, tiffPlaces(good), fc.constant(true)),
  bmp: (good) => lyingIntegers(good, first(70), fc.constant(true)),
  avif: (good) => lyingIntegers(good, avifPlaces(good), fc.constant(false)),
};
