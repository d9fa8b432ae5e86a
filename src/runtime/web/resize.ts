import type { RgbImage } from "../../base/platform.ts";

/** How one axis is resized: for each target pixel its first source pixel and the weights from there on. */
type Taps = readonly { readonly first: number; readonly weights: Float64Array }[];

/**
 * Resizes an image with the Catmull-Rom cubic kernel, stretched over the pixels that fall together when shrinking, as the decoder
 * does in Node.
 */
export function resizeCubic(image: RgbImage, width: number, height: number): RgbImage {
  const rows = along(image.data, image.height, image.width, tapsFor(image.width, width));
  const columns = down(rows, width, tapsFor(image.height, height));
  return { width, height, data: Uint8Array.from(new Uint8ClampedArray(columns)) };
}

/** Places an image on a background of another size; what does not fit is cropped. */
export function placeAt(
  { width, height, data }: RgbImage,
  size: { readonly width: number; readonly height: number },
  left: number,
  top: number,
  background: readonly [number, number, number],
): RgbImage {
  const placed = new Uint8Array(3 * size.width * size.height);
  for (let y = 0, at = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++, at += 3) {
      const [column, row] = [x - left, y - top];
      const isInside = column >= 0 && column < width && row >= 0 && row < height;
      const from = 3 * (row * width + column);
      for (let color = 0; color < 3; color++) placed[at + color] = isInside ? data[from + color]! : background[color]!;
    }
  }
  return { ...size, data: placed };
}

function cubic(x: number): number {
  const at = Math.abs(x);
  if (at >= 2) return 0;
  return at < 1 ? (1.5 * at - 2.5) * at * at + 1 : ((-0.5 * at + 2.5) * at - 4) * at + 2;
}

function tapsFor(from: number, to: number): Taps {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, index) => {
    const center = (index + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - 2 * stretch));
    const last = Math.min(from, Math.ceil(center + 2 * stretch));
    const weights = Float64Array.from({ length: last - first }, (_, tap) =>
      cubic((first + tap + 0.5 - center) / stretch),
    );
    const sum = weights.reduce((total, each) => total + each, 0);
    return { first, weights: weights.map((each) => each / sum) };
  });
}

/** Resizes each row. */
function along(data: Uint8Array, height: number, width: number, taps: Taps): Float32Array {
  const result = new Float32Array(height * taps.length * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (const { first, weights } of taps) {
      const from = 3 * (y * width + first);
      for (let color = 0; color < 3; color++) {
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap++) sum += weights[tap]! * data[from + 3 * tap + color]!;
        result[at++] = sum;
      }
    }
  }
  return result;
}

/** Resizes each column. */
function down(data: Float32Array, width: number, taps: Taps): Float32Array {
  const row = 3 * width;
  const result = new Float32Array(taps.length * row);
  for (const [y, { first, weights }] of taps.entries()) {
    for (const [tap, weight] of weights.entries()) {
      const from = (first + tap) * row;
      for (let x = 0; x < row; x++) result[y * row + x]! += weight * data[from + x]!;
    }
  }
  return result;
}
