import type { Random } from "../tensor/random.ts";

/** Lowest and highest value. */
export type Range = readonly [lowest: number, highest: number];

/** A rectangle of an image, in shares of its width and height; the place is that of the top left corner. */
export interface Window {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** How the size of a window is drawn. */
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
export function drawWindow({ area, ratio }: WindowSizes, random: Random): Window {
  return windowOf({ area, ratio }, random(), random(), random(), random());
}

/** The window for four numbers of 0 … 1: of the area, of the ratio, of the place across and of that down. */
export function windowOf(
  { area, ratio }: WindowSizes,
  ofArea: number,
  ofRatio: number,
  ofX: number,
  ofY: number,
): Window {
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
