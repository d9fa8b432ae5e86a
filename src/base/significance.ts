/** A range that holds the true value with 95 % confidence. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** 97.5th percentile of the standard normal distribution. */
const normalQuantile = 1.959964;

/**
 * The 95 % confidence interval of an accuracy measured on `images` images.
 * @param accuracy fraction of images, 0 to 1.
 * @see Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927
 * @example
 * accuracyInterval(0.9, 100); // { low: 0.826, high: 0.945 }
 */
export function accuracyInterval(accuracy: number, images: number): Interval {
  if (images === 0) return { low: 0, high: 1 };
  const z2 = normalQuantile ** 2 / images;
  const center = (accuracy + z2 / 2) / (1 + z2);
  const half = (normalQuantile * Math.sqrt((accuracy * (1 - accuracy)) / images + z2 / (4 * images))) / (1 + z2);
  return { low: Math.max(0, center - half), high: Math.min(1, center + half) };
}

/** 97.5th percentiles of Student's t distribution by degrees of freedom, from 1; of more, the normal one. */
const studentQuantiles = [
  ...[12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228],
  ...[2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086],
];

/** Arithmetic mean. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Mean, and its 95 % confidence interval from the spread of the values; undefined for a single one. */
export function meanWithInterval(values: readonly number[]) {
  const { length: count } = values;
  const center = mean(values);
  if (count < 2) return { mean: center, interval: undefined };
  const variance = values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (count - 1);
  const half = (studentQuantiles[count - 2] ?? normalQuantile) * Math.sqrt(variance / count);
  return { mean: center, interval: { low: center - half, high: center + half } };
}

/** Two classifiers on the same images. */
export interface PairedTest {
  /** Images that only the first, or only the second, classifies correctly. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
  /** Probability of a difference at least as large if both were equally good, 0 to 1. */
  readonly pValue: number;
}

/**
 * McNemar's exact test: among the images that only one classifier gets right, a fair coin decides which.
 * @param first, second for each image in the same order: true if it is classified correctly.
 * @see McNemar, Note on the sampling error of the difference between correlated proportions, 1947
 */
export function mcNemarTest(first: readonly boolean[], second: readonly boolean[]): PairedTest {
  const onlyFirst = first.filter((right, index) => right && !second[index]).length;
  const onlySecond = second.filter((right, index) => right && !first[index]).length;
  return { onlyFirst, onlySecond, pValue: twoSidedBinomial(Math.min(onlyFirst, onlySecond), onlyFirst + onlySecond) };
}

/** Probability of at most `least` or at least `tosses − least` heads of a fair coin. */
function twoSidedBinomial(least: number, tosses: number): number {
  // Logarithms, since 2⁻ⁿ underflows from 1,075 tosses on.
  let logTerm = -tosses * Math.LN2;
  let tail = Math.exp(logTerm);
  for (let heads = 1; heads <= least; heads++) {
    logTerm += Math.log((tosses - heads + 1) / heads);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}
