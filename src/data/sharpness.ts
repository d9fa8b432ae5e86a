import type { Size } from "./warp.ts";

/**
 * Blurs or sharpens RGB `pixels` `[height, width, 3]` in place: multiplies each value's distance from the weighted mean of its
 * 3×3 neighborhood, in which the middle counts 5 of 13, by `factor`. 0 gives that mean, 1 changes nothing, 2 sharpens. The
 * outermost pixels stay.
 * @see https://pillow.readthedocs.io/en/stable/reference/ImageEnhance.html#PIL.ImageEnhance.Sharpness
 */
export function changeSharpness(pixels: Uint8Array, { width, height }: Size, factor: number): void {
  const source = pixels.slice();
  const changed = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length);
  const row = width * 3;
  for (let y = 1; y < height - 1; y++) {
    const end = (y + 1) * row - 3;
    for (let at = y * row + 3; at < end; at++) {
      const above = at - row;
      const below = at + row;
      const own = source[at]!;
      const sum =
        source[above - 3]! +
        source[above]! +
        source[above + 3]! +
        source[at - 3]! +
        5 * own +
        source[at + 3]! +
        source[below - 3]! +
        source[below]! +
        source[below + 3]!;
      const mean = sum / 13;
      changed[at] = mean + (own - mean) * factor;
    }
  }
}
