import type { RgbImage } from "../../base/platform.ts";

/** A small description of an image that resizing and encoding again hardly change. */
export interface Fingerprint {
  /** Signs of the image's lowest frequencies, 64 bits: of even ones across, and of odd ones, which mirroring inverts. */
  readonly hash: readonly [even: number, odd: number];
  /** The image as 16×16 pixels `[16, 16, 3]`. */
  readonly thumbnail: Uint8Array;
}

const [hashSide, thumbnailSide, frequencies] = [32, 16, 8];

/** Describes an image. */
export function fingerprintOf(image: RgbImage): Fingerprint {
  const small = averaged(image, hashSide);
  const gray = Float64Array.from({ length: hashSide ** 2 }, (_, at) => {
    return 0.299 * small[3 * at]! + 0.587 * small[3 * at + 1]! + 0.114 * small[3 * at + 2]!;
  });
  const waves = lowFrequencies(gray);
  return { hash: [signs(waves, 0), signs(waves, 1)], thumbnail: halved(small) };
}

/** Averages over equal areas, parts of pixels included: `[side, side, 3]`. */
function averaged({ width, height, data }: RgbImage, side: number): Float64Array {
  // Sums over all pixels before a place, whose differences are sums over areas: first along rows, then along columns.
  const row = new Float64Array(3 * (width + 1));
  const across = new Float64Array((height + 1) * 3 * side);
  const [columns, rows] = [boundariesOf(width, side), boundariesOf(height, side)];
  for (let y = 0; y < height; y++) {
    for (let at = 0; at < 3 * width; at++) row[at + 3] = row[at]! + data[3 * y * width + at]!;
    addDifferences(row, 3, columns, across.subarray(y * 3 * side, (y + 2) * 3 * side));
  }
  const result = new Float64Array(side * 3 * side);
  const area = (width * height) / side ** 2;
  for (let line = 0; line < side; line++) {
    for (let at = 0; at < 3 * side; at++) {
      const until = (index: number) => valueAt(across, 3 * side, at, rows[index]!);
      result[line * 3 * side + at] = (until(line + 1) - until(line)) / area;
    }
  }
  return result;
}

/** A place between two numbers of a list. */
interface Place {
  readonly index: number;
  readonly share: number;
}

/** The boundaries of equal parts. */
function boundariesOf(size: number, parts: number): readonly Place[] {
  return Array.from({ length: parts + 1 }, (_, part) => {
    const place = (part * size) / parts;
    const index = Math.min(Math.floor(place), size - 1);
    return { index, share: place - index };
  });
}

/** The number at a place of a list of which each entry has `stride` numbers. */
function valueAt(list: Float64Array, stride: number, offset: number, { index, share }: Place): number {
  const at = index * stride + offset;
  return list[at]! + share * (list[at + stride]! - list[at]!);
}

/** Writes the sums between boundaries, added to those in the first half of `target`, into its second half. */
function addDifferences(sums: Float64Array, stride: number, boundaries: readonly Place[], target: Float64Array): void {
  const half = target.length / 2;
  for (let color = 0; color < stride; color++) {
    let before = 0;
    for (let part = 1; part < boundaries.length; part++) {
      const until = valueAt(sums, stride, color, boundaries[part]!);
      const at = (part - 1) * stride + color;
      target[half + at] = target[at]! + until - before;
      before = until;
    }
  }
}

/** Averages over 2×2 pixels. */
function halved(pixels: Float64Array): Uint8Array {
  return Uint8Array.from({ length: 3 * thumbnailSide ** 2 }, (_, at) => {
    const [pixel, color] = [Math.floor(at / 3), at % 3];
    const first = 6 * (Math.floor(pixel / thumbnailSide) * hashSide + (pixel % thumbnailSide)) + color;
    const all = [first, first + 3, first + 3 * hashSide, first + 3 * hashSide + 3];
    return Math.round(all.reduce((sum, each) => sum + pixels[each]!, 0) / 4);
  });
}

const cosines = Array.from({ length: frequencies }, (_, frequency) =>
  Float64Array.from({ length: hashSide }, (__, at) => Math.cos((Math.PI * frequency * (2 * at + 1)) / (2 * hashSide))),
);

/** The lowest 8×8 frequencies of the discrete cosine transform; columns are those across. */
function lowFrequencies(gray: Float64Array): Float64Array {
  const waves = new Float64Array(frequencies ** 2);
  for (let across = 0; across < frequencies; across++) {
    const rows = Array.from({ length: hashSide }, (_, row) => {
      let sum = 0;
      for (let at = 0; at < hashSide; at++) sum += gray[row * hashSide + at]! * cosines[across]![at]!;
      return sum;
    });
    for (let down = 0; down < frequencies; down++) {
      waves[down * frequencies + across] = rows.reduce((sum, value, row) => sum + value * cosines[down]![row]!, 0);
    }
  }
  // Brightness says nothing.
  waves[0] = 0;
  return waves;
}

/** The signs of every second wave. */
function signs(waves: Float64Array, first: 0 | 1): number {
  let bits = 0;
  for (let bit = 0; bit < 32; bit++) if (waves[2 * bit + first]! > 0) bits |= 1 << bit;
  return bits >>> 0;
}

/** Two images by their place in the list. */
export type SimilarPair = readonly [first: number, second: number, isMirrored: boolean];

/** Finds all pairs whose hashes, or that of one and of the other's mirror image, differ in at most `mostBits` of 64 bits. */
export function similarPairs(hashes: readonly Fingerprint["hash"][], mostBits: number): readonly SimilarPair[] {
  const even = Uint32Array.from(hashes, ([bits]) => bits);
  const odd = Uint32Array.from(hashes, ([, bits]) => bits);
  return hashes.flatMap((_, index) => similarToOne(index, even, odd, mostBits));
}

/** Pairs of one image and those after it. */
function similarToOne(first: number, even: Uint32Array, odd: Uint32Array, mostBits: number): SimilarPair[] {
  const pairs: SimilarPair[] = [];
  const [ownEven, ownOdd] = [even[first]!, odd[first]!];
  for (let second = first + 1; second < even.length; second++) {
    const common = countBits(ownEven ^ even[second]!);
    const other = countBits(ownOdd ^ odd[second]!);
    // One branch that is hardly ever taken.
    if (common + Math.min(other, 32 - other) > mostBits) continue;
    if (common + other <= mostBits) pairs.push([first, second, false]);
    if (common + 32 - other <= mostBits) pairs.push([first, second, true]);
  }
  return pairs;
}

function countBits(bits: number): number {
  let count = bits - ((bits >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Correlation of two thumbnails, −1 to 1; of images of one color each, 1 if it is the same. */
export function correlation(a: Uint8Array, b: Uint8Array, isMirrored = false): number {
  const size = a.length;
  const place = (at: number) => {
    const pixel = Math.floor(at / 3);
    const column = pixel % thumbnailSide;
    return 3 * (pixel - column + thumbnailSide - 1 - column) + (at % 3);
  };
  let [sumA, sumB, squareA, squareB, product] = [0, 0, 0, 0, 0];
  for (let at = 0; at < size; at++) {
    const [x, y] = [a[at]!, b[isMirrored ? place(at) : at]!];
    sumA += x;
    sumB += y;
    squareA += x * x;
    squareB += y * y;
    product += x * y;
  }
  const [varianceA, varianceB] = [squareA - sumA ** 2 / size, squareB - sumB ** 2 / size];
  if (varianceA < size || varianceB < size) return Math.abs(sumA - sumB) < 2 * size ? 1 : 0;
  return (product - (sumA * sumB) / size) / Math.sqrt(varianceA * varianceB);
}
