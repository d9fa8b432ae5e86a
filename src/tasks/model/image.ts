import { ShapeError, UsageError, XceptionError } from "../../errors.ts";
import type { DecodeOptions, ImageCodec, ImageSource, RgbImage } from "../../platform.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** An image to look at: a file's path, the bytes of an encoded image, or pixels, of any size. */
export type ImageLike = ImageSource | RgbImage;

/**
 * The pixels of an image, decoded as `decode` says, and brought to the size in it, if there is one.
 * @throws {FormatError} the image is damaged, or of no supported format.
 * @throws {DataError} there is no such file.
 * @throws {UsageError} it is neither path, bytes nor pixels.
 * @throws {ShapeError} raw pixels do not fill their width and height.
 */
export async function pixelsOf(image: ImageLike, decode: DecodeOptions, images: ImageCodec): Promise<RgbImage> {
  if (typeof image === "string" || image instanceof Uint8Array) return images.decode(image, decode);
  if (!(image?.data instanceof Uint8Array)) {
    throw new UsageError({
      where: "image",
      what: "it is none of the things an image can be",
      received: image === null ? "null" : typeof image,
      expected: "a path, the bytes of an encoded image, or pixels {width, height, data: Uint8Array}",
    });
  }
  const { width, height, data } = image;
  if (data.length !== width * height * 3) {
    throw new ShapeError({
      where: "image of raw pixels",
      what: "the data do not fill it",
      received: `${data.length} bytes for ${width}×${height} pixels`,
      expected: `${width * height * 3} bytes: red, green and blue of each pixel`,
    });
  }
  if (decode.width === undefined || (width === decode.width && height === decode.height)) return image;
  // PNG loses nothing, and there is one place that knows how to resize.
  return images.decode(await images.encodePng(image), decode);
}

/** Images of one size as a network's input, `[N, height, width, 3]`. */
export function imageBatch(images: readonly RgbImage[]): Tensor<"uint8"> {
  const { width, height } = images[0]!;
  const bytes = width * height * 3;
  const data = new Uint8Array(images.length * bytes);
  for (const [row, image] of images.entries()) data.set(image.data, row * bytes);
  return { type: "uint8", shape: [images.length, height, width, 3], data };
}

/** What is wrong with an image is its result; whatever else happens is not. */
export function asImageError(error: unknown): XceptionError {
  if (error instanceof XceptionError && ["FORMAT", "DATA", "SHAPE"].includes(error.code)) return error;
  throw error;
}
