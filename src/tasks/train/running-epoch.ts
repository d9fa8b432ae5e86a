import type { EpochState } from "./checkpoint.ts";
import { TrainingPace } from "./pace.ts";
import { EpochTally } from "./tally.ts";

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
