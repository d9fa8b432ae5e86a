/**
 * The place of one class among all when they are sorted by falling score, 0 for the highest. Among equal scores the
 * class that comes first in the list goes first, as in `argmax`, so that ties never depend on chance.
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
 * The indices of the `count` highest scores, highest first; ties as in {@link rankOf}. Fewer when there are fewer scores.
 * @example topIndices([0.1, 0.7, 0.2], 2) // [1, 2]
 */
export function topIndices(scores: ArrayLike<number>, count: number): number[] {
  return Array.from(scores, (_, index) => index)
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count);
}

/** Counts at which places true classes are; the memory is one number for each class. */
export class RankTally {
  readonly #counts: number[];
  #images = 0;

  constructor(classes: number) {
    this.#counts = Array.from({ length: classes }, () => 0);
  }

  get images(): number {
    return this.#images;
  }

  /** @param rank see {@link rankOf}; of an image of no class: Infinity. */
  add(rank: number): void {
    this.#images++;
    if (rank < this.#counts.length) this.#counts[rank] = this.#counts[rank]! + 1;
  }

  /** Fraction of images whose true class is among the `k` highest. */
  accuracy(k: number): number {
    return this.#counts.slice(0, k).reduce((sum, count) => sum + count, 0) / this.#images;
  }
}
