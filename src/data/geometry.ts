import { mulberry32, type Random } from "../tensor/random.ts";

/** Lowest and highest value. */
export type Range = readonly [lowest: number, highest: number];

/** A rectangle of an image, in shares of its width and height; the place is that of the top left corner. */
export interface CropWindow {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Limits of the random size of a window. */
export interface WindowSizes {
  /** Share of the image's area, above 0 and up to 1. */
  readonly area: Range;
  /** Width to height, relative to the image's own; 1 is a window of the image's shape. */
  readonly ratio: Range;
}

/**
 * A window inside the image: its area evenly distributed in the range, the logarithm of its ratio evenly distributed over that
 * part of the range in which a window of this area fits into the image. So nothing is drawn again, and it takes four
 * random numbers.
 */
export function drawWindow({ area, ratio }: WindowSizes, random: Random): CropWindow {
  return windowOf({ area, ratio }, random(), random(), random(), random());
}

/** The window for four numbers of 0 … 1: of the area, of the ratio, of the place across and of that down. */
export function windowOf(
  { area, ratio }: WindowSizes,
  ofArea: number,
  ofRatio: number,
  ofX: number,
  ofY: number,
): CropWindow {
  const share = between(area, ofArea);
  const inside = (value: number) => Math.max(share, Math.min(1 / share, value));
  const [narrowest, widest] = [Math.log(inside(ratio[0])), Math.log(inside(ratio[1]))];
  const shape = Math.exp(between([narrowest, widest], ofRatio));
  const width = Math.min(1, Math.sqrt(share * shape));
  const height = Math.min(1, Math.sqrt(share / shape));
  return { x: ofX * (1 - width), y: ofY * (1 - height), width, height };
}

function between([low, high]: Range, share: number): number {
  return low + (high - low) * share;
}

/**
 * An affine map from a pixel of the new image to its source in the old one, in pixels from the centers of both:
 * x′ = xFromX · x + xFromY · y + x₀, and the same for y′.
 */
export interface Affine {
  readonly xFromX: number;
  readonly xFromY: number;
  readonly x: number;
  readonly yFromX: number;
  readonly yFromY: number;
  readonly y: number;
}

/** Width and height of an image in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Fixed-point numbers with 16 bits after the point: integer arithmetic is what makes this loop fast. */
const one = 1 << 16;

/**
 * Moves the pixels of `source` into `target`, both `[height, width, 3]`, with bilinear interpolation; beyond the border the
 * nearest border pixel is repeated, which suits photos and plain backgrounds alike. Flips and shifts by whole pixels are
 * exact. Both sides at most 8192 pixels.
 */
export function warp(target: Uint8Array, source: Uint8Array, { width, height }: Size, affine: Affine): void {
  const lastX = width - 1;
  const lastY = height - 1;
  const stepX = Math.round(affine.xFromX * one);
  const stepY = Math.round(affine.yFromX * one);
  const firstColumn = -lastX / 2;
  let written = 0;
  for (let row = 0; row < height; row++) {
    const fromCenter = row - lastY / 2;
    let x = Math.round((affine.xFromX * firstColumn + affine.xFromY * fromCenter + affine.x + lastX / 2) * one) | 0;
    let y = Math.round((affine.yFromX * firstColumn + affine.yFromY * fromCenter + affine.y + lastY / 2) * one) | 0;
    for (let column = 0; column < width; column++) {
      const insideX = x < 0 ? 0 : x > lastX << 16 ? lastX << 16 : x;
      const insideY = y < 0 ? 0 : y > lastY << 16 ? lastY << 16 : y;
      const left = insideX >> 16;
      const top = insideY >> 16;
      // Weights of the right and the lower neighbor, of 256.
      const rightward = (insideX >> 8) & 0xff;
      const downward = (insideY >> 8) & 0xff;
      const topLeft = (top * width + left) * 3;
      const topRight = left < lastX ? topLeft + 3 : topLeft;
      const below = top < lastY ? width * 3 : 0;
      for (let channel = 0; channel < 3; channel++) {
        const a = source[topLeft + channel]!;
        const b = source[topRight + channel]!;
        const c = source[topLeft + below + channel]!;
        const d = source[topRight + below + channel]!;
        const upper = (a << 8) + (b - a) * rightward;
        const lower = (c << 8) + (d - c) * rightward;
        target[written++] = ((upper << 8) + (lower - upper) * downward + 0x8000) >> 16;
      }
      x = (x + stepX) | 0;
      y = (y + stepY) | 0;
    }
  }
}

/** Fill of an erased rectangle: middle gray, one random color, or a random color for each pixel. */
export type ErasingFill = "gray" | "color" | "noise";

/**
 * Random erasing: a rectangle of some images is painted over, so that no single detail decides the class.
 * @see https://arxiv.org/abs/1708.04896
 */
export interface Erasing extends WindowSizes {
  /** Probability that an image loses a rectangle, 0 to 1. */
  readonly probability: number;
  readonly fill: ErasingFill;
}

/** Defaults of the paper: 2 % to a third of the image, 0.3 to 3.3 times as wide as high. */
export const erasingDefaults = { area: [0.02, 1 / 3], ratio: [0.3, 1 / 0.3], fill: "noise" } as const satisfies Omit<
  Erasing,
  "probability"
>;

/** An erased rectangle of one image. */
export interface ErasedWindow extends CropWindow {
  readonly fill: ErasingFill;
  /** Seed of the random colors. */
  readonly seed: number;
}

/** Takes six random numbers, whether or not anything is erased. */
export function drawErasing(erasing: Erasing | undefined, random: Random): ErasedWindow | undefined {
  const { probability, fill, ...sizes } = erasing ?? { probability: 0, ...erasingDefaults };
  const isErased = random() < probability;
  const window = drawWindow(sizes, random);
  const seed = Math.floor(random() * 2 ** 32);
  return isErased ? { ...window, fill, seed } : undefined;
}

/** Paints over a rectangle of RGB `pixels` `[height, width, 3]`, in place; its edges are rounded to whole pixels. */
export function erase(pixels: Uint8Array, size: Size, erased: ErasedWindow): void {
  const { left, top, right, bottom } = pixelEdges(erased, size);
  const random = mulberry32(erased.seed);
  const byte = () => Math.floor(random() * 256);
  const color = erased.fill === "gray" ? [128, 128, 128] : [byte(), byte(), byte()];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const at = (y * size.width + x) * 3;
      for (let channel = 0; channel < 3; channel++) {
        pixels[at + channel] = erased.fill === "noise" ? byte() : color[channel]!;
      }
    }
  }
}

/** Returns the edges of a window in whole pixels; `right` and `bottom` are exclusive. */
export function pixelEdges({ x, y, width, height }: CropWindow, size: Size) {
  return {
    left: Math.round(x * size.width),
    top: Math.round(y * size.height),
    right: Math.round((x + width) * size.width),
    bottom: Math.round((y + height) * size.height),
  };
}
