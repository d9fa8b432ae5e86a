import { access, constants, stat } from "node:fs/promises";
import type { Sharp } from "sharp";
import { DataError, FormatError, ShapeError, type XceptionError } from "../../base/errors.ts";
import { assertAllowed, assertOption, wholeNumber } from "../../base/kinds.ts";
import type { DecodeOptions, RgbImage } from "../../base/platform.ts";
import type { ImageFile } from "../../base/source.ts";

/**
 * Decodes an image to sRGB pixels `[height, width, 3]`: JPEG, PNG, WebP, AVIF, TIFF or the first frame of a GIF;
 * handles gray, CMYK, 16-bit images, embedded color profiles and EXIF orientation, and composites transparency over the
 * background.
 *
 * Sizes are changed with the Catmull-Rom cubic kernel, stretched over the pixels that fall together when shrinking: sharp,
 * free of aliasing, with less ringing than Lanczos, and what timm prescribes for Xception.
 *
 * All of the work happens in one call into libvips' own threads, so that decoding in progress continues while a
 * training step keeps the JavaScript thread busy.
 *
 * @throws {FormatError} the file is empty, damaged, truncated, too large, or not an image of a supported format.
 * @throws {DataError} the file does not exist, or cannot be read.
 * @throws {UsageError} an option is out of its range.
 */
export async function decodeImage(source: ImageFile, options: DecodeOptions): Promise<RgbImage> {
  const { size, atLeast, fit, background, pixelLimit } = checkDecodeOptions(options);
  try {
    const target = size ?? (atLeast && (await shrunkSize(source, atLeast, pixelLimit)));
    const pipeline = await pipelineOf(source, target, { fit: size ? fit : "fill", background, pixelLimit });
    const { data, info } = await pipeline.toBuffer({ resolveWithObject: true });
    const image = { width: info.width, height: info.height, data: bytesOf(data) };
    return size && fit === "contain" ? centerOn(image, size, background) : image;
  } catch (error) {
    throw await explainDecodeFailure(source, pixelLimit, error as Error);
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

/** On first use: not every program on this platform reads images. */
async function loadSharp() {
  return (await import("sharp")).default;
}

async function pipelineOf(
  source: ImageFile,
  size: Size | undefined,
  { fit, background: [r, g, b], pixelLimit }: Required<Pick<DecodeOptions, "fit" | "background" | "pixelLimit">>,
): Promise<Sharp> {
  const sharp = await loadSharp();
  const opened = sharp(source, {
    autoOrient: true,
    // The strictest level: a truncated image is otherwise filled with gray.
    failOn: "warning",
    limitInputPixels: pixelLimit,
  });
  // Converting to sRGB first makes colored backgrounds behind gray images and profiles of 16-bit images come out right, but
  // turns off shrinking inside the decoder, which only JPEG and WebP have. They need neither.
  const inColor = shrinksWhileDecoding(source) ? opened : opened.pipelineColorspace("srgb");
  const flat = inColor.flatten({ background: { r, g, b } });
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
  const { format, autoOrient } = await sharp(source, { limitInputPixels: pixelLimit }).metadata();
  if (format !== "jpeg") return undefined;
  const shrunk = [8, 4, 2].map((factor) => ({
    width: Math.floor(autoOrient.width / factor),
    height: Math.floor(autoOrient.height / factor),
  }));
  return shrunk.find(({ width, height }) => width >= atLeast.width && height >= atLeast.height);
}

function shrinksWhileDecoding(source: ImageFile): boolean {
  if (typeof source === "string") return /\.(jpe?g|jfif|webp)$/i.test(source);
  const isJpeg = source[0] === 0xff && source[1] === 0xd8;
  const isWebp = String.fromCharCode(...source.subarray(8, 12)) === "WEBP";
  return isJpeg || isWebp;
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

const fits = ["fill", "cover", "contain"];

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
}: DecodeOptions) {
  const where = (option: string) => `decodeImage option ${option}`;
  const isHalf = (width === undefined) !== (height === undefined);
  assertAllowed(where("width and height"), [width, height], !isHalf, "both, or neither");
  const sizes = { width, height, "atLeast.width": atLeast?.width, "atLeast.height": atLeast?.height, pixelLimit };
  for (const [option, value] of Object.entries(sizes)) {
    if (value !== undefined) assertOption(where(option), value, wholeNumber({ from: 1 }));
  }
  assertAllowed(where("fit"), fit, fits.includes(fit), fits.join(", "));
  const isColor =
    background.length === 3 && background.every((part) => Number.isInteger(part) && part >= 0 && part <= 255);
  assertAllowed(where("background"), background, isColor, "[red, green, blue], whole numbers from 0 to 255");
  const size = width === undefined || height === undefined ? undefined : { width, height };
  return { size, atLeast, fit, background, pixelLimit };
}

const supportedFormats = "JPEG, PNG, WebP, AVIF, GIF or TIFF";

/** Explains why an image could not be decoded. Inspects the file only now, so that intact images cost no extra call. */
async function explainDecodeFailure(source: ImageFile, limit: number, error: Error): Promise<XceptionError> {
  const where = typeof source === "string" ? `image "${source}"` : `image of ${source.length} bytes`;
  if (typeof source === "string") {
    const unreadable = await explainUnreadable(source, where);
    if (unreadable !== undefined) return unreadable;
  } else if (source.length === 0) {
    return new FormatError({ where, what: "it is empty", expected: supportedFormats, cause: error });
  }
  if (error.message.includes("exceeds pixel limit")) {
    return new FormatError({
      where,
      what: "the image has too many pixels",
      expected: `at most ${limit} pixels`,
      remedy: "Raise `pixelLimit` if you trust its source.",
      cause: error,
    });
  }
  if (/unsupported image format|not been built in/.test(error.message)) {
    return new FormatError({ where, what: "this is not a supported image", expected: supportedFormats, cause: error });
  }
  const reason = error.message.split("\n")[0]!.replace(/^Input (file|buffer) has corrupt header: /, "");
  return new FormatError({ where, what: `the image is damaged or cut short (${reason})`, cause: error });
}

async function explainUnreadable(path: string, where: string): Promise<XceptionError | undefined> {
  try {
    const status = await stat(path);
    if (status.isDirectory()) return new DataError({ where, what: "this is a folder", expected: "an image file" });
    await access(path, constants.R_OK);
    if (status.size === 0) return new FormatError({ where, what: "the file is empty", expected: supportedFormats });
    return undefined;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`;
    return new DataError({ where, what, cause });
  }
}
