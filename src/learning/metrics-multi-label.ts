import { DataError } from "../base/errors.ts";
import type { Evaluation } from "../base/records.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import { averageScores, checkFinite, checkRows, checkTruth, leastProbability, scoresOf } from "./class-scores.ts";
import type { TallyOptions } from "./metrics.ts";
import { AveragePrecisionTally, meanAveragePrecision, RankTally, rankOf, topIndices } from "./ranking.ts";

/** Probability from which a class counts as predicted. */
const threshold = 0.5;

/**
 * Accumulates the predictions of a network for images with any number of labels, batch by batch. Precision and recall
 * count classes with a probability of at least ½ as predicted. Keeps the top 100 classes of each image.
 */
export class MultiLabelTally {
  readonly #labels: readonly string[];
  readonly #weights: readonly number[] | undefined;
  readonly #confusion: number[][];
  readonly #said: number[];
  readonly #precisions: AveragePrecisionTally;
  readonly #options: Pick<TallyOptions, "top">;
  readonly #ranks: RankTally;
  #loss = 0;

  /**
   * @param labels one name for each class, in the order of the network's outputs.
   * @param weights class weights in the mean average precision, from 0; default: all equal.
   */
  constructor(labels: readonly string[], weights?: readonly number[], options: Pick<TallyOptions, "top"> = {}) {
    this.#labels = labels;
    this.#options = options;
    this.#ranks = new RankTally(labels.length);
    this.#weights = weights;
    this.#confusion = labels.map(() => labels.map(() => 0));
    this.#said = labels.map(() => 0);
    this.#precisions = new AveragePrecisionTally(labels.length);
  }

  /**
   * @param probabilities `[N, classes]`, independent per class.
   * @param truths the classes of N images. Rows beyond them are padding and are ignored.
   * @throws {ShapeError} the probabilities do not fit the labels, or there are fewer rows than truths.
   * @throws {DataError} a true class is not one of the labels.
   * @throws {TrainingError} a probability is not a finite number.
   */
  add(probabilities: FloatTensor, truths: readonly (readonly number[])[]): void {
    const classes = this.#labels.length;
    checkRows(probabilities, truths.length, classes);
    for (const [row, truth] of truths.entries()) {
      this.#addOne(probabilities.data.subarray(row * classes, (row + 1) * classes), truth);
    }
  }

  /**
   * Returns the scores of everything added so far.
   * @throws {DataError} nothing was added.
   */
  evaluation(): Evaluation {
    const { images } = this.#ranks;
    if (images === 0) {
      throw new DataError({ where: "MultiLabelTally.evaluation", what: "there are no images to evaluate" });
    }
    const averages = this.#precisions.averagePrecisions();
    const counts = this.#confusion.map((row, index) => ({
      right: row[index]!,
      said: this.#said[index]!,
      support: row.reduce((sum, count) => sum + count, 0),
    }));
    const { top } = this.#options;
    return {
      images,
      top1: this.#ranks.accuracy(1),
      top5: this.#ranks.accuracy(5),
      loss: this.#loss / images,
      ...(top && { topK: top.map((k) => ({ k, accuracy: this.#ranks.accuracy(k) })) }),
      averages: averageScores(counts),
      meanAveragePrecision: meanAveragePrecision(averages, this.#weights),
      perClass: this.#labels.map((label, index) => {
        const averagePrecision = averages[index];
        return {
          label,
          ...scoresOf(counts[index]!),
          ...(averagePrecision !== undefined && { averagePrecision }),
          support: counts[index]!.support,
        };
      }),
      confusion: this.#confusion.map((row) => [...row]),
    };
  }

  #addOne(scores: Float32Array, truth: readonly number[]): void {
    for (const label of truth) checkTruth(label, scores.length);
    checkFinite(scores);
    this.#ranks.add(Math.min(...truth.map((label) => rankOf(scores, label))));
    this.#loss += meanCrossEntropy(scores, truth);
    this.#precisions.add(scores, truth);
    for (const [index, score] of scores.entries()) if (score >= threshold) this.#said[index] = this.#said[index]! + 1;
    const others = topIndices(scores, truth.length + 1).filter((index) => !truth.includes(index));
    for (const label of truth) {
      // If the image has all classes, none is left that could be predicted wrongly.
      const taken = scores[label]! >= threshold ? label : (others[0] ?? label);
      this.#confusion[label]![taken] = this.#confusion[label]![taken]! + 1;
    }
  }
}

/** Sum over the classes: −ln p of the true ones, −ln(1 − p) of the others. */
function meanCrossEntropy(scores: Float32Array, truth: readonly number[]): number {
  const costs = scores.map(
    (score, index) => -Math.log(Math.max(truth.includes(index) ? score : 1 - score, leastProbability)),
  );
  return costs.reduce((sum, cost) => sum + cost, 0) / scores.length;
}
