import type { Size } from "./geometry.ts";

/** Factors of a color change; 1 leaves a property unchanged. */
export interface ColorChange {
  /** Multiplies all values. */
  readonly brightness: number;
  /** Multiplies distances from the image's mean gray. */
  readonly contrast: number;
  /** Multiplies distances from each pixel's own gray. */
  readonly saturation: number;
}

// Rec. 601 luma, the gray of PIL and torchvision.
const redShare = 0.299;
const greenShare = 0.587;
const blueShare = 0.114;

/**
 * Changes saturation, then contrast, then brightness of RGB `pixels` in place. The three are linear, so they are one
 * weighted sum for each value; it is rounded and kept within 0 … 255 once, at the end.
 */
export function changeColors(pixels: Uint8Array, { brightness, contrast, saturation }: ColorChange): void {
  if (brightness === 1 && contrast === 1 && saturation === 1) return;
  const ownShare = brightness * contrast * saturation;
  const grayShare = brightness * contrast * (1 - saturation);
  const offset = contrast === 1 ? 0 : brightness * (1 - contrast) * meanGray(pixels);
  const clamped = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length);
  for (let at = 0; at < clamped.length; at += 3) {
    const red = clamped[at]!;
    const green = clamped[at + 1]!;
    const blue = clamped[at + 2]!;
    const shift = grayShare * (redShare * red + greenShare * green + blueShare * blue) + offset;
    clamped[at] = ownShare * red + shift;
    clamped[at + 1] = ownShare * green + shift;
    clamped[at + 2] = ownShare * blue + shift;
  }
}

function meanGray(pixels: Uint8Array): number {
  let red = 0;
  let green = 0;
  let blue = 0;
  for (let at = 0; at < pixels.length; at += 3) {
    red += pixels[at]!;
    green += pixels[at + 1]!;
    blue += pixels[at + 2]!;
  }
  return (redShare * red + greenShare * green + blueShare * blue) / (pixels.length / 3);
}

/**
 * Turns the hue of RGB `pixels` in place and leaves saturation and value (of HSV) as they are.
 * @param turn share of the color circle: ⅓ makes red green, green blue and blue red.
 * @see https://en.wikipedia.org/wiki/HSL_and_HSV
 */
export function turnHue(pixels: Uint8Array, turn: number): void {
  const sectors = (((turn % 1) + 1) % 1) * 6;
  if (sectors === 0) return;
  const turned = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length);
  for (let at = 0; at < pixels.length; at += 3) {
    const red = pixels[at]!;
    const green = pixels[at + 1]!;
    const blue = pixels[at + 2]!;
    const value = Math.max(red, green, blue);
    const chroma = value - Math.min(red, green, blue);
    if (chroma === 0) continue;
    // In sixths of the circle, from red.
    const hue =
      value === red
        ? 6 + (green - blue) / chroma
        : value === green
          ? 2 + (blue - red) / chroma
          : 4 + (red - green) / chroma;
    turned[at] = value - chroma * lackOf(5 + hue + sectors);
    turned[at + 1] = value - chroma * lackOf(3 + hue + sectors);
    turned[at + 2] = value - chroma * lackOf(1 + hue + sectors);
  }
}

/** Share of the chroma that a channel lacks at an angle in sixths, 0 to 1: the trapezium over 0 … 4 of the `f(n)` of that article. */
function lackOf(angle: number): number {
  const inCircle = angle % 6;
  return Math.max(0, Math.min(inCircle, 4 - inCircle, 1));
}

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

/*
 * Changes of single values: each channel through a table of 256 entries. What a table says agrees with Pillow's
 * `ImageOps` to the last bit.
 */

/**
 * Keeps only the highest bits of every value of RGB `pixels`, in place.
 * @param bits how many, 0 to 8; 8 changes nothing.
 * @see https://pillow.readthedocs.io/en/stable/reference/ImageOps.html#PIL.ImageOps.posterize
 */
export function posterize(pixels: Uint8Array, bits: number): void {
  const mask = 0x100 - (1 << (8 - bits));
  for (let at = 0; at < pixels.length; at++) pixels[at] = pixels[at]! & mask;
}

/**
 * Inverts every value of RGB `pixels` from `threshold` on, in place; 256 changes nothing, 0 gives the negative.
 * @see https://pillow.readthedocs.io/en/stable/reference/ImageOps.html#PIL.ImageOps.solarize
 */
export function solarize(pixels: Uint8Array, threshold: number): void {
  for (let at = 0; at < pixels.length; at++) {
    const value = pixels[at]!;
    if (value >= threshold) pixels[at] = 255 - value;
  }
}

/**
 * Spreads the values of each channel of RGB `pixels` so that its darkest becomes 0 and its lightest 255, in place; a channel of
 * one value stays as it is.
 * @see https://pillow.readthedocs.io/en/stable/reference/ImageOps.html#PIL.ImageOps.autocontrast
 */
export function autoContrast(pixels: Uint8Array): void {
  changeChannels(pixels, (counts) => {
    const darkest = counts.findIndex((count) => count > 0);
    const lightest = counts.findLastIndex((count) => count > 0);
    if (lightest <= darkest) return undefined;
    const factor = 255 / (lightest - darkest);
    return (value) => value * factor - darkest * factor;
  });
}

/**
 * Spreads the values of each channel of RGB `pixels` so that all become about equally frequent, in place.
 * @see https://pillow.readthedocs.io/en/stable/reference/ImageOps.html#PIL.ImageOps.equalize
 */
export function equalize(pixels: Uint8Array): void {
  changeChannels(pixels, (counts) => {
    const lightest = counts.findLastIndex((count) => count > 0);
    const step = Math.floor((pixels.length / 3 - counts[lightest]!) / 255);
    if (step === 0) return undefined;
    const table: number[] = [];
    let below = Math.floor(step / 2);
    for (const count of counts) {
      table.push(Math.floor(below / step));
      below += count;
    }
    return (value) => table[value]!;
  });
}

/**
 * Maps the values of each channel through the table that `changeOf` returns for its histogram; undefined leaves the
 * channel alone.
 */
function changeChannels(
  pixels: Uint8Array,
  changeOf: (counts: Uint32Array) => ((value: number) => number) | undefined,
): void {
  for (let channel = 0; channel < 3; channel++) {
    const counts = new Uint32Array(256);
    for (let at = channel; at < pixels.length; at += 3) counts[pixels[at]!]!++;
    const change = changeOf(counts);
    if (change === undefined) continue;
    const table = Uint8Array.from(counts, (_, value) => Math.max(0, Math.min(255, Math.trunc(change(value)))));
    for (let at = channel; at < pixels.length; at += 3) pixels[at] = table[pixels[at]!]!;
  }
}
