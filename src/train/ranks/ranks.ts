import type { Json } from "../../base/json.ts";
import type { Communicator } from "../../base/platform.ts";
import type { SkippedFile } from "../../base/records.ts";
import type { ImageDataset } from "../../data/dataset.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import type { Reduce } from "../step/split-program.ts";

/** The communicator of a single process. */
export const alone: Communicator = {
  rank: 0,
  size: 1,
  sum: () => {},
  broadcast: () => {},
  abort: (exitCode) => {
    throw new Error(`a single process cannot end others (${exitCode})`);
  },
  dispose: () => {},
};

/** True if a condition holds on any rank. All ranks must call this, and the functions below, at the same time. */
export function onAnyRank(communicator: Communicator, isSo: boolean): boolean {
  return totalOfRanks(communicator, isSo ? 1 : 0) > 0;
}

/** True if a condition holds on rank 0. */
export function onFirstRank(communicator: Communicator, isSo: boolean): boolean {
  const answer = Uint8Array.of(isSo ? 1 : 0);
  communicator.broadcast(answer);
  return answer[0] === 1;
}

/** The sum of a small whole number, below 2²⁴, over all ranks. */
export function totalOfRanks(communicator: Communicator, count: number): number {
  const total = Float32Array.of(count);
  communicator.sum(total);
  return total[0]!;
}

/** Most numbers in a message: MPI counts them in 32 bits. */
const longestMessage = 2 ** 28;

/** Replaces each number by its sum over all ranks, in messages of limited size. */
export function sumOfRanks(communicator: Communicator, values: Float32Array): void {
  for (let start = 0; start < values.length; start += longestMessage) {
    communicator.sum(values.subarray(start, start + longestMessage));
  }
}

/** The values of all ranks, in their order. For small ones: they are sent as text, four bytes for each character. */
export function gatherRanks<T extends Json>(communicator: Communicator, value: T): readonly T[] {
  const { rank, size } = communicator;
  if (size === 1) return [value];
  const text = new TextEncoder().encode(JSON.stringify(value));
  const lengths = new Float32Array(size);
  lengths[rank] = text.length;
  communicator.sum(lengths);
  const ends = [...lengths].map((_, index) => lengths.subarray(0, index + 1).reduce((sum, length) => sum + length, 0));
  const starts = [0, ...ends];
  const texts = new Float32Array(ends.at(-1)!);
  texts.set(text, starts[rank]!);
  communicator.sum(texts);
  const bytes = Uint8Array.from(texts);
  return ends.map((end, index) => JSON.parse(new TextDecoder().decode(bytes.subarray(starts[index]!, end))) as T);
}

/** Averages a training step over all ranks. */
export function averageOverRanks(communicator: Communicator): Reduce {
  return async (buffer) => {
    communicator.sum(buffer);
    for (let index = 0; index < buffer.length; index++) buffer[index]! /= communicator.size;
  };
}

/** The tensors of rank 0, under the same names and of the same shapes as this rank's own. */
export function tensorsOfFirstRank(
  communicator: Communicator,
  tensors: ReadonlyMap<string, FloatTensor>,
): ReadonlyMap<string, FloatTensor> {
  if (communicator.size === 1) return tensors;
  return new Map(
    [...tensors].map(([name, { shape, data }]) => {
      const copy = data.slice();
      communicator.broadcast(new Uint8Array(copy.buffer, copy.byteOffset, copy.byteLength));
      return [name, floatTensor(shape, copy)];
    }),
  );
}

/** Yields items as long as every rank has one. */
export async function* inStep<T>(communicator: Communicator, items: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  for await (const item of items) {
    if (onAnyRank(communicator, false)) return;
    yield item;
  }
  onAnyRank(communicator, true);
}

/** The files that any rank has skipped, of a shared data set. */
export function skippedByRanks(
  communicator: Communicator,
  dataset: ImageDataset,
  own: readonly SkippedFile[],
): readonly SkippedFile[] {
  const all = gatherRanks(
    communicator,
    own.map(({ file, reason }) => ({ file, reason })),
  );
  return filesOnce(dataset, all.flat(), []);
}

/** Each file once, in the order of the data set. */
export function filesOnce(
  { samples }: ImageDataset,
  before: readonly SkippedFile[],
  now: readonly SkippedFile[],
): readonly SkippedFile[] {
  if (before.length === 0) return now;
  const reasons = new Map([...before, ...now].map((skipped) => [skipped.file, skipped]));
  return samples.flatMap(({ name }) => reasons.get(name) ?? []);
}
