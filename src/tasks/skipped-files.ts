import type { ImageDataset } from "../data/dataset.ts";
import type { SkippedFile } from "../records.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { TrainingPlan } from "./train-plan.ts";

/** The pictures of a training that could not be used: those that were found so now, and before it was resumed. */
export class SkippedFiles {
  readonly #plan: Pick<TrainingPlan, "dataset" | "batches" | "validation">;
  readonly #before: Pick<Checkpoint, "skipped" | "validationSkipped"> | undefined;

  constructor(
    plan: Pick<TrainingPlan, "dataset" | "batches" | "validation">,
    before: Pick<Checkpoint, "skipped" | "validationSkipped"> | undefined,
  ) {
    this.#plan = plan;
    this.#before = before;
  }

  get training(): readonly SkippedFile[] {
    const { dataset, batches } = this.#plan;
    return union(dataset, this.#before?.skipped ?? [], batches.skipped);
  }

  get validation(): readonly SkippedFile[] {
    const { validation } = this.#plan;
    if (!validation) return [];
    return union(validation.dataset, this.#before?.validationSkipped ?? [], validation.batches.skipped);
  }
}

/** Each file once, in the order of the data set. */
function union(
  { samples }: ImageDataset,
  before: readonly SkippedFile[],
  now: readonly SkippedFile[],
): readonly SkippedFile[] {
  const reasons = new Map([...before, ...now].map((skipped) => [skipped.file, skipped]));
  if (reasons.size === now.length) return now;
  return samples.flatMap(({ name }) => reasons.get(name) ?? []);
}
