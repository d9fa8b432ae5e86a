import type { Augmentation } from "../../data/augmentation.ts";
import type { ImageDataset } from "../../data/dataset.ts";
import type { Mixing } from "../../data/mixing.ts";
import type { ClassWeights } from "../../data/sample-weights.ts";
import type { Sampling } from "../../data/sampling.ts";
import type { Network } from "../../graph/network.ts";
import type { Optimizer } from "../../learning/optimizers.ts";
import type { Schedule } from "../../learning/schedule.ts";
import type { AverageDecay } from "../../learning/weight-average.ts";
import type { Architecture, NetworkOptions } from "../../models/registry.ts";
import type { Communicator, Device, Platform } from "../../platform.ts";
import type { EpochRecord, Evaluation, Prediction, SkippedFile, StepHealth } from "../../records.ts";
import type { Weights } from "../../weights/initialize.ts";
import type { ImagePreprocessing } from "../model/model.ts";
import type { TrainingGraphOptions } from "../step/training-graph-options.ts";
import type { Checkpoint, CheckpointOptions } from "./checkpoint.ts";
import type { HeadPhase } from "./head-phase-options.ts";

export interface TrainOptions
  extends Pick<
    TrainingGraphOptions,
    "trainable" | "batchNorm" | "synchronizeBatchNormalization" | "rateFactor" | "decays" | "clip" | "recompute"
  > {
  /** The engine and the image decoder, e.g. `nodePlatform`. */
  readonly platform: Platform;
  /**
   * A classifier of as many classes as the data set has, or an architecture or options of `xception` to build one. Its input size is the
   * size that images are brought to. Default: that of the file that `weights` names, if it tells; else Xception with its defaults.
   */
  readonly network?: Network | Architecture | Omit<NetworkOptions, "classes">;
  /**
   * To start from: in Keras's layout, or the path or address of a file of any format that we know; `imagenet` is what
   * keras.applications.Xception learned. A classifier of other classes starts anew. Default: drawn from the network's seed.
   */
  readonly weights?: Weights | string;
  /** Images to test on after every epoch, of the same classes. With them the best epoch's weights are kept. */
  readonly validation?: ImageDataset;
  /** Passes over the data set, from 1; default 20. */
  readonly epochs?: number;
  /** Images in a step of one process, from 1; default 32, or all there are if they are fewer. */
  readonly batchSize?: number;
  /** Default: AdamW with a weight decay of 0.05 on kernels. */
  readonly optimizer?: Optimizer;
  /** Keeps an average of the weights beside them: it is what is tested and handed out. Default: the weights themselves. */
  readonly averageDecay?: AverageDecay;
  /**
   * Parts that the images of a step are taken through one after the other, for less memory; it divides the batch size.
   * Batch normalization sees one part at a time. Default 1.
   */
  readonly accumulate?: number;
  /** Stop after so many epochs in a row that did not test better than the best so far, from 1. Default: never. */
  readonly patience?: number;
  /** The highest of the schedule; default: what suits the optimizer, see `optimizerDefaults`. */
  readonly learningRate?: number;
  /** `linear`: the learning rate times the number of processes that train together. Default `none`. */
  readonly scaleLearningRate?: "none" | "linear";
  /** Default: `oneCycle()`. */
  readonly schedule?: Schedule;
  /** Share of the target probability that is spread over all classes, 0 ≤ share < 1; default 0.1. */
  readonly labelSmoothing?: number;
  /** Random changes of training images; default `defaultAugmentation`. See `augmentations` for more with a name. */
  readonly augmentation?: Augmentation;
  /** Mixtures of two training images, mixup and CutMix; default none. */
  readonly mixing?: Mixing;
  /** `balanced` shows every class equally often in an epoch, which stays as long; default `shuffled`. */
  readonly sampling?: Sampling;
  /**
   * How much classes count in the loss: numbers by name, 1 for those left out, or `balanced` for all classes the same in total.
   * The loss stays divided by the number of images. Samples may have a `weight` of their own; the two multiply.
   */
  readonly classWeights?: ClassWeights;
  /** Of images with several labels: how much each class counts in the mean average precision; default: all the same. */
  readonly mapWeights?: readonly number[];
  /** How images become the network's input; default: stretched to its size, laid over white, scaled to −1 … 1. */
  readonly preprocessing?: ImagePreprocessing;
  /** What the engine computes on; default: the CPU. */
  readonly device?: Device | undefined;
  /** Threads inside one operator; default: one for each core. */
  readonly threads?: number | undefined;
  /**
   * Processes that train together, all with the same options and images: each takes its share of every step and of the
   * validation, and all have the same weights. What is handed out (`onStart`, `onProgress`, `onEpoch`, `checkpoints`) is
   * handed out on rank 0 only. Where one of them throws, the others wait for it: the caller has to `abort`.
   */
  readonly communicator?: Communicator | undefined;
  /**
   * Of the shuffles, the augmentation, dropout and, when `network` is options without a seed of their own, the initial
   * weights; an integer from 0, default 0. On one machine the same seed gives the same weights, bit for bit.
   */
  readonly seed?: number;
  /**
   * Before all else, trains what follows the last global pooling on what the rest says to the images, computed once:
   * seconds, and the rest is spared the first gradients of a classifier that knows nothing. Default: no such phase.
   */
  readonly head?: HeadPhase | undefined;
  /** When it fires, the step under way is finished and what was reached is returned, marked as aborted. */
  readonly signal?: AbortSignal;
  /** Keeps what is needed to go on after whatever ends the training: see `resume`. Default: nothing is kept. */
  readonly checkpoints?: CheckpointOptions;
  /**
   * To go on from, instead of beginning: with the same images and options, on the same machine, the result is that of
   * a training that was never interrupted, bit for bit.
   */
  readonly resume?: Checkpoint | undefined;
  /** Called once and waited for, when all options have been checked and the training is about to begin, or to go on. */
  readonly onStart?: (start: TrainingStart) => unknown;
  /** How many steps of an epoch tell of their health to `onProgress`, evenly spaced; default 0. */
  readonly healthSteps?: number;
  /** Called after every step and waited for: the next one leaves little room for anything else. */
  readonly onProgress?: (progress: TrainingProgress) => unknown;
  /** Called after every epoch and waited for: the moment to save what was reached. */
  readonly onEpoch?: (soFar: TrainingResult) => void | Promise<void>;
}

