import type { Communicator } from "../../platform.ts";
import { onFirstRank } from "../ranks/ranks.ts";
import type { Checkpoint, CheckpointOptions } from "./checkpoint.ts";
import { CheckpointClock } from "./checkpoint-clock.ts";

/** Saves checkpoints when they are due. */
export class CheckpointKeeper {
  readonly #save: CheckpointOptions["save"];
  readonly #clock: CheckpointClock;
  readonly #take: () => Promise<Checkpoint>;
  readonly #communicator: Communicator;
  /** What was saved last, or where the training began. */
  #latest: string;

  /**
   * @param start where the training begins, or goes on.
   * @param take makes a checkpoint of where it stands.
   * @param communicator to save at the same step on all ranks.
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

  /** @param isEpochOver whether an epoch has just been tested. */
  async saveIfDue(steps: number, isEpochOver: boolean): Promise<void> {
    const isDue = this.#clock.isDue(steps, isEpochOver);
    if (onFirstRank(this.#communicator, isDue)) await this.save();
  }

  /** Saves what is new. */
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
