import { rankOf } from "../../learning/metrics-ranking.ts";
import type { TallyState } from "./checkpoint.ts";

/** Means over the steps of an epoch; all its batches have the same size. */
export class EpochTally {
  #steps: number;
  #loss: number;
  #pictures: number;
  #right: number;

  /** @param state of a tally to go on with. */
  constructor({ steps, loss, pictures, right }: TallyState = { steps: 0, loss: 0, pictures: 0, right: 0 }) {
    this.#steps = steps;
    this.#loss = loss;
    this.#pictures = pictures;
    this.#right = right;
  }

  /** @param right how many of the step's pictures the network had right. */
  add(loss: number, pictures: number, right: number): void {
    this.#steps++;
    this.#loss += loss;
    this.#pictures += pictures;
    this.#right += right;
  }

  get loss(): number {
    return this.#loss / this.#steps;
  }

  get accuracy(): number {
    return this.#right / this.#pictures;
  }

  state(): TallyState {
    return { steps: this.#steps, loss: this.#loss, pictures: this.#pictures, right: this.#right };
  }
}

/**
 * How many pictures the network has right.
 * @param logits `[N, classes]`, row by row. @param truths the true classes of N pictures: one each, or some.
 */
export function countRight(logits: Float32Array, truths: readonly (readonly number[])[]): number {
  const classes = logits.length / truths.length;
  return truths.filter((truth, row) => {
    const scores = logits.subarray(row * classes, (row + 1) * classes);
    return truth.some((label) => rankOf(scores, label) === 0);
  }).length;
}
