import { rankOf } from "../../learning/metrics-ranking.ts";
import type { EpochState, PaceState, TallyState } from "./checkpoint.ts";

/** The epoch under way. */
export class RunningEpoch {
  /** From 0. */
  readonly index: number;
  /** Steps done before it. */
  readonly stepsBefore: number;
  readonly stepsPerEpoch: number;
  readonly tally: EpochTally;
  readonly pace: TrainingPace;
  /** Where in its order of images the next batch begins. */
  position: number;
  /** Of the latest step. */
  learningRate: number;

  private constructor(
    { index, stepsBefore, stepsPerEpoch, position, learningRate }: Omit<EpochState, "tally" | "pace">,
    tally: EpochTally,
    pace: TrainingPace,
  ) {
    this.index = index;
    this.stepsBefore = stepsBefore;
    this.stepsPerEpoch = stepsPerEpoch;
    this.position = position;
    this.learningRate = learningRate;
    this.tally = tally;
    this.pace = pace;
  }

  static begin(index: number, stepsBefore: number, stepsPerEpoch: number, batchSize: number): RunningEpoch {
    const start = { index, stepsBefore, stepsPerEpoch, position: 0, learningRate: 0 };
    return new RunningEpoch(start, new EpochTally(), new TrainingPace(batchSize));
  }

  /** @param rank of this process, where several train together. */
  static restore({ tally, pace, ...state }: EpochState, batchSize: number, rank = 0): RunningEpoch {
    const position = state.positions?.[rank] ?? state.position;
    return new RunningEpoch({ ...state, position }, new EpochTally(tally), new TrainingPace(batchSize, pace));
  }

  state(): EpochState {
    const { index, stepsBefore, stepsPerEpoch, position, learningRate, tally, pace } = this;
    return { index, stepsBefore, stepsPerEpoch, position, learningRate, tally: tally.state(), pace: pace.state() };
  }
}

/** Means over the steps of an epoch; all its batches have the same size. */
export class EpochTally {
  #steps: number;
  #loss: number;
  #images: number;
  #right: number;

  /** @param state of a tally to go on with. */
  constructor({ steps, loss, images, right }: TallyState = { steps: 0, loss: 0, images: 0, right: 0 }) {
    this.#steps = steps;
    this.#loss = loss;
    this.#images = images;
    this.#right = right;
  }

  /** @param right how many of the step's images the network had right. */
  add(loss: number, images: number, right: number): void {
    this.#steps++;
    this.#loss += loss;
    this.#images += images;
    this.#right += right;
  }

  get loss(): number {
    return this.#loss / this.#steps;
  }

  get accuracy(): number {
    return this.#right / this.#images;
  }

  state(): TallyState {
    return { steps: this.#steps, loss: this.#loss, images: this.#images, right: this.#right };
  }
}

/**
 * How many images the network has right.
 * @param logits `[N, classes]`, row by row. @param truths the true classes of N images: one each, or some.
 */
export function countRight(logits: Float32Array, truths: readonly (readonly number[])[]): number {
  const classes = logits.length / truths.length;
  return truths.filter((truth, row) => {
    const scores = logits.subarray(row * classes, (row + 1) * classes);
    return truth.some((label) => rankOf(scores, label) === 0);
  }).length;
}

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
