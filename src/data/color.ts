/** Factors; 1 leaves a property as it is. */
export interface ColorChange {
  /** Of all values. */
  readonly brightness: number;
  /** Of distances from the image's mean gray. */
  readonly contrast: number;
  /** Of distances from each pixel's own gray. */
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
