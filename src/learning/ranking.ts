/**
 * The rank of a class by descending score, 0 for the highest. Ties go to the class that comes first in the list, as in
 * `argmax`.
 */
export function rankOf(scores: ArrayLike<number>, index: number): number {
  const score = scores[index]!;
  let rank = 0;
  for (let other = 0; other < scores.length; other++) {
    if (scores[other]! > score || (scores[other] === score && other < index)) rank++;
  }
  return rank;
}

/**
 * The indices of the `count` highest scores, highest first; with ties as in {@link rankOf}. Returns fewer if there are
 * fewer scores.
 * @example topIndices([0.1, 0.7, 0.2], 2) // [1, 2]
 */
export function topIndices(scores: ArrayLike<number>, count: number): number[] {
  return Array.from(scores, (_, index) => index)
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count);
}

/** Counts the ranks of true classes; uses one number of memory per class. */
export class RankTally {
  readonly #counts: number[];
  #images = 0;

  constructor(classes: number) {
    this.#counts = Array.from({ length: classes }, () => 0);
  }

  get images(): number {
    return this.#images;
  }

  /** @param rank see {@link rankOf}; Infinity for an image without a class. */
  add(rank: number): void {
    this.#images++;
    if (rank < this.#counts.length) this.#counts[rank] = this.#counts[rank]! + 1;
  }

  /** Top-k accuracy. */
  accuracy(k: number): number {
    return this.#counts.slice(0, k).reduce((sum, count) => sum + count, 0) / this.#images;
  }
}

/** Number of top classes kept per image, as in the paper's MAP@100. */
const guessesPerImage = 100;

/**
 * Ranks predictions by class, for the mean average precision of images with several labels.
 *
 * The predictions of an image are its top 100 classes. The predictions of one class, from all images, are sorted by
 * descending score (ties in the order of the images). With P images of the class, its average precision is
 *
 *     AP = 1/P · Σ over right guesses k of (right guesses among the first k) / k
 *
 * so that an image whose top 100 miss the class adds nothing. MAP@100 is Σ weight·AP / Σ weight over the classes that
 * occur, where the paper weighs a class by how common, and so how important, it is. The paper names the metric without
 * defining it; this is our reading.
 * @see https://arxiv.org/abs/1610.02357 section 4.1
 */
export class AveragePrecisionTally {
  readonly #guesses: { readonly score: number; readonly isRight: boolean }[][];
  readonly #images: number[];
  readonly #guessesPerImage: number;

  /** @param guesses number of predictions kept per image. */
  constructor(classes: number, guesses = guessesPerImage) {
    this.#guesses = Array.from({ length: classes }, () => []);
    this.#images = new Array<number>(classes).fill(0);
    this.#guessesPerImage = guesses;
  }

  /**
   * Adds the predictions for one image.
   * @param scores one per class.
   * @param labels indices of the image's classes.
   */
  add(scores: ArrayLike<number>, labels: readonly number[]): void {
    for (const label of labels) this.#images[label] = this.#images[label]! + 1;
    for (const index of topIndices(scores, this.#guessesPerImage)) {
      this.#guesses[index]!.push({ score: scores[index]!, isRight: labels.includes(index) });
    }
  }

  /** The average precision of each class, 0 to 1; undefined for classes without images. */
  averagePrecisions(): readonly (number | undefined)[] {
    return this.#guesses.map((guesses, index) => {
      const images = this.#images[index]!;
      if (images === 0) return undefined;
      let right = 0;
      let sum = 0;
      for (const [rank, { isRight }] of guesses.toSorted((a, b) => b.score - a.score).entries()) {
        if (!isRight) continue;
        right++;
        sum += right / (rank + 1);
      }
      return sum / images;
    });
  }
}

/**
 * Σ weight·AP / Σ weight over the classes that occur.
 * @param weights one per class, from 0; default: all equal. @returns 0 if no class with a weight occurs.
 */
export function meanAveragePrecision(
  averagePrecisions: readonly (number | undefined)[],
  weights: readonly number[] = averagePrecisions.map(() => 1),
): number {
  let sum = 0;
  let total = 0;
  for (const [index, precision] of averagePrecisions.entries()) {
    if (precision === undefined) continue;
    sum += weights[index]! * precision;
    total += weights[index]!;
  }
  return total === 0 ? 0 : sum / total;
}
