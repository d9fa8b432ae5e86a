import { DataError } from "../errors.ts";
import type { ClassScore, Evaluation } from "../records.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import { checkFinite, checkRows, checkTruth, leastProbability } from "./metrics-checks.ts";
import { rankOf, topIndices } from "./metrics-ranking.ts";

/**
 * Counts the answers of a network batch by batch and scores them at the end; memory does not grow with the pictures.
 * @example
 * const tally = new EvaluationTally(["cat", "dog"]);
 * tally.add(floatTensor([1, 2], Float32Array.of(0.9, 0.1)), [0]);
 * tally.evaluation().top1; // 1
 */
export class EvaluationTally {
  readonly #labels: readonly string[];
  readonly #confusion: number[][];
  #images = 0;
  #top1 = 0;
  #top5 = 0;
  #loss = 0;

  /** @param labels one name for each class, in the order of the network's outputs. */
  constructor(labels: readonly string[]) {
    this.#labels = labels;
    this.#confusion = labels.map(() => labels.map(() => 0));
  }

  /**
   * @param probabilities `[N, classes]`, each row the network's answer to one picture.
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
   * The scores of everything added so far.
   * @throws {DataError} nothing was added.
   */
  evaluation(): Evaluation {
    if (this.#images === 0) {
      throw new DataError({ where: "EvaluationTally.evaluation", what: "there are no pictures to evaluate" });
    }
    return {
      images: this.#images,
      top1: this.#top1 / this.#images,
      top5: this.#top5 / this.#images,
      loss: this.#loss / this.#images,
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
    this.#images++;
    if (rank < 1) this.#top1++;
    if (rank < 5) this.#top5++;
    this.#loss -= Math.log(Math.max(scores[truth]!, leastProbability));
    matches[predicted] = matches[predicted]! + 1;
  }
}

/**
 * Precision, recall and F1 of each class from `confusion[truth][prediction]`. A class that was never predicted has
 * precision 0, one that never occurs recall 0, as with scikit-learn's `zero_division=0`.
 */
export function classScores(
  labels: readonly string[],
  confusion: readonly (readonly number[])[],
): readonly ClassScore[] {
  return labels.map((label, index) => {
    const right = confusion[index]![index]!;
    const support = sum(confusion[index]!);
    const predicted = sum(confusion.map((row) => row[index]!));
    return {
      label,
      precision: fraction(right, predicted),
      recall: fraction(right, support),
      // 2PR/(P+R) with P = right/predicted and R = right/support.
      f1: fraction(2 * right, predicted + support),
      support,
    };
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** 0 of nothing. */
export function fraction(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
