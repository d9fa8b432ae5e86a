import type { EpochRecord, SkippedFile } from "../base/records.ts";
import type { Weights } from "../graph/initialize.ts";
import type { Json } from "../model/model.ts";
import type { EvaluationResult } from "../tasks/evaluate/evaluate.ts";
import type { TrainingState } from "./step/training-state.ts";

/**
 * All that is needed to resume a training run bit for bit. There is no state of random
 * numbers in it: shuffles, augmentation and dropout draw from the seed and the number of the epoch, sample or step.
 */
export interface Checkpoint {
  /** What is trained on what and how: a run can only be resumed with the same. */
  readonly identity: TrainingIdentity;
  /** `head`: the classifier has not been trained yet; `network`: what follows. */
  readonly phase: "head" | "network";
  /** Whether nothing is left to do. */
  readonly isOver: boolean;
  /** The epoch under way, or the one that would come next. */
  readonly epoch: EpochState;
  /** Weights and the optimizer's memory. */
  readonly state: TrainingState;
  /** Epochs that are over, their tests included. */
  readonly history: readonly EpochRecord[];
  /** The weights that tested best; undefined before the first test. */
  readonly best?: BestWeights | undefined;
  /** Images found unusable so far. */
  readonly skipped: readonly SkippedFile[];
  readonly validationSkipped: readonly SkippedFile[];
}

/** The settings of a training by name. */
export type TrainingIdentity = Readonly<Record<string, Json>>;

/** Where an epoch stands between two steps. */
export interface EpochState {
  /** From 0; the number of all epochs where the training is over. */
  readonly index: number;
  /** Where in the epoch's shuffled order the next batch begins. */
  readonly position: number;
  /** The same for each of several ranks: where images are damaged they get out of step. */
  readonly positions?: readonly number[] | undefined;
  /** Steps done before this epoch. */
  readonly stepsBefore: number;
  /** As many as there can be, or as the last epoch had. */
  readonly stepsPerEpoch: number;
  /** Rate of the latest step. */
  readonly learningRate: number;
  readonly tally: TallyState;
  readonly pace: PaceState;
}

/** Sums over the steps of an epoch. */
export interface TallyState {
  readonly steps: number;
  readonly loss: number;
  readonly images: number;
  readonly right: number;
}

/** Time spent on an epoch. */
export interface PaceState {
  readonly steps: number;
  /** Until the latest step. */
  readonly secondsOfSteps: number;
  /** Until now. */
  readonly seconds: number;
}

/** Weights that tested better than all before. */
export interface BestWeights {
  /** In Keras's layout. */
  readonly weights: Weights;
  /** After which they were tested, from 1. */
  readonly epoch: number;
  /** That they went through. */
  readonly steps: number;
  readonly test: EvaluationResult;
}

/** How a training keeps checkpoints. */
export interface CheckpointOptions {
  /** Keeps one, on a disk for instance; waited for. What it throws ends the training. */
  readonly save: (checkpoint: Checkpoint) => Promise<void>;
  /** Save after this many minutes, above 0; default 5. */
  readonly everyMinutes?: number | undefined;
  /** Save after this many steps, from 1, whatever it costs; default: as time goes. */
  readonly everySteps?: number | undefined;
}
