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

/** Replaces the values of each channel by what `changeOf` its histogram says; undefined leaves the channel alone. */
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
