import { rankOf } from "../learning/ranking.ts";
import type { EpochState, TallyState } from "./checkpoint.ts";

/** Means over the steps of an epoch; all its batches have the same size. */
export class EpochTally {
  #state: TallyState;

  /** @param state of a tally to continue. */
  constructor(state: TallyState = { steps: 0, loss: 0, images: 0, right: 0 }) {
    this.#state = state;
  }

  /** @param right number of the step's images that the network predicted correctly. */
  add(loss: number, images: number, right: number): void {
    const before = this.#state;
    this.#state = {
      steps: before.steps + 1,
      loss: before.loss + loss,
      images: before.images + images,
      right: before.right + right,
    };
  }

  get loss(): number {
    return this.#state.loss / this.#state.steps;
  }

  get accuracy(): number {
    return this.#state.right / this.#state.images;
  }

  state(): TallyState {
    return this.#state;
  }
}

/**
 * Counts the images that the network predicts correctly.
 * @param logits `[N, classes]`, row by row. @param truths the true classes of N images: one each, or some.
 */
export function countRight(logits: Float32Array, truths: readonly (readonly number[])[]): number {
  const classes = logits.length / truths.length;
  return truths.filter((truth, row) => {
    const scores = logits.subarray(row * classes, (row + 1) * classes);
    return truth.some((label) => rankOf(scores, label) === 0);
  }).length;
}

/**
 * The epoch under way.
 * @param state of an epoch to start or to continue: the time in between does not count.
 * @param batchSize images in a step, of all ranks together.
 * @param rank of this process, if several train together.
 */
export function runningEpoch(
  state: Partial<EpochState> & Pick<EpochState, "stepsPerEpoch">,
  batchSize: number,
  rank = 0,
) {
  const { index = 0, stepsBefore = 0, stepsPerEpoch, pace = { steps: 0, secondsOfSteps: 0, seconds: 0 } } = state;
  const tally = new EpochTally(state.tally);
  const start = performance.now() - 1000 * pace.seconds;
  let timedSteps = pace.steps;
  let lastStepAt = start + 1000 * pace.secondsOfSteps;
  /** Estimates the duration of a number of steps from those so far. */
  const secondsFor = (steps: number) => (steps * (lastStepAt - start)) / 1000 / timedSteps;
  const epoch = {
    /** From 0. */
    index,
    /** Steps done before it. */
    stepsBefore,
    stepsPerEpoch,
    tally,
    /** Position in its order of images at which the next batch starts. */
    position: state.positions?.[rank] ?? state.position ?? 0,
    /** Learning rate of the latest step. */
    learningRate: state.learningRate ?? 0,
    /** Call after each step. */
    countStep(): void {
      timedSteps++;
      lastStepAt = performance.now();
    },
    /** Duration of the epoch so far. */
    get seconds(): number {
      return (performance.now() - start) / 1000;
    },
    /** Throughput of the steps so far, waiting for images included; there must have been one. */
    get imagesPerSecond(): number {
      return batchSize / secondsFor(1);
    },
    secondsFor,
    state(): EpochState {
      const { position, learningRate, seconds } = epoch;
      const own = { steps: timedSteps, secondsOfSteps: (lastStepAt - start) / 1000, seconds };
      return { index, stepsBefore, stepsPerEpoch, position, learningRate, tally: tally.state(), pace: own };
    },
  };
  return epoch;
}

/** The engine keeps the JavaScript thread busy: this lets timers, signals and decoded images run between two steps. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
