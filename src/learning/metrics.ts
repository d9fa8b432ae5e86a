import { DataError } from "../base/errors.ts";
import type { ClassScore, Evaluation } from "../base/records.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import { ReliabilityTally, TemperatureTally } from "./calibration.ts";
import {
  averageScores,
  type ClassCounts,
  checkFinite,
  checkRows,
  checkTruth,
  leastProbability,
  scoresOf,
} from "./class-scores.ts";
import { RankTally, rankOf, topIndices } from "./ranking.ts";

/** Optional metrics of an evaluation. */
export interface TallyOptions {
  /** Values of k, from 1, for top-k accuracy. */
  readonly top?: readonly number[] | undefined;
  /** Fits a temperature; the predictions must come from a softmax, and are all kept in memory. Default false. */
  readonly temperature?: boolean | undefined;
}

/**
 * Accumulates the predictions of a network batch by batch and scores them at the end; memory use does not grow with the
 * number of images, unless a temperature is fitted.
 * @example
 * const tally = new EvaluationTally(["cat", "dog"]);
 * tally.add(floatTensor([1, 2], Float32Array.of(0.9, 0.1)), [0]);
 * tally.evaluation().top1; // 1
 */
export class EvaluationTally {
  readonly #labels: readonly string[];
  readonly #confusion: number[][];
  readonly #options: TallyOptions;
  readonly #ranks: RankTally;
  readonly #reliability = new ReliabilityTally();
  readonly #temperature: TemperatureTally | undefined;
  #loss = 0;

  /** @param labels one name for each class, in the order of the network's outputs. */
  constructor(labels: readonly string[], options: TallyOptions = {}) {
    this.#labels = labels;
    this.#options = options;
    this.#ranks = new RankTally(labels.length);
    this.#temperature = options.temperature ? new TemperatureTally() : undefined;
    this.#confusion = labels.map(() => labels.map(() => 0));
  }

  /**
   * @param probabilities `[N, classes]`, one row per image.
   * @param truths N indices of true classes. Rows beyond them are padding of the last batch and are ignored.
   * @throws {ShapeError} the probabilities do not fit the labels, or there are fewer rows than truths.
   * @throws {DataError} a true class is not one of the labels.
   * @throws {TrainingError} a probability is not a finite number.
   */
  add(probabilities: FloatTensor, truths: ArrayLike<number>): void {
    const classes = this.#labels.length;
    checkRows(probabilities, truths.length, classes);
    for (let row = 0; row < truths.length; row++) {
      this.#addOne(probabilities.data.subarray(row * classes, (row + 1) * classes), truths[row]!);
    }
  }

  /**
   * Returns the scores of everything added so far.
   * @throws {DataError} nothing was added.
   */
  evaluation(): Evaluation {
    const { images } = this.#ranks;
    if (images === 0) {
      throw new DataError({ where: "EvaluationTally.evaluation", what: "there are no images to evaluate" });
    }
    const { top } = this.#options;
    const temperature = this.#temperature?.fit();
    return {
      images,
      top1: this.#ranks.accuracy(1),
      top5: this.#ranks.accuracy(5),
      loss: this.#loss / images,
      ...(top && { topK: top.map((k) => ({ k, accuracy: this.#ranks.accuracy(k) })) }),
      averages: averageScores(classCounts(this.#confusion)),
      calibration: {
        expectedCalibrationError: this.#reliability.expectedError(),
        bins: this.#reliability.bins(),
        ...(temperature && { temperature }),
      },
      perClass: classScores(this.#labels, this.#confusion),
      confusion: this.#confusion.map((row) => [...row]),
    };
  }

  #addOne(scores: Float32Array, truth: number): void {
    checkTruth(truth, this.#labels.length);
    checkFinite(scores);
    const matches = this.#confusion[truth]!;
    const rank = rankOf(scores, truth);
    const predicted = rank === 0 ? truth : topIndices(scores, 1)[0]!;
    this.#ranks.add(rank);
    this.#reliability.add(scores[predicted]!, rank === 0);
    this.#temperature?.add(scores, truth);
    this.#loss -= Math.log(Math.max(scores[truth]!, leastProbability));
    matches[predicted] = matches[predicted]! + 1;
  }
}

/**
 * Precision, recall and F1 of each class from `confusion[truth][prediction]`. The precision of a class that was never
 * predicted is 0, as is the recall of one that never occurs, like scikit-learn's `zero_division=0`.
 */
export function classScores(
  labels: readonly string[],
  confusion: readonly (readonly number[])[],
): readonly ClassScore[] {
  return classCounts(confusion).map((counts, index) => ({
    label: labels[index]!,
    ...scoresOf(counts),
    support: counts.support,
  }));
}

function classCounts(confusion: readonly (readonly number[])[]): readonly ClassCounts[] {
  return confusion.map((row, index) => ({
    right: row[index]!,
    said: sum(confusion.map((each) => each[index]!)),
    support: sum(row),
  }));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
