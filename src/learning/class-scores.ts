import { DataError, ShapeError, TrainingError } from "../base/errors.ts";
import type { ScoreAverages } from "../base/records.ts";
import { formatShape } from "../tensor/shape.ts";
import type { FloatTensor } from "../tensor/tensor.ts";

/** Prediction counts of one class. */
export interface ClassCounts {
  /** Images of this class predicted as it. */
  readonly right: number;
  /** Images predicted as this class. */
  readonly said: number;
  /** Images of this class. */
  readonly support: number;
}

/** Quotient; 0 if the denominator is 0. */
export function fraction(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Precision, recall and F1 of one class, or of several counted together; 0 if the denominator is 0. */
export function scoresOf({ right, said, support }: ClassCounts) {
  return {
    precision: fraction(right, said),
    recall: fraction(right, support),
    // 2PR/(P+R) with P = right/said and R = right/support.
    f1: fraction(2 * right, said + support),
  };
}

/**
 * Averages the scores of all classes: every class counts the same (macro), every prediction does (micro), or every
 * class by its images (weighted), like scikit-learn's `precision_recall_fscore_support` with `zero_division=0`. As
 * there, classes that neither occur nor were predicted are left out.
 */
export function averageScores(classes: readonly ClassCounts[]): ScoreAverages {
  const seen = classes.filter(({ said, support }) => said + support > 0);
  const total = (of: keyof ClassCounts) => seen.reduce((sum, counts) => sum + counts[of], 0);
  const mean = (weightOf: (counts: ClassCounts) => number) => {
    const weights = seen.reduce((sum, counts) => sum + weightOf(counts), 0);
    const sums = { precision: 0, recall: 0, f1: 0 };
    for (const counts of seen) {
      const scores = scoresOf(counts);
      for (const name of ["precision", "recall", "f1"] as const) sums[name] += weightOf(counts) * scores[name];
    }
    const { precision, recall, f1 } = sums;
    return { precision: fraction(precision, weights), recall: fraction(recall, weights), f1: fraction(f1, weights) };
  };
  return {
    macro: mean(() => 1),
    micro: scoresOf({ right: total("right"), said: total("said"), support: total("support") }),
    weighted: mean(({ support }) => support),
  };
}

/** Lower clip of probabilities before the logarithm, as in Keras: the loss of one image is at most −ln 1e-7 ≈ 16.1. */
export const leastProbability = 1e-7;

/** @throws {ShapeError} the probabilities do not fit the classes, or there are fewer rows than images. */
export function checkRows({ shape }: FloatTensor, images: number, classes: number): void {
  const [rows = 0, columns] = shape;
  if (shape.length === 2 && columns === classes && rows >= images) return;
  throw new ShapeError({
    where: "EvaluationTally.add",
    what: "the probabilities do not fit the labels",
    received: formatShape(shape),
    expected: `at least ${images}×${classes}`,
  });
}

/** @throws {DataError} a true class is not one of the labels. */
export function checkTruth(truth: number, classes: number): void {
  if (Number.isInteger(truth) && truth >= 0 && truth < classes) return;
  throw new DataError({
    where: "EvaluationTally.add",
    what: "the true class is not one of the network's",
    received: truth,
    expected: `0 to ${classes - 1}`,
  });
}

/** Comparisons with NaN are false: without this check it would count as a correct prediction. */
export function checkFinite(scores: Float32Array): void {
  if (scores.every(Number.isFinite)) return;
  throw new TrainingError({
    where: "EvaluationTally.add",
    what: "the network's probabilities are NaN or infinite",
    received: `[${scores.join(", ")}]`,
    remedy: "Its weights have probably diverged: train again with a lower learning rate.",
  });
}
