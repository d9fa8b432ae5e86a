import { closeSync, openSync, readSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Sharp, SharpOptions } from "sharp";
import { DataError, FormatError, ShapeError, XceptionError } from "../../base/errors.ts";
import { assertAllowed, assertOption, wholeNumber } from "../../base/kinds.ts";
import type { DecodeOptions, RgbImage } from "../../base/platform.ts";
import { describeSource, type ImageFile } from "../../base/source.ts";
import { bmpHeaderSizes, decodeBmp, readBmpHeader } from "./bmp.ts";

/** Largest header of a BMP file with its color table, in bytes. */
const longestBmpHeader = 2048;
/** Longest side of an image in pixels, as in libjpeg. */
const longestSide = 65_500;
/** Most pixels that are decoded in this process, where nothing can end it: AVIF, the slowest format, takes 6 s and 0.5 GB. */
const largestHere = 24_000_000;
/** Bytes for each pixel of {@link DecodeOptions.pixelLimit} that a TIFF may unpack to; other formats cannot have more. */
const bytesPerPixel = 8;

/**
 * Decodes an image to sRGB pixels `[height, width, 3]`: JPEG, PNG, WebP, AVIF, TIFF, BMP or the first frame of a GIF;
 * handles gray, CMYK, 16-bit images, embedded color profiles and EXIF orientation, and composites transparency over the
 * background.
 *
 * Sizes are changed with the Catmull-Rom cubic kernel, stretched over the pixels that fall together when shrinking: sharp,
 * free of aliasing, with less ringing than Lanczos, and what timm prescribes for Xception.
 *
 * All of the work happens in one call into libvips' own threads, so that decoding in progress continues while a
 * training step keeps the JavaScript thread busy. Images of more than 24 megapixels are decoded in another process, which is
 * ended after the limit of time, or when it needs more than 256 MiB + 24 bytes for each pixel of the limit.
 *
 * @throws {FormatError} the file is empty, damaged, truncated, too large, or not an image of a supported format.
 * @throws {DataError} the file does not exist, cannot be read, or is not a regular file.
 * @throws {UsageError} an option is out of its range.
 */
export async function decodeImage(source: ImageFile, options: DecodeOptions): Promise<RgbImage> {
  const { pixelLimit, secondsLimit } = checkDecodeOptions(options);
  try {
    return await decodeHere(source, { ...options, pixelLimit: Math.min(pixelLimit, largestHere) });
  } catch (error) {
    const isTooLarge = error instanceof FormatError && error.parts.what === tooManyPixels;
    if (!isTooLarge || pixelLimit <= largestHere) throw error;
    const { decodeApart } = await import("./image-processes.ts");
    const memoryBytes = 2 ** 28 + 24 * pixelLimit;
    return decodeApart(source, { ...options, pixelLimit }, { timeMs: secondsLimit * 1000, memoryBytes });
  }
}

/** Decodes an image in this process; otherwise as {@link decodeImage}. */
export async function decodeHere(source: ImageFile, options: DecodeOptions): Promise<RgbImage> {
  const { size, atLeast, fit, background, pixelLimit, secondsLimit } = checkDecodeOptions(options);
  const format = formatOf(source);
  try {
    const target = size ?? (atLeast && format === "jpeg" ? await shrunkSize(source, atLeast, pixelLimit) : undefined);
    const opened = await open(source, format, { pixelLimit, secondsLimit });
    const pipeline = resized(opened, target, size ? fit : "fill", background);
    const { data, info } = await pipeline.toBuffer({ resolveWithObject: true });
    const image = { width: info.width, height: info.height, data: bytesOf(data) };
    return size && fit === "contain" ? centerOn(image, size, background) : image;
  } catch (error) {
    throw error instanceof XceptionError
      ? error
      : explainDecodeFailure(source, { pixelLimit, secondsLimit }, error as Error);
  }
}

/**
 * Writes an RGB image as PNG.
 * @throws {ShapeError} the data are not width × height × 3 bytes.
 */
export async function encodePng({ width, height, data }: RgbImage): Promise<Uint8Array> {
  if (data.length !== width * height * 3) {
    throw new ShapeError({
      where: "encodePng",
      what: "the data does not fill the image",
      received: `${data.length} bytes for ${width}×${height} pixels`,
      expected: `${width * height * 3} bytes`,
    });
  }
  const sharp = await loadSharp();
  return bytesOf(
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer(),
  );
}

/** Loads sharp, whose failure is reported by the first image. */
export function prepareDecoder(): void {
  loadSharp().catch(() => {});
}

/**
 * On first use: not every program on this platform reads images. Without its cache, from which it would answer with the former
 * image of a file (WebP, interlaced PNG) that has changed since.
 */
async function loadSharp() {
  const { default: sharp } = await import("sharp");
  sharp.cache(false);
  return sharp;
}

