/** Scaling of pixels to a network's input: `pixel · scale + offset` per channel. It is specific to the weights. */
export interface Preprocessing {
  /** One number, or one per channel. */
  readonly scale: number | readonly number[];
  readonly offset: number | readonly number[];
}

/** Pixels 0 … 255 to −1 … 1: the preprocessing of keras.applications.xception, x/127.5 − 1. */
export const kerasPreprocessing = { scale: 1 / 127.5, offset: -1 } as const satisfies Preprocessing;

/** Resizing of an image of any size to a network's size. */
export interface ImageResize {
  /**
   * Interpolation, with half-pixel centers: `nearest` as in Keras's `load_img` by default; `bilinear` and `bicubic`
   * (Catmull-Rom) antialiased as in Pillow's `resize`.
   */
  readonly interpolation: "nearest" | "bilinear" | "bicubic";
  /**
   * `fill` stretches to the size; `cover` keeps the proportions and crops the overhang at the center; `contain` keeps them
   * and fills the rest with the background.
   */
  readonly fit: "fill" | "cover" | "contain";
  /** The central crop: share of the width and of the height that is kept, 0 < share ≤ 1 (timm's `crop_pct`). */
  readonly cropRatio?: number | undefined;
  /** `[red, green, blue]` from 0 to 255. */
  readonly background: readonly [number, number, number];
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
