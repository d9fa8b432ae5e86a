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
