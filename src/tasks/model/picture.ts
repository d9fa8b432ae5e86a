import { ShapeError, UsageError, XceptionError } from "../../errors.ts";
import type { DecodeOptions, ImageSource, Platform, RgbImage } from "../../platform.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** A picture to look at: a file's path, the bytes of an encoded picture, or pixels, of any size. */
export type Picture = ImageSource | RgbImage;

/**
 * The pixels of a picture, decoded as `decode` says, and brought to the size in it, if there is one.
 * @throws {FormatError} the picture is damaged, or of no supported format.
 * @throws {DataError} there is no such file.
 * @throws {UsageError} it is neither path, bytes nor pixels.
 * @throws {ShapeError} raw pixels do not fill their width and height.
 */
export async function pixelsOf(
  picture: Picture,
  decode: DecodeOptions,
  platform: Pick<Platform, "decodeImage" | "encodePng">,
): Promise<RgbImage> {
  if (typeof picture === "string" || picture instanceof Uint8Array) return platform.decodeImage(picture, decode);
  if (!(picture?.data instanceof Uint8Array)) {
    throw new UsageError({
      where: "picture",
      what: "it is none of the things a picture can be",
      received: picture === null ? "null" : typeof picture,
      expected: "a path, the bytes of an encoded picture, or pixels {width, height, data: Uint8Array}",
    });
  }
  const { width, height, data } = picture;
  if (data.length !== width * height * 3) {
    throw new ShapeError({
      where: "picture of raw pixels",
      what: "the data do not fill it",
      received: `${data.length} bytes for ${width}×${height} pixels`,
      expected: `${width * height * 3} bytes: red, green and blue of each pixel`,
    });
  }
  if (decode.width === undefined || (width === decode.width && height === decode.height)) return picture;
  // PNG loses nothing, and there is one place that knows how to resize.
  return platform.decodeImage(await platform.encodePng(picture), decode);
}

/** Pictures of one size as a network's input, `[N, height, width, 3]`. */
export function pictureBatch(pictures: readonly RgbImage[]): Tensor<"uint8"> {
  const { width, height } = pictures[0]!;
  const bytes = width * height * 3;
  const data = new Uint8Array(pictures.length * bytes);
  for (const [row, picture] of pictures.entries()) data.set(picture.data, row * bytes);
  return { type: "uint8", shape: [pictures.length, height, width, 3], data };
}

/** What is wrong with a picture is its result; whatever else happens is not. */
export function asPictureError(error: unknown): XceptionError {
  if (error instanceof XceptionError && ["FORMAT", "DATA", "SHAPE"].includes(error.code)) return error;
  throw error;
}
