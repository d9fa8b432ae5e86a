import sharp, { type Sharp } from "sharp";
import { ShapeError } from "../errors.ts";
import type { DecodeOptions, RgbImage } from "../platform.ts";
import type { ImageFile } from "../source.ts";
import { explainDecodeFailure } from "./node-image-errors.ts";
import { type CompleteDecodeOptions, checkDecodeOptions } from "./node-image-options.ts";

/**
 * Decodes an image to sRGB pixels `[height, width, 3]`: JPEG, PNG, WebP, AVIF, TIFF or the first frame of a GIF; gray,
 * CMYK, 16 bits, embedded color profiles and EXIF orientation are taken care of, transparency is laid over the background.
 *
 * Sizes are changed with the Catmull-Rom cubic kernel, stretched over the pixels that fall together when shrinking: sharp,
 * free of aliasing, with less ringing than Lanczos, and what timm prescribes for Xception.
 *
 * All of the work happens in one call into libvips' own threads, so that decoding that was started goes on while a
 * training step keeps the JavaScript thread busy.
 *
 * @throws {FormatError} the file is empty, damaged, cut short, too large, or no image of a supported format.
 * @throws {DataError} there is no such file, or it cannot be read.
 * @throws {UsageError} an option is out of its range.
 */
export async function decodeImage(source: ImageFile, options: DecodeOptions): Promise<RgbImage> {
  const complete = checkDecodeOptions(options);
  const { width, height, fit, atLeast } = complete;
  try {
    const size = atLeast === undefined || width !== undefined ? undefined : await shrunkSize(source, atLeast, complete);
    const pipeline = pipelineOf(source, size === undefined ? complete : { ...complete, ...size, fit: "fill" });
    const { data, info } = await pipeline.toBuffer({ resolveWithObject: true });
    const image = { width: info.width, height: info.height, data: bytesOf(data) };
    const isSized = width !== undefined && height !== undefined;
    return fit === "contain" && isSized ? centerOn(image, width, height, complete.background) : image;
  } catch (error) {
    throw await explainDecodeFailure(source, complete.pixelLimit, error as Error);
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
      what: "the data do not fill the image",
      received: `${data.length} bytes for ${width}×${height} pixels`,
      expected: `${width * height * 3} bytes`,
    });
  }
  return bytesOf(
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer(),
  );
}

function pipelineOf(source: ImageFile, options: CompleteDecodeOptions): Sharp {
  const [r, g, b] = options.background;
  const opened = sharp(source, {
    autoOrient: true,
    // The strictest level: half an image with gray below it must not be learned from.
    failOn: "warning",
    limitInputPixels: options.pixelLimit,
  });
  // Going to sRGB first is what makes colored backgrounds behind gray images and profiles of 16-bit images come out
  // right, but it costs the decoders' own fast shrinking. Only JPEG and WebP have that, and need neither.
  const inColor = shrinksWhileDecoding(source) ? opened : opened.pipelineColorspace("srgb");
  const flat = inColor.flatten({ background: { r, g, b } });
  const { width, height, fit } = options;
  const sized =
    width === undefined
      ? flat
      : flat.resize(width, height ?? width, { fit: fit === "contain" ? "inside" : fit, kernel: "cubic" });
  return sized.toColorspace("srgb").raw({ depth: "uchar" });
}

/**
 * The smallest size that a JPEG comes at without work, for its decoder can leave out the fine detail (a half, a quarter or
 * an eighth), and that is not smaller than `atLeast`; undefined for its own. Rounded down, because libvips shrinks in the
 * decoder only if it need not enlarge afterwards; it then resizes the last fraction of a pixel, so that places shift by
 * half of one at most.
 */
async function shrunkSize(
  source: ImageFile,
  atLeast: { width: number; height: number },
  { pixelLimit }: { pixelLimit: number },
) {
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

/** Not left to the decoder, which would give a gray JPEG a gray border whatever the background is. */
function centerOn(image: RgbImage, width: number, height: number, background: readonly number[]): RgbImage {
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
