import { assertOption, wholeNumber } from "./kinds.ts";
import type { DecodeOptions, ImageCodec, Platform } from "./platform.ts";

/**
 * Limits the pixels of images that a platform decodes.
 * @param pixelLimit as in {@link DecodeOptions}; undefined changes nothing.
 * @throws {UsageError} it is not a whole number from 1.
 */
export function limitPixels<P extends Platform>(platform: P, pixelLimit: number | undefined): P {
  if (pixelLimit === undefined) return platform;
  assertOption("option pixelLimit", pixelLimit, wholeNumber({ from: 1 }));
  const { decode } = platform.images;
  const images: ImageCodec = {
    ...platform.images,
    decode: (source, options) => decode(source, { pixelLimit, ...options }),
  };
  return { ...platform, images };
}
