import type { Evaluation } from "../base/records.ts";
import { leastProbability, ScoreTally, scoresOf } from "./class-scores.ts";
import type { TallyOptions } from "./metrics.ts";
import { AveragePrecisionTally, meanAveragePrecision, rankOf, topIndices } from "./ranking.ts";

/** Probability from which a class counts as predicted. */
const threshold = 0.5;

/**
 * Accumulates the predictions of a network for images with any number of labels, batch by batch. Precision and recall
 * count classes with a probability of at least ½ as predicted. Keeps the top 100 classes of each image.
 */
export class MultiLabelTally extends ScoreTally<readonly number[]> {
  readonly #weights: readonly number[] | undefined;
  readonly #predicted: number[];
  readonly #precisions: AveragePrecisionTally;

  /**
   * @param labels one name for each class, in the order of the network's outputs.
   * @param weights class weights in the mean average precision, from 0; default: all equal.
   */
  constructor(labels: readonly string[], weights?: readonly number[], { top }: Pick<TallyOptions, "top"> = {}) {
    super(labels, top);
    this.#weights = weights;
    this.#predicted = labels.map(() => 0);
    this.#precisions = new AveragePrecisionTally(labels.length);
  }

  /**
   * Returns the scores of everything added so far.
   * @throws {DataError} nothing was added.
   */
  evaluation(): Evaluation {
    const averages = this.#precisions.averagePrecisions();
    const counts = this.confusion.map((row, index) => ({
      right: row[index]!,
      predicted: this.#predicted[index]!,
      support: row.reduce((sum, count) => sum + count, 0),
    }));
    return {
      ...this.accuracies(counts),
      meanAveragePrecision: meanAveragePrecision(averages, this.#weights),
      perClass: this.labels.map((label, index) => {
        const averagePrecision = averages[index];
        return {
          label,
          ...scoresOf(counts[index]!),
          ...(averagePrecision !== undefined && { averagePrecision }),
          support: counts[index]!.support,
        };
      }),
      confusion: this.confusion.map((row) => [...row]),
    };
  }

  protected addOne(scores: Float32Array, truth: readonly number[]): number {
    this.ranks.add(Math.min(...truth.map((label) => rankOf(scores, label))));
    this.#precisions.add(scores, truth);
    for (const [index, score] of scores.entries()) if (score >= threshold) this.#predicted[index]!++;
    const others = topIndices(scores, truth.length + 1).filter((index) => !truth.includes(index));
    for (const label of truth) {
      // If the image has all classes, none is left that could be predicted wrongly.
      const taken = scores[label]! >= threshold ? label : (others[0] ?? label);
      this.confusion[label]![taken]!++;
    }
    return meanCrossEntropy(scores, truth);
  }
}

/** Sum over the classes: −ln p of the true ones, −ln(1 − p) of the others. */
function meanCrossEntropy(scores: Float32Array, truth: readonly number[]): number {
  const costs = scores.map(
    (score, index) => -Math.log(Math.max(truth.includes(index) ? score : 1 - score, leastProbability)),
  );
  return costs.reduce((sum, cost) => sum + cost, 0) / scores.length;
}