async function open(source: ImageFile, format: ImageFormat, { pixelLimit, secondsLimit }: Limits): Promise<Sharp> {
  const sharp = await loadSharp();
  if (format === "bmp") return sharp(...(await rawBmp(source, pixelLimit))).timeout({ seconds: secondsLimit });
  const opened = sharp(source, {
    autoOrient: true,
    // The strictest level: a truncated image is otherwise filled with gray.
    failOn: "warning",
    limitInputPixels: pixelLimit,
  }).timeout({ seconds: secondsLimit });
  // Converting to sRGB first makes colored backgrounds behind gray images and profiles of 16-bit images come out right, but
  // turns off shrinking inside the decoder, which only JPEG and WebP have. They need neither.
  if (format === "jpeg" || format === "webp") return opened;
  const inColor = opened.pipelineColorspace("srgb");
  if (format !== "tiff") return inColor;
  const { width, height, channels, bitsPerSample = 8, depth, space } = await opened.metadata();
  assertSides(source, width, height);
  if ((width * height * channels * bitsPerSample) / 8 > bytesPerPixel * pixelLimit) throw tooLarge(source, pixelLimit);
  // Gray floats are from 0 to 1 by convention, but libvips takes them as 0 to 255. Color it reads by the convention.
  const isFloat = (depth === "float" || depth === "double") && space === "b-w" && channels === 1;
  const isUnit = isFloat && (await opened.clone().stats()).channels.every(({ max }) => max <= 1);
  return isUnit ? inColor.linear(255, 0) : inColor;
}

/** The pixels of a BMP file, which libvips cannot decode. */
async function rawBmp(source: ImageFile, pixelLimit: number): Promise<[Uint8Array, SharpOptions]> {
  const where = describeSource(source);
  const size = typeof source === "string" ? statSync(source).size : source.length;
  if (size > bytesPerPixel * pixelLimit + longestBmpHeader) throw tooLarge(source, pixelLimit);
  const bytes = typeof source === "string" ? await readFile(source) : source;
  const header = readBmpHeader(bytes, where);
  const { width, height } = header;
  assertSides(source, width, height);
  if (width * height > pixelLimit) throw tooLarge(source, pixelLimit);
  return [decodeBmp(bytes, header, where), { raw: { width, height, channels: 4 }, limitInputPixels: pixelLimit }];
}

function resized(opened: Sharp, size: Size | undefined, fit: Fit, [r, g, b]: readonly [number, number, number]): Sharp {
  const flat = opened.flatten({ background: { r, g, b } });
  const sized = size ? flat.resize({ ...size, fit: fit === "contain" ? "inside" : fit, kernel: "cubic" }) : flat;
  return sized.toColorspace("srgb").raw({ depth: "uchar" });
}

/**
 * The smallest size not below `atLeast` at which the decoder reads a JPEG directly: a half, a quarter or an eighth of its
 * own; undefined for its own. Rounded down, because libvips shrinks in the decoder only if it need not enlarge afterwards;
 * resizing the last fraction of a pixel shifts content by half a pixel at most.
 */
async function shrunkSize(source: ImageFile, atLeast: Size, pixelLimit: number): Promise<Size | undefined> {
  const sharp = await loadSharp();
  const { autoOrient } = await sharp(source, { limitInputPixels: pixelLimit }).metadata();
  const shrunk = [8, 4, 2].map((factor) => ({
    width: Math.floor(autoOrient.width / factor),
    height: Math.floor(autoOrient.height / factor),
  }));
  return shrunk.find(({ width, height }) => width >= atLeast.width && height >= atLeast.height);
}

/**
 * Recognizes the format by the first bytes. libvips would also open others, such as SVG, which can take any time and read
 * other files.
 * @throws {FormatError} it is empty, of no supported format, or too long or wide.
 * @throws {DataError} there is no such file, it cannot be read, or it is not a regular file.
 */
function formatOf(source: ImageFile): ImageFormat {
  const where = describeSource(source);
  const head = typeof source === "string" ? headOf(source, where) : source.subarray(0, headLength);
  if (head.length === 0) throw new FormatError({ where, what: "it is empty", expected: supportedFormats });
  const text = String.fromCharCode(...head);
  const matches = (start: string) => [...start].every((character, at) => character === "." || character === text[at]);
  const formats = Object.keys(signatures) as ImageFormat[];
  const format = formats.find((each) => signatures[each].some(matches));
  if (format === undefined) throw unsupported(where);
  // The other formats cannot store longer sides.
  const { buffer, byteOffset } = head;
  if (format === "png" && head.length === headLength) {
    const header = new DataView(buffer, byteOffset);
    assertSides(source, header.getUint32(16), header.getUint32(20));
  }
  return format;
}

/** Bytes from which a format, and the size of a PNG, can be read. */
const headLength = 24;

type ImageFormat = "jpeg" | "png" | "webp" | "avif" | "gif" | "tiff" | "bmp";

