import type { ImageResizing } from "../base/platform.ts";

/** Kernels to resize images with. */
export const interpolations = ["nearest", "bilinear", "bicubic"] as const;

/** Ways to fit an image into the network's size. */
export const fits = ["fill", "cover", "contain"] as const;

/** Scaling of pixels to a network's input: `pixel · scale + offset` per channel. It is specific to the weights. */
export interface Preprocessing {
  /** One number, or one per channel. */
  readonly scale: number | readonly number[];
  readonly offset: number | readonly number[];
  /** Order of the network's channels; default `rgb`. */
  readonly order?: "rgb" | "bgr" | undefined;
}

/** Pixels 0 … 255 to −1 … 1: the preprocessing of keras.applications.xception, x/127.5 − 1. */
export const kerasPreprocessing = { scale: 1 / 127.5, offset: -1 } as const satisfies Preprocessing;

/** Weights of red, green and blue in the gray value that a network of one input channel reads (ITU-R BT.601, as in Pillow). */
export const luma = [0.299, 0.587, 0.114] as const;

/**
 * Scales RGB bytes as the graph of a model does: `[…, 3]` → `[…, channels]`, rounded to float32.
 * @param channels of the network: 3, or 1 for luma.
 */
export function scalePixels(
  rgb: Uint8Array,
  channels: number,
  { scale, offset, order }: Preprocessing,
): Float32Array<ArrayBuffer> {
  const of = (values: number | readonly number[], channel: number) =>
    Math.fround(typeof values === "number" ? values : values[channel]!);
  const [red, green, blue] = luma;
  const gray = (at: number) => Math.fround(red * rgb[at]! + green * rgb[at + 1]! + blue * rgb[at + 2]!);
  return Float32Array.from({ length: (rgb.length / 3) * channels }, (_, index) => {
    const channel = index % channels;
    const source = order === "bgr" ? index - channel + (2 - channel) : index;
    const pixel = channels === 1 ? gray(3 * index) : rgb[source]!;
    return Math.fround(pixel * of(scale, channel)) + of(offset, channel);
  });
}

/** Resizing of an image of any size to a network's size. */
export type ImageResize = Omit<ImageResizing, "width" | "height">;

type Size = readonly [height: number, width: number];

/** Size of an image before the crop, rounded down as in timm. */
export function scaledSize([height, width]: Size, cropRatio: number): Size {
  return [Math.floor(height / cropRatio), Math.floor(width / cropRatio)];
}

/** Start of a crop: half the overhang, rounded half to even, as in torchvision's center crop. */
export function cropStart(overhang: number): number {
  const half = Math.floor(overhang / 2);
  return Math.floor((overhang + (half % 2)) / 2);
}

/**
 * Preprocessing in the convention of torchvision and timm: (pixel/255 − mean)/deviation, for each channel.
 * @param mean like `deviation`, of pixels scaled to 0 … 1.
 */
export function standardization(mean: readonly number[], deviation: readonly number[]): Preprocessing {
  const scale = deviation.map((each) => 1 / (255 * each));
  const offset = mean.map((each, channel) => -each / deviation[channel]!);
  const shortened = (values: readonly number[]) => (values.every((each) => each === values[0]) ? values[0]! : values);
  return { scale: shortened(scale), offset: shortened(offset) };
}
