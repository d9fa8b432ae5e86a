import type { Communicator, Device, Platform } from "../base/platform.ts";
import type { EpochRecord, Evaluation, Prediction, SkippedFile, StepHealth } from "../base/records.ts";
import type { Augmentation } from "../data/augmentation.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { Mixing } from "../data/mixing.ts";
import type { Weights } from "../graph/initialize.ts";
import type { Network } from "../graph/network.ts";
import type { AverageDecay, Optimizer } from "../learning/optimizers.ts";
import type { Schedule } from "../learning/schedules.ts";
import type { ImagePreprocessing } from "../model/model.ts";
import type { StartingPoint } from "../model/starting-weights.ts";
import type { Architecture } from "../models/registry.ts";
import type { Checkpoint, CheckpointOptions } from "./checkpoint.ts";
import type { ResolvedSettings } from "./settings/resolve.ts";
import type { Settings } from "./settings/settings.ts";
import type { TrainingGraphOptions } from "./step/training-graph-options.ts";

/** Settings that say where images and their labels are; a request has the data sets themselves. */
type DatasetSetting = "val" | "valShare" | "labelsFile" | "valLabelsFile" | "sampleWeights" | "mapWeights";

/** Settings whose value may also be the object that it stands for. */
interface SettingObjects {
  readonly weights: Weights;
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
  readonly augment: Augmentation;
  /** The decay of the average at each step. */
  readonly average: AverageDecay;
  /** By layer. */
  readonly batchNorm: NonNullable<TrainingGraphOptions["batchNorm"]>;
}

/** Values of settings by name, see `settings`; each has the default of its table. */
export type RequestedSettings = {
  readonly [Name in Exclude<keyof Settings, DatasetSetting | "maxMinutes">]?:
    | Settings[Name]
    | (Name extends keyof SettingObjects ? SettingObjects[Name] : never)
    | undefined;
};

/**
 * A training run as it is asked for: settings, as flags and configuration files name them, and what no file can hold. The
 * command line, a settings file and a caller of the library make the same request.
 */
export interface TrainingRequest extends RequestedSettings, TrainingHooks {
  /** The engine and the image decoder, e.g. `nodePlatform`. */
  readonly platform: Platform;
  /** A classifier of as many classes as the data set has, or an architecture, in place of the settings of the network. */
  readonly network?: Network | Architecture | undefined;
  /** Images to test on after every epoch, of the same classes. With them the best epoch's weights are kept. */
  readonly validation?: ImageDataset | undefined;
  /** How much each class counts in the mean average precision of images with several labels; default: all the same. */
  readonly mapWeights?: readonly number[] | undefined;
  /** How images become the network's input; default: as the weights want it, or stretched to its size and scaled to −1 … 1. */
  readonly preprocessing?: ImagePreprocessing | undefined;
  /** Mixtures of two training images, in place of `mixup` and `cutMix`. */
  readonly mixing?: Mixing | undefined;
  /** Which weights train, in place of `unfreezeFrom`, `freeze` and `train`. */
  readonly trainable?: TrainingGraphOptions["trainable"] | undefined;
  /** Factor of the learning rate for each weight, in place of `layerDecay`. */
  readonly rateFactor?: TrainingGraphOptions["rateFactor"] | undefined;
  /** Device of the engine; default: the CPU. */
  readonly device?: Device | undefined;
  /** Threads inside one operator; default: one for each core. */
  readonly threads?: number | undefined;
  /**
   * Processes that train together, all with the same request: each takes its share of every step and of the validation, and
   * all have the same weights. Hooks are called on rank 0 only. Where one of them throws, the others wait for it: the caller
   * has to `abort`.
   */
  readonly communicator?: Communicator | undefined;
  /** Steps of an epoch whose health `onProgress` receives, evenly spaced; default 0. */
  readonly healthSteps?: number | undefined;
  /** Name of the file of weights in messages and records; default: its path or address. */
  readonly weightsName?: string | undefined;
  /** All settings with their sources, as resolved from flags, files and recipes, in place of values here. */
  readonly resolved?: ResolvedSettings | undefined;
  /** The weights that a run began with, where it is resumed: they are in its checkpoint, and not read again. */
  readonly start?: StartingPoint | undefined;
}

/** Callbacks of a training run, and what it keeps. */
export interface TrainingHooks {
  /** When it fires, the step under way is finished and what was reached is returned, marked as aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Keeps what is needed to resume after an interruption: see `resume`. Default: nothing is kept. */
  readonly checkpoints?: CheckpointOptions | undefined;
  /**
   * Resumes instead of starting: with the same images and settings, on the same machine, the result is that of an
   * uninterrupted run, bit for bit.
   */
  readonly resume?: Checkpoint | undefined;
  /** Called once and waited for, when all options have been checked and the training is about to start or to resume. */
  readonly onStart?: (start: TrainingStart) => unknown;
  /** Called after every step and waited for: the next one leaves little room for anything else. */
  readonly onProgress?: (progress: TrainingProgress) => unknown;
  /** Called after every epoch and waited for: the moment to save what was reached. */
  readonly onEpoch?: (soFar: TrainingResult) => void | Promise<void>;
  /** Of the first phase, which trains only the head (`headEpochs`). */
  readonly head?: HeadHooks | undefined;
}

/** Storage for features from one run to the next, by name. */
export interface FeatureCache {
  /** Undefined where there is nothing of this name. */
  readonly read: (name: string) => Promise<Uint8Array | undefined>;
  /** Stores bytes under a name; a failure only costs time. */
  readonly write: (name: string, bytes: Uint8Array) => Promise<void>;
}

/** Callbacks of the phase that trains only the head, on features of the frozen backbone. */
export interface HeadHooks {
  readonly cache?: FeatureCache | undefined;
  /** Images seen so far, all views together, and how many there are. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** A sentence about the cache that is worth knowing. */
  readonly onNote?: ((note: string) => void) | undefined;
  /** Called when the phase is over. */
  readonly onEnd?: ((result: HeadResult) => void) | undefined;
}

/** Result of the first phase on the features that it was trained on. */
export interface HeadResult {
  readonly views: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly seconds: number;
}

/** What is going to be trained. */
export interface TrainingStart {
  readonly network: Network;
  readonly batchSize: number;
  readonly epochs: number;
  /** As many as there can be: images that turn out to be damaged make it fewer. */
  readonly stepsPerEpoch: number;
  /** Result so far of a resumed run; undefined for a new one. */
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
  readonly architecture: Architecture;
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
