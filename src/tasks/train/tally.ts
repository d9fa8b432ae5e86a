import { rankOf } from "../../learning/metrics-ranking.ts";
import type { TallyState } from "./checkpoint.ts";

/** Means over the steps of an epoch; all its batches have the same size. */
export class EpochTally {
  #steps: number;
  #loss: number;
  #images: number;
  #right: number;

  /** @param state of a tally to go on with. */
  constructor({ steps, loss, images, right }: TallyState = { steps: 0, loss: 0, images: 0, right: 0 }) {
    this.#steps = steps;
    this.#loss = loss;
    this.#images = images;
    this.#right = right;
  }

  /** @param right how many of the step's images the network had right. */
  add(loss: number, images: number, right: number): void {
    this.#steps++;
    this.#loss += loss;
    this.#images += images;
    this.#right += right;
  }

  get loss(): number {
    return this.#loss / this.#steps;
  }

  get accuracy(): number {
    return this.#right / this.#images;
  }

  state(): TallyState {
    return { steps: this.#steps, loss: this.#loss, images: this.#images, right: this.#right };
  }
}

/**
 * How many images the network has right.
 * @param logits `[N, classes]`, row by row. @param truths the true classes of N images: one each, or some.
 */
export function countRight(logits: Float32Array, truths: readonly (readonly number[])[]): number {
  const classes = logits.length / truths.length;
  return truths.filter((truth, row) => {
    const scores = logits.subarray(row * classes, (row + 1) * classes);
    return truth.some((label) => rankOf(scores, label) === 0);
  }).length;
}
