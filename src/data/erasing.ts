import { mulberry32, type Random } from "../tensor/random.ts";
import type { Size } from "./warp.ts";
import { drawWindow, type Window, type WindowSizes } from "./windows.ts";

/** What an erased rectangle shows: middle gray, one random color, or a random color for each pixel. */
export type ErasingFill = "gray" | "color" | "noise";

/**
 * Random erasing: a rectangle of some images is painted over, so that no single detail decides.
 * @see https://arxiv.org/abs/1708.04896
 */
export interface Erasing extends WindowSizes {
  /** Share of the images that lose a rectangle, 0 to 1. */
  readonly probability: number;
  readonly fill: ErasingFill;
}

/** As the paper chose: 2 % to a third of the image, 0.3 to 3.3 times as wide as high. */
export const erasingDefaults = { area: [0.02, 1 / 3], ratio: [0.3, 1 / 0.3], fill: "noise" } as const satisfies Omit<
  Erasing,
  "probability"
>;

/** The rectangle that one image loses. */
export interface ErasedWindow extends Window {
  readonly fill: ErasingFill;
  /** Of the random colors. */
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

/** Where a window begins and ends, in whole pixels; `right` and `bottom` lie just outside it. */
export function pixelEdges({ x, y, width, height }: Window, size: Size) {
  return {
    left: Math.round(x * size.width),
    top: Math.round(y * size.height),
    right: Math.round((x + width) * size.width),
    bottom: Math.round((y + height) * size.height),
  };
}
