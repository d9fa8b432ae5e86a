import { rankOf } from "../learning/metrics-ranking.ts";
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

  /** @param logits `[N, classes]`, row by row. @param labels N true classes. */
  add(loss: number, logits: Float32Array, labels: Int32Array): void {
    const classes = logits.length / labels.length;
    this.#steps++;
    this.#loss += loss;
    this.#pictures += labels.length;
    for (const [row, label] of labels.entries()) {
      if (rankOf(logits.subarray(row * classes, (row + 1) * classes), label) === 0) this.#right++;
    }
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