/** What is going to be trained. */
export interface TrainingStart {
  readonly network: Network;
  readonly batchSize: number;
  readonly epochs: number;
  /** As many as there can be: images that turn out to be damaged make it fewer. */
  readonly stepsPerEpoch: number;
  /** What a training that goes on had reached; undefined for one that begins. */
  readonly soFar?: TrainingResult;
}

/** Where training stands after a step. */
export interface TrainingProgress {
  /** From 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done in this epoch, and how many it has as far as is known. */
  readonly step: number;
  readonly steps: number;
  /** Steps done in all epochs. */
  readonly totalSteps: number;
  /** Of this step. */
  readonly stepLoss: number;
  /** Means over this epoch's steps so far. */
  readonly loss: number;
  readonly accuracy: number;
  /** Of this step. */
  readonly learningRate: number;
  readonly imagesPerSecond: number;
  /** Estimate for the rest of the training, validation included. */
  readonly secondsLeft: number;
  /** Of this step, where it was one of `healthSteps`. */
  readonly health?: StepHealth;
}

/** What training reached: at its end, after an epoch, or when it was aborted. */
export interface TrainingResult {
  readonly network: Network;
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  /**
   * In Keras's layout: those of the epoch with the highest validation accuracy (of equal ones, with the lowest loss),
   * or the latest where there was no validation.
   */
  readonly weights: Weights;
  /** The last epoch, from 1, that these weights went through to its end; 0: not even the first. */
  readonly epoch: number;
  /** Steps that these weights went through. */
  readonly stepsOfWeights: number;
  /** Complete epochs. The last one lacks its test if it was aborted there. */
  readonly history: readonly EpochRecord[];
  /** Steps done, those of an incomplete epoch included. */
  readonly steps: number;
  /** Test of these weights on the validation images. */
  readonly evaluation?: Evaluation;
  /** What these weights say to each validation image. */
  readonly predictions?: readonly Prediction[];
  /** Training images that could not be used. */
  readonly skipped: readonly SkippedFile[];
  /** Validation images that could not be used. */
  readonly validationSkipped: readonly SkippedFile[];
  /** Whether the signal ended it before its time. */
  readonly aborted: boolean;
}
