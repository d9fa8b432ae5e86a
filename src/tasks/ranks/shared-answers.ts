import type { Batch, BatchSource } from "../../data/batches.ts";
import { AbortedError } from "../../errors.ts";
import type { Communicator } from "../../platform.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";

/** What a network says to some images of a data set. */
export interface Answers {
  /** `[N, classes]`. */
  readonly probabilities: FloatTensor;
  /** `[N]`, indices into the data set's samples, below 2²⁴ where ranks share them. */
  readonly indices: readonly number[];
}

/** What a network says to a batch of images, `[N, classes]`. */
export type Answer = (batch: Batch) => Promise<FloatTensor>;

interface AnswerOptions {
  readonly communicator: Communicator;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Shows a data set to a network. Where several ranks share it, each shows its part, and all get all answers.
 * @throws {AbortedError} the signal fired; on all ranks, where it fired on one.
 */
export async function* answersOf(
  answer: Answer,
  source: BatchSource,
  { communicator, signal }: AnswerOptions,
): AsyncGenerator<Answers, void, void> {
  if (communicator.size > 1) return yield* sharedAnswers(answer, source, { communicator, signal });
  for await (const batch of source.evaluationBatches(signal && { signal })) {
    yield { probabilities: await answer(batch), indices: [...batch.indices] };
  }
}

async function* sharedAnswers(
  answer: Answer,
  source: BatchSource,
  { communicator, signal }: AnswerOptions,
): AsyncGenerator<Answers, void, void> {
  const batches = source.evaluationBatches();
  for (let round = 0; round < source.evaluationBatchCount; round++) {
    const { value: batch } = await batches.next();
    const probabilities = batch && (await answer(batch));
    const message = new AnswerMessage(communicator, source);
    if (batch && probabilities) message.write({ probabilities, indices: [...batch.indices] });
    if (message.exchange(signal?.aborted === true)) {
      throw new AbortedError({ where: "evaluation", what: "it was stopped by the caller", cause: signal?.reason });
    }
    yield message.read();
  }
}

/** One batch of each rank as a message: whether to stop, then a row for each image: its index + 1 and its answer. */
class AnswerMessage {
  readonly #communicator: Communicator;
  readonly #batchSize: number;
  readonly #row: number;
  readonly #numbers: Float32Array;

  constructor(communicator: Communicator, { batchSize, classes }: Pick<BatchSource, "batchSize" | "classes">) {
    this.#communicator = communicator;
    this.#batchSize = batchSize;
    this.#row = 1 + classes;
    this.#numbers = new Float32Array(1 + communicator.size * batchSize * this.#row);
  }

  write({ probabilities, indices }: Answers): void {
    const classes = this.#row - 1;
    for (const [row, index] of indices.entries()) {
      const start = 1 + (this.#communicator.rank * this.#batchSize + row) * this.#row;
      this.#numbers[start] = index + 1;
      this.#numbers.set(probabilities.data.subarray(row * classes, (row + 1) * classes), start + 1);
    }
  }

  /** Whether a rank wants to stop. */
  exchange(stop: boolean): boolean {
    this.#numbers[0] = stop ? 1 : 0;
    this.#communicator.sum(this.#numbers);
    return this.#numbers[0] > 0;
  }

  read(): Answers {
    const rows: Float32Array[] = [];
    for (let start = 1; start < this.#numbers.length; start += this.#row) {
      if (this.#numbers[start]! > 0) rows.push(this.#numbers.subarray(start, start + this.#row));
    }
    const classes = this.#row - 1;
    const probabilities = floatTensor([rows.length, classes]);
    for (const [row, values] of rows.entries()) probabilities.data.set(values.subarray(1), row * classes);
    return { probabilities, indices: rows.map(([index]) => index! - 1) };
  }
}
