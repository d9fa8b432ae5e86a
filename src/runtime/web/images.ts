import { FormatError, UsageError } from "../../base/errors.ts";
import type { DecodeOptions, ImageCodec, ImageSource, RgbImage, SourceReader } from "../../base/platform.ts";
import { imageCodec } from "../../base/source.ts";
import { placeAt, resizeCubic } from "./resize.ts";

/** Images of a web page. Those that a worker cannot read become an `ImageBitmap` on the page. */
export type PageImage =
  | ImageBitmap
  | ImageData
  | HTMLImageElement
  | HTMLVideoElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | VideoFrame;

declare module "../../base/platform.ts" {
  interface PlatformImages {
    readonly page: PageImage;
  }
}

/** Pixels that are read from a canvas at once. */
const pixelsPerStrip = 2 ** 20;
/** Default of {@link DecodeOptions.pixelLimit}. */
const largestImage = 100_000_000;

/**
 * Decodes images with the browser, at full size, in sRGB, rotated according to their EXIF orientation: JPEG, PNG, WebP,
 * AVIF, GIF and whatever else it supports; transparency is composited over the background.
 */
export function webImages(reader: SourceReader): ImageCodec {
  const files = imageCodec({ decode: decodeFile, encodePng }, reader);
  return {
    encodePng,
    // Not on the page, whose worker resizes.
    resize: async (image, resizing) => (await import("./graph-resize.ts")).resizeAsGraph(image, resizing),
    decode: (source, options) =>
      isPageImage(source) ? decodePageImage(source, options) : files.decode(source, options),
  };
}

/** Classes of page images by name: a worker lacks those of the document. */
const pageClasses = [
  "ImageBitmap",
  "ImageData",
  "HTMLImageElement",
  "HTMLVideoElement",
  "HTMLCanvasElement",
  "OffscreenCanvas",
  "VideoFrame",
] as const;

/** Returns whether a value is an image that only a browser knows. */
function isPageImage(value: unknown): value is PageImage {
  return pageClasses.some((name) => {
    const known = (globalThis as Readonly<Record<string, unknown>>)[name];
    return typeof known === "function" && value instanceof known;
  });
}

/**
 * Takes the image that an element shows.
 * @throws {FormatError} it shows none: it is not loaded yet, or its file is damaged.
 * @throws {UsageError} it comes from another origin that does not allow its pixels to be read.
 */
export async function bitmapOf(image: PageImage): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(image);
  } catch (cause) {
    if ((cause as Error).name === "SecurityError") throw fromElsewhere(cause);
    const what = "the element shows no image: it is not loaded yet, or its file is damaged";
    throw new FormatError({ where: "image of the page", what, cause });
  }
}

async function decodePageImage(image: PageImage, options: DecodeOptions): Promise<RgbImage> {
  const bitmap = await bitmapOf(image);
  try {
    return sized(readPixels(bitmap, options, "image of the page"), options);
  } finally {
    bitmap.close();
  }
}

async function decodeFile(file: string | Uint8Array, options: DecodeOptions): Promise<RgbImage> {
  const bytes = file as Uint8Array<ArrayBuffer>;
  const where = `image of ${bytes.length} bytes`;
  if (bytes.length === 0) throw new FormatError({ where, what: "the file is empty" });
  const bitmap = await createImageBitmap(new Blob([bytes.slice()])).catch((cause: unknown) => {
    throw new FormatError({
      where,
      what: "it is damaged, or not an image of a format that this browser reads",
      expected: "a JPEG, PNG, WebP, AVIF or GIF",
      cause,
    });
  });
  try {
    return sized(readPixels(bitmap, options, where), options);
  } finally {
    bitmap.close();
  }
}

/** Reads the pixels of a bitmap, composited over the background. */
function readPixels(bitmap: ImageBitmap, { background = [255, 255, 255], pixelLimit }: DecodeOptions, where: string) {
  const { width, height } = bitmap;
  const limit = pixelLimit ?? largestImage;
  if (width * height > limit) {
    throw new FormatError({
      where,
      what: "the image has too many pixels",
      received: `${width}×${height}`,
      expected: `at most ${limit} pixels`,
    });
  }
  const rows = Math.max(1, Math.min(height, Math.floor(pixelsPerStrip / width)));
  const context = contextFor(width, rows);
  context.fillStyle = `rgb(${background.join(" ")})`;
  const data = new Uint8Array(3 * width * height);
  for (let top = 0, at = 0; top < height; top += rows) {
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    const { data: pixels } = context.getImageData(0, 0, width, Math.min(rows, height - top));
    for (let from = 0; from < pixels.length; from += 4) {
      data[at++] = pixels[from]!;
      data[at++] = pixels[from + 1]!;
      data[at++] = pixels[from + 2]!;
    }
  }
  return { width, height, data };
}

function contextFor(width: number, height: number): OffscreenCanvasRenderingContext2D {
  // On the CPU: a GPU may round differently.
  return new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
}

/** Resizes to the requested size, if there is one. */
function sized(image: RgbImage, { width, height, fit = "fill", background }: DecodeOptions): RgbImage {
  if (width === undefined || height === undefined || (width === image.width && height === image.height)) return image;
  if (fit === "fill") return resizeCubic(image, width, height);
  const scales = [width / image.width, height / image.height];
  const scale = fit === "cover" ? Math.max(...scales) : Math.min(...scales);
  const [w, h] = [image.width, image.height].map((side) => Math.max(1, Math.round(scale * side)));
  const [left, top] = [Math.floor((width - w!) / 2), Math.floor((height - h!) / 2)];
  return placeAt(resizeCubic(image, w!, h!), { width, height }, left, top, background ?? [255, 255, 255]);
}

function toImageData({ width, height, data }: RgbImage): ImageData {
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let from = 0, at = 0; from < data.length; at += 4) {
    pixels[at] = data[from++]!;
    pixels[at + 1] = data[from++]!;
    pixels[at + 2] = data[from++]!;
  }
  return new ImageData(pixels, width, height);
}

async function encodePng(image: RgbImage): Promise<Uint8Array> {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d")!.putImageData(toImageData(image), 0, 0);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
}

function fromElsewhere(cause: unknown): UsageError {
  return new UsageError({
    where: "image of the page",
    what: "it comes from another origin, whose pixels this page may not read",
    remedy: 'Set crossorigin="anonymous" on the element; the other server must allow it.',
    cause,
  });
}

/** Returns whether an image source can only be read on the page, not in a worker. */
export function isElement(image: ImageSource): image is Exclude<PageImage, ImageBitmap | ImageData> {
  return isPageImage(image) && !(image instanceof ImageBitmap || image instanceof ImageData);
}
