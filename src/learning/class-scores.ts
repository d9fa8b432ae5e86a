import { DataError, ShapeError, TrainingError } from "../base/errors.ts";
import type { ScoreAverages } from "../base/records.ts";
import { accuracyInterval } from "../base/significance.ts";
import { formatShape } from "../tensor/shape.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import { RankTally } from "./ranking.ts";

/** Prediction counts of one class. */
export interface ClassCounts {
  /** Images of this class predicted as it. */
  readonly right: number;
  /** Images predicted as this class. */
  readonly predicted: number;
  /** Images of this class. */
  readonly support: number;
}

/** Quotient; 0 if the denominator is 0. */
export function fraction(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Precision, recall and F1 of one class, or of several counted together; 0 if the denominator is 0. */
export function scoresOf({ right, predicted, support }: ClassCounts) {
  return {
    precision: fraction(right, predicted),
    recall: fraction(right, support),
    // 2PR/(P+R) with P = right/predicted and R = right/support.
    f1: fraction(2 * right, predicted + support),
  };
}

/**
 * Averages the scores of all classes: every class counts the same (macro), every prediction does (micro), or every
 * class by its images (weighted), like scikit-learn's `precision_recall_fscore_support` with `zero_division=0`. As
 * there, classes that neither occur nor were predicted are left out.
 */
export function averageScores(classes: readonly ClassCounts[]): ScoreAverages {
  const seen = classes.filter(({ predicted, support }) => predicted + support > 0);
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
    micro: scoresOf({ right: total("right"), predicted: total("predicted"), support: total("support") }),
    weighted: mean(({ support }) => support),
  };
}

/** Lower clip of probabilities before the logarithm, as in Keras: the loss of one image is at most −ln 1e-7 ≈ 16.1. */
export const leastProbability = 1e-7;

/** Scores that need no more than ranks and a confusion matrix, accumulated batch by batch. */
export abstract class ScoreTally<Truth> {
  protected readonly labels: readonly string[];
  /** `confusion[truth][prediction]` */
  protected readonly confusion: number[][];
  protected readonly ranks: RankTally;
  readonly #top: readonly number[] | undefined;
  #loss = 0;

  /**
   * @param labels one name for each class, in the order of the network's outputs.
   * @param top values of k, from 1, for top-k accuracy.
   */
  constructor(labels: readonly string[], top: readonly number[] | undefined) {
    this.labels = labels;
    this.confusion = labels.map(() => labels.map(() => 0));
    this.ranks = new RankTally(labels.length);
    this.#top = top;
  }

  /**
   * @param probabilities `[N, classes]`, one row per image.
   * @param truths the true class, or classes, of N images. Rows beyond them are padding and are ignored.
   * @throws {ShapeError} the probabilities do not fit the labels, or there are fewer rows than truths.
   * @throws {DataError} a true class is not one of the labels.
   * @throws {TrainingError} a probability is not a finite number.
   */
  add({ shape, data }: FloatTensor, truths: ArrayLike<Truth>): void {
    const where = "EvaluationTally.add";
    const classes = this.labels.length;
    const [rows = 0, columns] = shape;
    if (shape.length !== 2 || columns !== classes || rows < truths.length) {
      throw new ShapeError({
        where,
        what: "the probabilities do not fit the labels",
        received: formatShape(shape),
        expected: `at least ${truths.length}×${classes}`,
      });
    }
    for (let row = 0; row < truths.length; row++) {
      const truth = truths[row]!;
      for (const label of [truth].flat() as number[]) {
        if (Number.isInteger(label) && label >= 0 && label < classes) continue;
        const what = "the true class is not one of the network's";
        throw new DataError({ where, what, received: label, expected: `0 to ${classes - 1}` });
      }
      const scores = data.subarray(row * classes, (row + 1) * classes);
      // Comparisons with NaN are false: without this check it would count as a correct prediction.
      if (!scores.every(Number.isFinite)) {
        throw new TrainingError({
          where,
          what: "the network's probabilities are NaN or infinite",
          received: `[${scores.join(", ")}]`,
          remedy: "Its weights have probably diverged: train again with a lower learning rate.",
        });
      }
      this.#loss += this.addOne(scores, truth);
    }
  }

  /** Adds one image. @returns its loss. */
  protected abstract addOne(scores: Float32Array, truth: Truth): number;

  /** @throws {DataError} nothing was added. */
  protected accuracies(counts: readonly ClassCounts[]) {
    const { images } = this.ranks;
    if (images === 0) {
      throw new DataError({ where: "EvaluationTally.evaluation", what: "there are no images to evaluate" });
    }
    return {
      images,
      top1: this.ranks.accuracy(1),
      top1Interval: accuracyInterval(this.ranks.accuracy(1), images),
      top5: this.ranks.accuracy(5),
      loss: this.#loss / images,
      ...(this.#top && { topK: this.#top.map((k) => ({ k, accuracy: this.ranks.accuracy(k) })) }),
      averages: averageScores(counts),
    };
  }
}
