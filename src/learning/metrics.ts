import type { ClassScore, Evaluation } from "../base/records.ts";
import { ReliabilityTally, TemperatureTally } from "./calibration.ts";
import { type ClassCounts, leastProbability, ScoreTally, scoresOf } from "./class-scores.ts";
import { rankOf, topIndices } from "./ranking.ts";

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
export class EvaluationTally extends ScoreTally<number> {
  readonly #reliability = new ReliabilityTally();
  readonly #temperature: TemperatureTally | undefined;

  /** @param labels one name for each class, in the order of the network's outputs. */
  constructor(labels: readonly string[], { top, temperature }: TallyOptions = {}) {
    super(labels, top);
    this.#temperature = temperature ? new TemperatureTally() : undefined;
  }

  /**
   * Returns the scores of everything added so far.
   * @throws {DataError} nothing was added.
   */
  evaluation(): Evaluation {
    const accuracies = this.accuracies(classCounts(this.confusion));
    const temperature = this.#temperature?.fit();
    return {
      ...accuracies,
      calibration: {
        expectedCalibrationError: this.#reliability.expectedError(),
        bins: this.#reliability.bins(),
        ...(temperature && { temperature }),
      },
      perClass: classScores(this.labels, this.confusion),
      confusion: this.confusion.map((row) => [...row]),
    };
  }

  protected addOne(scores: Float32Array, truth: number): number {
    const rank = rankOf(scores, truth);
    const predicted = rank === 0 ? truth : topIndices(scores, 1)[0]!;
    this.ranks.add(rank);
    this.#reliability.add(scores[predicted]!, rank === 0);
    this.#temperature?.add(scores, truth);
    this.confusion[truth]![predicted]!++;
    return -Math.log(Math.max(scores[truth]!, leastProbability));
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
    predicted: sum(confusion.map((each) => each[index]!)),
    support: sum(row),
  }));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
