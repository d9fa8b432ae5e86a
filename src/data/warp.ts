/**
 * Where a pixel of the new image comes from in the old one, in pixels from the centers of both:
 * x′ = xFromX · x + xFromY · y + x₀, and y′ likewise.
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
 * nearest border pixel goes on, which suits photos and plain backgrounds alike. Mirroring and shifts by whole pixels are
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
