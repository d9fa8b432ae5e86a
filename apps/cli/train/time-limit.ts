import type { CliIo } from "../io.ts";

/** The time that a training may take; when it is over the training stops as after Ctrl-C, but has done what was asked. */
export class TimeLimit {
  readonly #limit: AbortSignal | undefined;
  readonly #interrupt: AbortSignal;
  readonly #minutes: number | null;

  /** @param minutes null: no limit. */
  constructor(io: CliIo, minutes: number | null) {
    this.#minutes = minutes;
    this.#interrupt = io.signal;
    this.#limit = minutes === null ? undefined : AbortSignal.timeout(Math.ceil(60_000 * minutes));
  }

  /** Fires at the end of the time, and when the user stops the program. */
  get signal(): AbortSignal {
    return this.#limit ? AbortSignal.any([this.#interrupt, this.#limit]) : this.#interrupt;
  }

  /** Why the training was stopped, if time did it and nobody else. */
  get reason(): string | undefined {
    if (!this.#limit?.aborted || this.#interrupt.aborted) return undefined;
    return `The time was over: --max-minutes ${this.#minutes}.`;
  }
}
