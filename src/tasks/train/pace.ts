import type { PaceState } from "./checkpoint.ts";

/** How fast an epoch goes; it begins, or goes on, when this is made. */
export class TrainingPace {
  readonly #batchSize: number;
  readonly #start: number;
  #steps: number;
  #lastStepAt: number;

  /** @param state of a pace to go on with: the time in between does not count. */
  constructor(
    batchSize: number,
    { steps, secondsOfSteps, seconds }: PaceState = { steps: 0, secondsOfSteps: 0, seconds: 0 },
  ) {
    this.#batchSize = batchSize;
    this.#start = performance.now() - 1000 * seconds;
    this.#steps = steps;
    this.#lastStepAt = this.#start + 1000 * secondsOfSteps;
  }

  /** To be called after each step. */
  countStep(): void {
    this.#steps++;
    this.#lastStepAt = performance.now();
  }

  /** Seconds since the epoch began. */
  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Throughput of the steps so far, waiting for images included; there must have been one. */
  get imagesPerSecond(): number {
    return this.#batchSize / this.secondsFor(1);
  }

  /** How long so many steps take, as far as those so far can tell. */
  secondsFor(steps: number): number {
    return (steps * (this.#lastStepAt - this.#start)) / 1000 / this.#steps;
  }

  state(): PaceState {
    return {
      steps: this.#steps,
      secondsOfSteps: (this.#lastStepAt - this.#start) / 1000,
      seconds: this.seconds,
    };
  }
}
