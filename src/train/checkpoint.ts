import type { Json } from "../base/json.ts";
import type { EpochRecord, SkippedFile } from "../base/records.ts";
import type { ByteScale } from "../graph/ops.ts";
import type { Weights } from "../graph/weights.ts";
import type { EvaluationResult } from "../tasks/evaluate/evaluate.ts";
import type { TrainingState } from "./step/training-state.ts";

/**
 * Everything needed to resume a training run bit for bit. It holds no state of random numbers: shuffles, augmentation and
 * dropout depend only on the seed and the number of the epoch, sample or step.
 */
export interface Checkpoint {
  /** Settings and images of the run; it can only be resumed with the same ones. */
  readonly identity: TrainingIdentity;
  /** `head`: before the training of the head; `network`: after it. */
  readonly phase: "head" | "network";
  /** True if the run is complete. */
  readonly isOver: boolean;
  /** The current epoch, or the next one. */
  readonly epoch: EpochState;
  /** Rounding of activations in quantization-aware training, by the value's name. */
  readonly activations?: Readonly<Record<string, ByteScale>> | undefined;
  /** Weights and optimizer state. */
  readonly state: TrainingState;
  /** Complete epochs, validation included. */
  readonly history: readonly EpochRecord[];
  /** The weights with the best validation; undefined before the first one. */
  readonly best?: BestWeights | undefined;
  /** Unusable images found so far. */
  readonly skipped: readonly SkippedFile[];
  readonly validationSkipped: readonly SkippedFile[];
}

/** The settings of a training run by name. */
export type TrainingIdentity = Readonly<Record<string, Json>>;

/** Position within an epoch, between two steps. */
export interface EpochState {
  /** From 0; the number of epochs if the run is complete. */
  readonly index: number;
  /** Position in the epoch's shuffled order at which the next batch starts. */
  readonly position: number;
  /** The same for each of several ranks; damaged images make them differ. */
  readonly positions?: readonly number[] | undefined;
  /** Steps done before this epoch. */
  readonly stepsBefore: number;
  /** Estimated from the data set, or from the previous epoch. */
  readonly stepsPerEpoch: number;
  /** Learning rate of the latest step. */
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

/** The weights with the best validation so far. */
export interface BestWeights {
  /** In Keras's layout. */
  readonly weights: Weights;
  /** Epoch after which they were validated, from 1. */
  readonly epoch: number;
  /** Steps they have been through. */
  readonly steps: number;
  /** Result on the validation images, stored under this name in checkpoints. */
  readonly test: EvaluationResult;
}

/** Checkpointing of a training run. */
export interface CheckpointOptions {
  /** Stores a checkpoint; awaited. An error ends the run. */
  readonly save: (checkpoint: Checkpoint) => Promise<void>;
  /** Save after this many minutes, above 0; default 5. */
  readonly everyMinutes?: number | undefined;
  /** Save after this many steps, from 1, however long it takes; default: by time alone. */
  readonly everySteps?: number | undefined;
}
