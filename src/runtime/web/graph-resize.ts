import type { ImageResizing, RgbImage } from "../../base/platform.ts";
import { cropStart, scaledSize } from "../../graph/preprocessing.ts";
import { placeAt } from "./resize.ts";

/** Bits after the point of weights: their sums of bytes fit into 32 bits. */
const fractionBits = 22;
const float32 = Math.fround;

/** For each target pixel the first source pixel, and its row of weights in fixed point. */
interface Taps {
  readonly first: Int32Array;
  readonly counts: Int32Array;
  /** `[target, most]`. */
  readonly weights: Int32Array;
  readonly most: number;
}

/**
 * Resizes an image to the bytes that the graph of a model file makes of it: as Pillow does, along each axis in fixed point, rounded
 * to bytes in between.
 */
export function resizeAsGraph(image: RgbImage, resizing: ImageResizing): RgbImage {
  const { width, height, fit, cropRatio = 1, background } = resizing;
  const [tall, wide] = scaledSize([height, width], cropRatio);
  const whole = { width: wide, height: tall };
  const resized = (to: { readonly width: number; readonly height: number }) =>
    resize(image, to, resizing.interpolation);
  if (fit === "cover") return cropped(resized(coveringSize(image, whole)), { width, height });
  if (fit === "fill") return cropped(resized(whole), { width, height });
  const inside = resized(containedSize(image, whole));
  const [left, top] = [(wide - inside.width) / 2, (tall - inside.height) / 2];
  return cropped(placeAt(inside, whole, Math.floor(left), Math.floor(top), background), { width, height });
}

type Size = Pick<RgbImage, "width" | "height">;

/** The smallest size with the image's proportions that covers a size, rounded down. */
function coveringSize(image: Size, { width, height }: Size): Size {
  return {
    width: Math.max(width, Math.floor((image.width * height) / image.height)),
    height: Math.max(height, Math.floor((image.height * width) / image.width)),
  };
}

/** The largest size with the image's proportions that fits into a size, rounded half up. */
function containedSize(image: Size, { width, height }: Size): Size {
  const scaled = (own: number, other: number, given: number) => Math.floor((2 * own * given + other) / (2 * other));
  return {
    width: Math.max(1, Math.min(width, scaled(image.width, image.height, height))),
    height: Math.max(1, Math.min(height, scaled(image.height, image.width, width))),
  };
}

function cropped(image: RgbImage, size: Size): RgbImage {
  if (image.width === size.width && image.height === size.height) return image;
  const [left, top] = [cropStart(image.width - size.width), cropStart(image.height - size.height)];
  return placeAt(image, size, -left, -top, [0, 0, 0]);
}

function resize({ width, height, data }: RgbImage, to: Size, interpolation: ImageResizing["interpolation"]): RgbImage {
  const taps = interpolation === "nearest" ? nearestTaps : filterTaps[interpolation];
  const rows = to.width === width ? data : along(data, height, width, taps(width, to.width));
  const result = to.height === height ? rows : down(rows, 3 * to.width, taps(height, to.height));
  return { ...to, data: result };
}

const filterTaps = {
  bilinear: (from: number, to: number) => tapsOf(from, to, 1, (x) => (x < 1 ? float32(1 - x) : 0)),
  bicubic: (from: number, to: number) => tapsOf(from, to, 2, cubic),
};

/** The cubic kernel with a = −1/2, each operation rounded to float32. */
function cubic(x: number): number {
  if (x < 1) return float32(float32(float32(float32(float32(1.5 * x) - 2.5) * x) * x) + 1);
  if (x < 2) return float32(float32(float32(float32(float32(float32(x - 5) * x) + 8) * x) - 4) * -0.5);
  return 0;
}

/** Weights of an antialiased filter, computed in float32 as the engine does; those beyond the border are dropped. */
function tapsOf(from: number, to: number, radius: number, filter: (x: number) => number): Taps {
  const ratio = float32(to / from);
  const scale = float32(1 / ratio);
  const support = scale >= 1 ? float32(radius * scale) : radius;
  const inverse = scale >= 1 ? float32(1 / scale) : 1;
  const most = 2 * Math.ceil(support) + 1;
  const [first, counts, weights] = [new Int32Array(to), new Int32Array(to), new Int32Array(to * most)];
  const own = new Float32Array(most);
  for (let index = 0; index < to; index++) {
    const center = float32(0.5 + float32(float32(float32(index + 0.5) / ratio) - 0.5));
    const start = Math.max(0, Math.floor(float32(center - support) + 0.5));
    const end = Math.min(from, Math.floor(float32(center + support) + 0.5));
    let total = 0;
    for (let tap = 0; tap < end - start; tap++) {
      own[tap] = filter(Math.abs(float32(float32(float32(tap + start - center) + 0.5) * inverse)));
      total = float32(total + own[tap]!);
    }
    const normalization = total === 0 ? 1 : float32(1 / total);
    first[index] = start;
    counts[index] = end - start;
    for (let tap = 0; tap < end - start; tap++) {
      const weight = float32(own[tap]! * normalization) * 2 ** fractionBits;
      weights[index * most + tap] = Math.sign(weight) * Math.round(Math.abs(weight));
    }
  }
  return { first, counts, weights, most };
}

/** One tap each: pixel ⌊(x + 1/2) · from / to⌋, its step added up in float64 as in Pillow. */
function nearestTaps(from: number, to: number): Taps {
  const first = new Int32Array(to);
  const step = from / to;
  for (let index = 0, place = step / 2; index < to; index++, place += step) first[index] = Math.floor(place);
  return { first, counts: new Int32Array(to).fill(1), weights: new Int32Array(to).fill(2 ** fractionBits), most: 1 };
}

/** Resizes each row. */
function along(data: Uint8Array, height: number, width: number, { first, counts, weights, most }: Taps): Uint8Array {
  const result = new Uint8ClampedArray(3 * height * first.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < first.length; x++, at += 3) {
      const start = x * most;
      const end = start + counts[x]!;
      let from = 3 * (y * width + first[x]!);
      let red = 1 << (fractionBits - 1);
      let green = red;
      let blue = red;
      for (let tap = start; tap < end; tap++, from += 3) {
        const weight = weights[tap]!;
        red = (red + weight * data[from]!) | 0;
        green = (green + weight * data[from + 1]!) | 0;
        blue = (blue + weight * data[from + 2]!) | 0;
      }
      result[at] = red >> fractionBits;
      result[at + 1] = green >> fractionBits;
      result[at + 2] = blue >> fractionBits;
    }
  }
  return new Uint8Array(result.buffer);
}

/** Resizes each column; `row` is the number of bytes of a row. */
function down(data: Uint8Array, row: number, { first, counts, weights, most }: Taps): Uint8Array {
  const result = new Uint8ClampedArray(first.length * row);
  const sums = new Int32Array(row);
  for (let y = 0; y < first.length; y++) {
    sums.fill(1 << (fractionBits - 1));
    for (let tap = 0; tap < counts[y]!; tap++) {
      const weight = weights[y * most + tap]!;
      const from = (first[y]! + tap) * row;
      for (let x = 0; x < row; x++) sums[x]! += weight * data[from + x]!;
    }
    for (let x = 0; x < row; x++) result[y * row + x] = sums[x]! >> fractionBits;
  }
  return new Uint8Array(result.buffer);
}
