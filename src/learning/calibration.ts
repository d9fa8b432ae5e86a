import type { ReliabilityBin } from "../records.ts";

/** As in Guo et al. 2017. */
const binCount = 15;

/**
 * Counts how often answers of a certain confidence are right, in 15 bins of equal width.
 * @see https://arxiv.org/abs/1706.04599, section 2
 */
export class ReliabilityTally {
  readonly #bins = Array.from({ length: binCount }, () => ({ images: 0, right: 0, confidence: 0 }));
  #images = 0;

  /** @param confidence probability of the answer, 0 to 1; a bin has its upper border, not its lower one. */
  add(confidence: number, isRight: boolean): void {
    const index = Math.min(binCount - 1, Math.max(0, Math.ceil(confidence * binCount) - 1));
    const bin = this.#bins[index]!;
    this.#images++;
    bin.images++;
    bin.confidence += confidence;
    if (isRight) bin.right++;
  }

  /** Those bins that any answer fell into, the least confident first. */
  bins(): readonly ReliabilityBin[] {
    return this.#bins.flatMap(({ images, right, confidence }, index) => {
      if (images === 0) return [];
      const borders = { from: index / binCount, to: (index + 1) / binCount };
      return [{ ...borders, images, confidence: confidence / images, accuracy: right / images }];
    });
  }

  /** Mean distance between confidence and accuracy, each bin by its answers: 0 is perfect; 0 of nothing. */
  expectedError(): number {
    const distances = this.bins().map(({ images, confidence, accuracy }) => images * Math.abs(accuracy - confidence));
    return distances.reduce((sum, distance) => sum + distance, 0) / Math.max(1, this.#images);
  }
}
