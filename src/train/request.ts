import type { Communicator, Device, Platform } from "../base/platform.ts";
import type { EpochRecord, Evaluation, Prediction, SkippedFile, StepHealth } from "../base/records.ts";
import type { Augmentation } from "../data/augmentation.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { Mixing } from "../data/mixing.ts";
import type { Network } from "../graph/network.ts";
import type { Weights } from "../graph/weights.ts";
import type { AverageDecay, Optimizer } from "../learning/optimizers.ts";
import type { Schedule } from "../learning/schedules.ts";
import type { ImagePreprocessing } from "../model/model.ts";
import type { StartingPoint } from "../model/starting-weights.ts";
import type { CalibratedModel } from "../model/temperature.ts";
import type { Architecture } from "../models/registry.ts";
import type { EvaluationProgress, EvaluationResult } from "../tasks/evaluate/evaluate.ts";
import type { Checkpoint, CheckpointOptions } from "./checkpoint.ts";
import type { ResolvedSettings } from "./settings/resolve.ts";
import { type SettingName, type Settings, settingNames } from "./settings/settings.ts";
import type { TrainingGraphOptions } from "./step/training-graph-options.ts";

/** Settings that locate images and labels, which a request has itself, and the time limit of the command line. */
const notRequested = [
  "val",
  "test",
  "split",
  "imagesList",
  "labelsFile",
  "valLabelsFile",
  "testLabelsFile",
  "sampleWeights",
  "mapWeights",
  "maxMinutes",
] as const;
type NotRequested = (typeof notRequested)[number];

/** Names of the settings that a request may have. */
export const requestedSettings: readonly SettingName[] = settingNames.filter(
  (name) => !notRequested.some((other) => other === name),
);

/** Settings that may also be given as objects. */
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

/** Training settings by name; each defaults as in `settings`. */
export type RequestedSettings = {
  readonly [Name in Exclude<keyof Settings, NotRequested>]?:
    | Settings[Name]
    | (Name extends keyof SettingObjects ? SettingObjects[Name] : never)
    | undefined;
};

/** A request for a training run: settings, named as in flags and configuration files, and what no file can hold. */
export interface TrainingRequest extends RequestedSettings, TrainingHooks {
  /** The engine and the image decoder, e.g. `nodePlatform`. */
  readonly platform: Platform;
  /** A classifier of the data set's classes, or an architecture, in place of the settings of the network. */
  readonly network?: Network | Architecture | undefined;
  /** Validation images of the same classes. With them, the weights of the best epoch are returned. */
  readonly validation?: ImageDataset | undefined;
  /** Test images of the same classes, or some of them: the returned weights are evaluated on them once, at the end. */
  readonly test?: ImageDataset | undefined;
  /** Class weights in the mean average precision of images with several labels; default: all equal. */
  readonly mapWeights?: readonly number[] | undefined;
  /** Preprocessing of images; default: that of the initial weights, or stretched and scaled to −1 … 1. */
  readonly preprocessing?: ImagePreprocessing | undefined;
  /** Mixtures of two training images, in place of `mixup` and `cutMix`. */
  readonly mixing?: Mixing | undefined;
  /** Selects the weights that train, in place of `unfreezeFrom`, `freeze` and `train`. */
  readonly trainable?: TrainingGraphOptions["trainable"] | undefined;
  /** Factor of the learning rate for each weight, in place of `layerDecay`. */
  readonly rateFactor?: TrainingGraphOptions["rateFactor"] | undefined;
  /** Device of the engine; default: the CPU. */
  readonly device?: Device | undefined;
  /** Threads inside one operator; default: one for each core. */
  readonly threads?: number | undefined;
  /**
   * Processes that train together, all with the same request: each takes its share of every step and of the validation, and
   * all have the same weights. Hooks are called on rank 0 only. If one of them throws, the others wait: the caller must
   * `abort`.
   */
  readonly communicator?: Communicator | undefined;
  /** Steps of an epoch whose health `onProgress` receives, evenly spaced; default 0. */
  readonly healthSteps?: number | undefined;
  /** Name of the weights file in messages and records; default: its path or URL. */
  readonly weightsName?: string | undefined;
  /** All settings, resolved from flags, files and recipes, in place of values here. */
  readonly resolved?: ResolvedSettings | undefined;
  /** The initial weights of a resumed run, which are not read again: its checkpoint has the weights. */
  readonly start?: StartingPoint | undefined;
}

