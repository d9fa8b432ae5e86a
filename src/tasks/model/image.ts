import { XceptionError } from "../../errors.ts";
import type { RgbImage } from "../../platform.ts";
import type { Tensor } from "../../tensor/tensor.ts";

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
