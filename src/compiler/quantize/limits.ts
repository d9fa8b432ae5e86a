import type { ByteScale } from "../../graph/ops.ts";
import type { Histogram } from "./histogram.ts";
import { byteScaleOf } from "./quantization.ts";

/**
 * Methods of choosing the limits of an activation:
 * - `mse`: the smallest mean squared error of rounding and cutting off;
 * - `minmax`: all numbers that occurred;
 * - `percentile`: all but 0.01 % of the numbers at either end;
 * - `entropy`: the smallest Kullback-Leibler divergence of the rounded distribution.
 */
export const limitMethods = ["mse", "minmax", "percentile", "entropy"] as const;
/** A method of {@link limitMethods}. */
export type LimitMethod = (typeof limitMethods)[number];

type Limits = readonly [low: number, high: number];

const methods: { readonly [M in LimitMethod]: (histogram: Histogram) => Limits } = {
  mse: (histogram) => best(histogram, squaredError(histogram)),
  minmax: ({ low, high }) => [low, high],
  percentile: percentileLimits,
  entropy: (histogram) => best(histogram, (low, high) => divergence(histogram, low, high), 24),
};

/** The rounding of an activation to bytes, from its distribution. */
export function scaleFrom(histogram: Histogram, method: LimitMethod): ByteScale {
  const [low, high] = methods[method](histogram);
  return low === 0 && high === 0 ? { scale: 1, zeroPoint: 0 } : byteScaleOf(low, high);
}

/** The pair of limits, both in steps from an eighth of the extreme to the extreme itself, with the smallest loss. */
function best({ low, high }: Histogram, loss: (low: number, high: number) => number, steps = 56): Limits {
  const parts = (extreme: number) =>
    extreme === 0 ? [0] : Array.from({ length: steps + 1 }, (_, step) => extreme * (1 / 8 + (7 / 8) * (step / steps)));
  let [found, least]: [Limits, number] = [[low, high], Number.POSITIVE_INFINITY];
  for (const from of parts(low)) {
    for (const to of parts(high)) {
      const now = loss(from, to);
      if (now < least) [found, least] = [[from, to], now];
    }
  }
  return found;
}

/**
 * Sum of squared errors: a twelfth of the squared step for each number between the limits, and the squared distance of each one
 * beyond them.
 */
function squaredError(histogram: Histogram): (low: number, high: number) => number {
  const { counts, range, binWidth } = histogram;
  // Sums of count, count · x and count · x² over the bins before each.
  const sums = [0, 1, 2].map((power) => {
    const before = new Float64Array(counts.length + 1);
    for (const [bin, count] of counts.entries())
      before[bin + 1] = before[bin]! + count * histogram.middleOf(bin) ** power;
    return before;
  }) as [Float64Array, Float64Array, Float64Array];
  const binOf = (limit: number) => Math.min(Math.max(Math.round((limit + range) / binWidth), 0), counts.length);
  const beyond = (from: number, to: number, limit: number) => {
    const [count, first, second] = sums.map((each) => each[to]! - each[from]!) as [number, number, number];
    return second - 2 * limit * first + limit ** 2 * count;
  };
  return (low, high) => {
    const [from, to] = [binOf(low), binOf(high)];
    const rounded = (sums[0][to]! - sums[0][from]!) * (((high - low) / 255) ** 2 / 12);
    return rounded + beyond(0, from, low) + beyond(to, counts.length, high);
  };
}

function percentileLimits(histogram: Histogram): Limits {
  const { counts, zeros, low, high, binWidth } = histogram;
  const most = 1e-4 * counts.reduce((sum, count) => sum + count, zeros);
  /** The limit that leaves out at most this many numbers, bin by bin from an end. */
  const limit = (bins: readonly number[], edge: number) => {
    let left = 0;
    const last = bins.find((bin) => {
      left += counts[bin]!;
      return left > most;
    });
    return last === undefined ? 0 : histogram.middleOf(last) + edge * (binWidth / 2);
  };
  const upward = [...counts.keys()];
  return [Math.min(0, Math.max(low, limit(upward, -1))), Math.max(0, Math.min(high, limit(upward.toReversed(), 1)))];
}

/**
 * Kullback-Leibler divergence from the distribution, cut off at the limits, to the rounded one: each of the 255 steps spreads its
 * numbers evenly over those of its bins that are not empty.
 * @see Migacz, 8-bit Inference with TensorRT, 2017
 */
function divergence(histogram: Histogram, low: number, high: number): number {
  const { counts, range, binWidth } = histogram;
  const [from, to] = [low, high].map((limit) => Math.round((limit + range) / binWidth)) as [number, number];
  if (to - from < 2) return Number.POSITIVE_INFINITY;
  const inside = counts.slice(from, to);
  const cut = inside.slice();
  for (const [bin, count] of counts.entries()) {
    if (bin < from) cut[0]! += count;
    else if (bin >= to) cut[cut.length - 1]! += count;
  }
  const stepOf = (bin: number) => Math.min(254, Math.floor((255 * bin) / inside.length));
  const [mass, used] = [new Float64Array(255), new Float64Array(255)];
  for (const [bin, count] of inside.entries()) {
    mass[stepOf(bin)]! += count;
    if (count > 0) used[stepOf(bin)]!++;
  }
  const [allCut, allInside] = [cut, inside].map((each) => each.reduce((sum, count) => sum + count, 0)) as [
    number,
    number,
  ];
  let sum = 0;
  for (const [bin, count] of cut.entries()) {
    if (count === 0) continue;
    const spread = inside[bin]! > 0 ? mass[stepOf(bin)]! / used[stepOf(bin)]! : 0;
    sum += (count / allCut) * Math.log(count / allCut / Math.max(spread / allInside, 1e-12));
  }
  return sum;
}