/** Callbacks and checkpoints of a training run. */
export interface TrainingHooks {
  /** When it fires, the current step is completed and the result so far is returned, marked as aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Saves checkpoints, see `resume`; default: none. */
  readonly checkpoints?: CheckpointOptions | undefined;
  /**
   * Checkpoint to resume from. With the same images and settings, on the same machine, the result is that of an
   * uninterrupted run, bit for bit.
   */
  readonly resume?: Checkpoint | undefined;
  /** Called once and awaited, after all checks and before the run starts or resumes. */
  readonly onStart?: (start: TrainingStart) => unknown;
  /** Called after every step and awaited. */
  readonly onProgress?: (progress: TrainingProgress) => unknown;
  /** Called after every epoch and awaited, e.g. to save the result so far. */
  readonly onEpoch?: (soFar: TrainingResult) => void | Promise<void>;
  /** Called during the evaluation on the test images. */
  readonly onTest?: ((progress: EvaluationProgress) => void) | undefined;
  /** Callbacks of the first phase, which trains only the head (`headEpochs`). */
  readonly head?: HeadHooks | undefined;
}

/** Storage for features from one run to the next, by name. */
export interface FeatureCache {
  /** Returns undefined if there is nothing of this name. */
  readonly read: (name: string) => Promise<Uint8Array | undefined>;
  /** Stores bytes under a name; a failure only costs time. */
  readonly write: (name: string, bytes: Uint8Array) => Promise<void>;
}

/** Callbacks of the phase that trains only the head, on features of the frozen backbone. */
export interface HeadHooks {
  readonly cache?: FeatureCache | undefined;
  /** Called with the number of views computed so far, and in total. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Called with a sentence about the cache. */
  readonly onNote?: ((note: string) => void) | undefined;
  /** Called at the end of the phase. */
  readonly onEnd?: ((result: HeadResult) => void) | undefined;
}

/** Result of the first phase, on its training features. */
export interface HeadResult {
  readonly views: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly seconds: number;
}

/** The run that is about to start. */
export interface TrainingStart {
  readonly network: Network;
  readonly batchSize: number;
  readonly epochs: number;
  /** Upper limit: damaged images reduce it. */
  readonly stepsPerEpoch: number;
  /** Result so far of a resumed run; undefined for a new one. */
  readonly soFar?: TrainingResult;
}

/** Progress after a step. */
export interface TrainingProgress {
  /** From 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done in this epoch, and their expected number. */
  readonly step: number;
  readonly steps: number;
  /** Steps done in all epochs. */
  readonly totalSteps: number;
  /** Loss of this step. */
  readonly stepLoss: number;
  /** Means over this epoch's steps so far. */
  readonly loss: number;
  readonly accuracy: number;
  /** Learning rate of this step. */
  readonly learningRate: number;
  readonly imagesPerSecond: number;
  /** Estimate for the rest of the run, validation included. */
  readonly secondsLeft: number;
  /** Health of this step, if it is one of `healthSteps`. */
  readonly health?: StepHealth;
}

/** The result of training: at its end, after an epoch, or when it was aborted. */
export interface TrainingResult {
  readonly network: Network;
  readonly architecture: Architecture;
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  /**
   * In Keras's layout: of the epoch with the highest validation accuracy (of equal ones, with the lowest loss), or the
   * latest without validation.
   */
  readonly weights: Weights;
  /** The last complete epoch of these weights, from 1; 0: none. */
  readonly epoch: number;
  /** Steps these weights have been through. */
  readonly stepsOfWeights: number;
  /** Complete epochs. The last one lacks its validation if aborted there. */
  readonly history: readonly EpochRecord[];
  /** Steps done, those of an incomplete epoch included. */
  readonly steps: number;
  /** Evaluation of these weights on the validation images, before their calibration. */
  readonly evaluation?: Evaluation;
  /** Predictions of these weights for the validation images. */
  readonly predictions?: readonly Prediction[];
  /** Temperature that the logits of these weights were divided by, if requested and validated. */
  readonly calibration?: CalibratedModel;
  /** Evaluation of these weights on the test images, if there are any and the run is complete. */
  readonly test?: EvaluationResult;
  /** Training images that could not be used. */
  readonly skipped: readonly SkippedFile[];
  /** Validation images that could not be used. */
  readonly validationSkipped: readonly SkippedFile[];
  /** True if the signal ended it early. */
  readonly aborted: boolean;
}
