import { assertAllowed } from "../base/kinds.ts";
import type { Communicator } from "../base/platform.ts";
import type { Checkpoint, CheckpointOptions } from "./checkpoint.ts";
import { onFirstRank } from "./ranks/ranks.ts";

/** Saves checkpoints when they are due. */
export class CheckpointKeeper {
  readonly #save: CheckpointOptions["save"];
  readonly #clock: CheckpointClock;
  readonly #take: () => Promise<Checkpoint>;
  readonly #communicator: Communicator;
  /** Position of the last checkpoint, or of the start. */
  #latest: string;

  /**
   * @param start where training starts or resumes.
   * @param take makes a checkpoint.
   * @param communicator for saving at the same step on all ranks.
   * @throws {UsageError} an option is out of its range.
   */
  constructor(
    options: CheckpointOptions,
    start: Pick<Checkpoint, "epoch" | "state">,
    take: () => Promise<Checkpoint>,
    communicator: Communicator,
  ) {
    this.#save = options.save;
    this.#take = take;
    this.#communicator = communicator;
    this.#clock = new CheckpointClock(options, start.state.steps);
    this.#latest = placeOf(start);
  }

  /** @param isEpochOver true right after a validation. */
  async saveIfDue(steps: number, isEpochOver: boolean): Promise<void> {
    const isDue = this.#clock.isDue(steps, isEpochOver);
    if (onFirstRank(this.#communicator, isDue)) await this.save();
  }

  /** Saves, unless nothing has changed. */
  async save(): Promise<void> {
    const checkpoint = await this.#take();
    const place = placeOf(checkpoint);
    if (place === this.#latest) return;
    await this.#clock.time(checkpoint.state.steps, () => this.#save(checkpoint));
    this.#latest = place;
  }
}

function placeOf({ epoch, state }: Pick<Checkpoint, "epoch" | "state">): string {
  return `epoch ${epoch.index}, step ${state.steps}`;
}

/** Largest share of the time spent on saving, unless `everySteps` is set. */
const largestShare = 0.03;

/** Decides when a checkpoint is due: after an epoch or some minutes, unless saving takes long; and after `everySteps`. */
export class CheckpointClock {
  readonly #everySeconds: number;
  readonly #everySteps: number;
  readonly #now: () => number;
  #savedAt: number;
  #savedSteps: number;
  /** Seconds the latest save took. */
  #cost = 0;

  /**
   * @param now a clock in seconds.
   * @throws {UsageError} an option is out of its range.
   */
  constructor(
    { everyMinutes = 5, everySteps = Infinity }: Pick<CheckpointOptions, "everyMinutes" | "everySteps">,
    steps: number,
    now: () => number = () => performance.now() / 1000,
  ) {
    const where = "train option checkpoints";
    assertAllowed(`${where}.everyMinutes`, everyMinutes, everyMinutes > 0, "a number above 0");
    const isCount = everySteps === Infinity || Number.isInteger(everySteps);
    assertAllowed(`${where}.everySteps`, everySteps, isCount && everySteps >= 1, "a whole number from 1");
    this.#everySeconds = 60 * everyMinutes;
    this.#everySteps = everySteps;
    this.#now = now;
    this.#savedAt = now();
    this.#savedSteps = steps;
  }

  /** @param steps done so far. @param isEpochOver true right after a validation. */
  isDue(steps: number, isEpochOver: boolean): boolean {
    if (steps - this.#savedSteps >= this.#everySteps) return true;
    const seconds = this.#now() - this.#savedAt;
    return seconds >= this.#cost / largestShare && (isEpochOver || seconds >= this.#everySeconds);
  }

  /** Runs and times a save. */
  async time(steps: number, save: () => Promise<void>): Promise<void> {
    const start = this.#now();
    await save();
    this.#savedAt = this.#now();
    this.#cost = this.#savedAt - start;
    this.#savedSteps = steps;
  }
}
