import { assertAllowed } from "../base/kinds.ts";
import type { Communicator } from "../base/platform.ts";
import type { Checkpoint, CheckpointOptions } from "./checkpoint.ts";
import { onFirstRank } from "./ranks/ranks.ts";

/**
 * Saves checkpoints when they are due.
 * @param start where training starts or resumes.
 * @param take makes a checkpoint.
 * @param communicator for saving at the same step on all ranks.
 * @throws {UsageError} an option is out of its range.
 */
export function checkpointKeeper(
  options: CheckpointOptions,
  start: Pick<Checkpoint, "epoch" | "state">,
  take: () => Promise<Checkpoint>,
  communicator: Communicator,
) {
  const clock = checkpointClock(options, start.state.steps);
  /** Position of the last checkpoint, or of the start. */
  let latest = placeOf(start);
  /** Saves, unless nothing has changed. */
  const save = async () => {
    const checkpoint = await take();
    const place = placeOf(checkpoint);
    if (place === latest) return;
    await clock.time(checkpoint.state.steps, () => options.save(checkpoint));
    latest = place;
  };
  return {
    save,
    /** @param isEpochOver true right after a validation. */
    async saveIfDue(steps: number, isEpochOver: boolean): Promise<void> {
      if (onFirstRank(communicator, clock.isDue(steps, isEpochOver))) await save();
    },
  };
}

function placeOf({ epoch, state }: Pick<Checkpoint, "epoch" | "state">): string {
  return `epoch ${epoch.index}, step ${state.steps}`;
}

/** Largest share of the time spent on saving, unless `everySteps` is set. */
const largestShare = 0.03;

/**
 * Decides when a checkpoint is due: after an epoch or some minutes, unless saving takes long; and after `everySteps`.
 * @param now a clock in seconds.
 * @throws {UsageError} an option is out of its range.
 */
export function checkpointClock(
  { everyMinutes = 5, everySteps = Infinity }: Pick<CheckpointOptions, "everyMinutes" | "everySteps">,
  steps: number,
  now: () => number = () => performance.now() / 1000,
) {
  const where = "train option checkpoints";
  assertAllowed(`${where}.everyMinutes`, everyMinutes, everyMinutes > 0, "a number above 0");
  const isCount = everySteps === Infinity || Number.isInteger(everySteps);
  assertAllowed(`${where}.everySteps`, everySteps, isCount && everySteps >= 1, "a whole number from 1");
  let savedAt = now();
  let savedSteps = steps;
  /** Seconds the latest save took. */
  let cost = 0;
  return {
    /** @param done steps so far. @param isEpochOver true right after a validation. */
    isDue(done: number, isEpochOver: boolean): boolean {
      if (done - savedSteps >= everySteps) return true;
      const seconds = now() - savedAt;
      return seconds >= cost / largestShare && (isEpochOver || seconds >= 60 * everyMinutes);
    },
    /** Runs and times a save. */
    async time(done: number, save: () => Promise<void>): Promise<void> {
      const start = now();
      await save();
      savedAt = now();
      cost = savedAt - start;
      savedSteps = done;
    },
  };
}
