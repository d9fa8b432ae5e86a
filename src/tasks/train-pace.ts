/** How fast an epoch goes; it begins when this is made. */
export class TrainingPace {
  readonly #batchSize: number;
  readonly #start = performance.now();
  #steps = 0;
  #lastStepAt = this.#start;

  constructor(batchSize: number) {
    this.#batchSize = batchSize;
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

  /** Throughput of the steps so far, waiting for pictures included; there must have been one. */
  get imagesPerSecond(): number {
    return this.#batchSize / this.secondsFor(1);
  }

  /** How long so many steps take, as far as those so far can tell. */
  secondsFor(steps: number): number {
    return (steps * (this.#lastStepAt - this.#start)) / 1000 / this.#steps;
  }
}