/** First bytes of each format; a dot stands for any byte. */
const signatures: Readonly<Record<ImageFormat, readonly string[]>> = {
  jpeg: ["\xff\xd8"],
  png: ["\x89PNG\r\n\x1a\n"],
  webp: ["RIFF....WEBP"],
  avif: ["\0...ftyp"],
  gif: ["GIF8"],
  tiff: ["II*\0", "MM\0*", "II+\0", "MM\0+"],
  // Two letters alone would be found in many a text.
  bmp: bmpHeaderSizes.map((size) => `BM............${String.fromCharCode(size)}\0\0\0`),
};

/** Synchronous: as asynchronous steps, each would wait for the training step that keeps the JavaScript thread busy. */
function headOf(path: string, where: string): Uint8Array {
  let file: number | undefined;
  try {
    const status = statSync(path);
    if (!status.isFile()) {
      const what = status.isDirectory() ? "this is a folder" : "this is not a regular file";
      throw new DataError({ where, what, expected: "an image file" });
    }
    file = openSync(path, "r");
    const head = new Uint8Array(headLength);
    return head.subarray(0, readSync(file, head, 0, headLength, 0));
  } catch (cause) {
    if (cause instanceof XceptionError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`;
    throw new DataError({ where, what, cause });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function assertSides(source: ImageFile, width: number, height: number): void {
  if (width <= longestSide && height <= longestSide) return;
  throw new FormatError({
    where: describeSource(source),
    what: "the image is too long or too wide",
    received: `${width}×${height} pixels`,
    expected: `sides of at most ${longestSide} pixels`,
  });
}

/** sharp would give a gray JPEG a gray border whatever the background is. */
function centerOn(image: RgbImage, { width, height }: Size, background: readonly number[]): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let offset = 0; offset < data.length; offset += 3) data.set(background, offset);
  const left = Math.floor((width - image.width) / 2);
  const top = Math.floor((height - image.height) / 2);
  const rowBytes = image.width * 3;
  for (let row = 0; row < image.height; row++) {
    data.set(image.data.subarray(row * rowBytes, (row + 1) * rowBytes), ((top + row) * width + left) * 3);
  }
  return { width, height, data };
}

/** A plain view: a `Buffer` has methods of the same names that behave differently. */
function bytesOf(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

type Size = Pick<RgbImage, "width" | "height">;

type Limits = { readonly [Name in "pixelLimit" | "secondsLimit"]: number };

type Fit = NonNullable<DecodeOptions["fit"]>;

const fits: readonly Fit[] = ["fill", "cover", "contain"];

/**
 * Fills in the defaults.
 * @throws {UsageError} an option is out of its range.
 */
function checkDecodeOptions({
  width,
  height,
  atLeast,
  fit = "fill",
  background = [255, 255, 255],
  pixelLimit = 100_000_000,
  // 100 megapixels of AVIF take 10 on a slow machine.
  secondsLimit = 60,
}: DecodeOptions) {
  const where = (option: string) => `decodeImage option ${option}`;
  const isHalf = (width === undefined) !== (height === undefined);
  assertAllowed(where("width and height"), [width, height], !isHalf, "both, or neither");
  const sizes = {
    width,
    height,
    "atLeast.width": atLeast?.width,
    "atLeast.height": atLeast?.height,
    pixelLimit,
    secondsLimit,
  };
  for (const [option, value] of Object.entries(sizes)) {
    if (value !== undefined) assertOption(where(option), value, wholeNumber({ from: 1 }));
  }
  assertAllowed(where("fit"), fit, fits.includes(fit), fits.join(", "));
  const isColor =
    background.length === 3 && background.every((part) => Number.isInteger(part) && part >= 0 && part <= 255);
  assertAllowed(where("background"), background, isColor, "[red, green, blue], whole numbers from 0 to 255");
  const size = width === undefined || height === undefined ? undefined : { width, height };
  return { size, atLeast, fit, background, pixelLimit, secondsLimit };
}

const supportedFormats = "JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP";

function explainDecodeFailure(source: ImageFile, { pixelLimit, secondsLimit }: Limits, error: Error): FormatError {
  const where = describeSource(source);
  if (error.message.includes("exceeds pixel limit")) return tooLarge(source, pixelLimit, error);
  if (/unsupported image format|not been built in/.test(error.message)) return unsupported(where, error);
  const isSlow = error.message.includes("timeout");
  const reason = error.message.split("\n")[0]!.replace(/^Input (file|buffer) has corrupt header: /, "");
  const what = isSlow
    ? `decoding it takes longer than ${secondsLimit} s`
    : `the image is damaged or cut short (${reason})`;
  return new FormatError({ where, what, cause: error });
}

const tooManyPixels = "the image has too many pixels";

function tooLarge(source: ImageFile, limit: number, cause?: Error): FormatError {
  return new FormatError({
    where: describeSource(source),
    what: tooManyPixels,
    expected: `at most ${limit} pixels`,
    remedy: "If you trust its source, raise the option pixelLimit (--pixel-limit).",
    cause,
  });
}

function unsupported(where: string, cause?: Error): FormatError {
  return new FormatError({ where, what: "this is not a supported image", expected: supportedFormats, cause });
}
