import type { Communicator } from "../../platform.ts";
import type { SkippedFile } from "../../records.ts";
import { filesOnce, skippedByRanks } from "../ranks/ranks.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { TrainingPlan } from "./plan.ts";

/**
 * The images of a training that could not be used: those that were found so now, and before it was resumed; and by other
 * ranks, as far as it has heard from them.
 */
export class SkippedFiles {
  readonly #plan: Pick<TrainingPlan, "dataset" | "batches" | "validation">;
  #before: Pick<Checkpoint, "skipped" | "validationSkipped"> | undefined;

  constructor(
    plan: Pick<TrainingPlan, "dataset" | "batches" | "validation">,
    before: Pick<Checkpoint, "skipped" | "validationSkipped"> | undefined,
  ) {
    this.#plan = plan;
    this.#before = before;
  }

  /** Tells all ranks what each has found. */
  exchange(communicator: Communicator): void {
    if (communicator.size === 1) return;
    const { dataset, validation } = this.#plan;
    this.#before = {
      skipped: skippedByRanks(communicator, dataset, this.training),
      validationSkipped: skippedByRanks(communicator, (validation ?? this.#plan).dataset, this.validation),
    };
  }

  get training(): readonly SkippedFile[] {
    const { dataset, batches } = this.#plan;
    return filesOnce(dataset, this.#before?.skipped ?? [], batches.skipped);
  }

  get validation(): readonly SkippedFile[] {
    const { validation } = this.#plan;
    if (!validation) return [];
    return filesOnce(validation.dataset, this.#before?.validationSkipped ?? [], validation.batches.skipped);
  }
}
