import type { ImageDataset } from "../../data/dataset.ts";
import type { Communicator } from "../../platform.ts";
import type { SkippedFile } from "../../records.ts";
import { gatherRanks } from "./ranks.ts";

/** What all ranks have skipped of a data set that they share. */
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
