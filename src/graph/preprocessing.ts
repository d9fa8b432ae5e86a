/** How pixels become a network's input: `pixel · scale + offset` for each channel. It belongs to the weights. */
export interface Preprocessing {
  /** One number, or one for each channel. */
  readonly scale: number | readonly number[];
  readonly offset: number | readonly number[];
}

/** Pixels 0 … 255 to −1 … 1: what keras.applications.xception expects, x/127.5 − 1. */
export const kerasPreprocessing = { scale: 1 / 127.5, offset: -1 } as const satisfies Preprocessing;

/** How an image of any size is brought to a network's size. */
export interface ImageResize {
  /**
   * How new pixels come from old ones, all three with pixels' centers at halves: `nearest` takes one, as Keras's
   * `load_img` does by default; `bilinear` and `bicubic` (Catmull-Rom) average over all that fall together, as Pillow's
   * `resize`.
   */
  readonly interpolation: "nearest" | "bilinear" | "bicubic";
  /**
   * `fill` stretches to the size; `cover` keeps the proportions and crops the overhang at the center; `contain` keeps them
   * and fills the rest with the background.
   */
  readonly fit: "fill" | "cover" | "contain";
  /** The network sees this share of the width and of the height, 0 < share ≤ 1, at the center (timm's `crop_pct`). */
  readonly cropRatio?: number | undefined;
  /** `[red, green, blue]` from 0 to 255. */
  readonly background: readonly [number, number, number];
}

/**
 * Preprocessing in the words of torchvision and timm: (pixel/255 − mean)/deviation, for each channel.
 * @param mean as `deviation`, of pixels from 0 to 1.
 */
export function standardization(mean: readonly number[], deviation: readonly number[]): Preprocessing {
  const scale = deviation.map((each) => 1 / (255 * each));
  const offset = mean.map((each, channel) => -each / deviation[channel]!);
  const shortened = (values: readonly number[]) => (values.every((each) => each === values[0]) ? values[0]! : values);
  return { scale: shortened(scale), offset: shortened(offset) };
}
