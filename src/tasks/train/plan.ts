import { defaultAugmentation } from "../../data/augmentation.ts";
import { type BatchOptions, BatchSource } from "../../data/batches.ts";
import { type ImageDataset, isMultiLabel, relabel } from "../../data/dataset.ts";
import { classWeightsOf } from "../../data/sample-weights.ts";
import { DataError, UsageError } from "../../errors.ts";
import { inputShapeOf, type Network, networkWeights, outputActivation, outputLayer } from "../../graph/network.ts";
import { checkWeights } from "../../graph/weights.ts";
import { type Loss, sigmoidCrossEntropy, softmaxCrossEntropy } from "../../learning/losses.ts";
import { optimizerDefaults } from "../../learning/optimizer-defaults.ts";
import { createOptimizer, type Optimizer } from "../../learning/optimizers.ts";
import type { Schedule } from "../../learning/schedule.ts";
import { oneCycle } from "../../learning/schedules.ts";
import { architectureNamed, buildNetwork, defaultName, optionsOf, withOptions } from "../../models/registry.ts";
import type { Communicator } from "../../platform.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { initializeWeights, type Weights } from "../../weights/initialize.ts";
import { ImagePreparation } from "../model/images.ts";
import { defaultPreprocessing, type ImagePreprocessing, sizedDecodeOptionsOf } from "../model/model.ts";
import { alone } from "../ranks/ranks.ts";
import type { TrainOptions } from "./options.ts";

/**
 * Images in a step: 32, fewer if there are not so many or if their feature maps would need more than about 4 GiB.
 * An image takes 1.1 times the outputs of all layers, or 0.85 times where they are computed again (measured at 299×299:
 * 0.25 and 0.19 GiB); weights and engine come on top, 1.6 GiB for Xception.
 * @param options `ranks`: processes that share the images.
 */
export function defaultBatchSize(
  { samples }: ImageDataset,
  network: Network,
  { ranks = 1, recompute = false }: { readonly ranks?: number; readonly recompute?: boolean } = {},
): number {
  const outputs = network.layers.reduce((sum, { outputShape }) => sum + sizeOf(outputShape), 0);
  const fitting = Math.floor((4 * 2 ** 30) / ((recompute ? 0.85 : 1.1) * outputs * Float32Array.BYTES_PER_ELEMENT));
  return Math.max(1, Math.min(32, Math.floor(samples.length / ranks), fitting));
}

const validationBatchSize = 16;

/** How the training images and their targets are shown. */
type Presentation = Pick<BatchOptions, "augmentation" | "mixing" | "labelSmoothing" | "sampling" | "classWeights">;

/** Images to test on, brought to the network's size as the trained model will. */
interface TrainingValidation {
  readonly dataset: ImageDataset;
  readonly batches: BatchSource;
  readonly preparation: ImagePreparation;
}

/** Options whose weights, if there are any, have been read. */
export type OptionsWithWeights = Omit<TrainOptions, "weights"> & { readonly weights?: Weights };

/** A training with all choices made and checked. */
export interface TrainingPlan {
  readonly network: Network;
  readonly labels: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  readonly weights: Weights;
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** With the factor for the number of processes in it. */
  readonly learningRate: number;
  /** The optimizer's default learning rate. */
  readonly usualRate: number;
  readonly schedule: Schedule;
  readonly epochs: number;
  readonly batchSize: number;
  readonly seed: number;
  /** Choices that only the step and the loop over epochs have to know. */
  readonly options: OptionsWithWeights;
  readonly presentation: Presentation;
  readonly dataset: ImageDataset;
  readonly batches: BatchSource;
  /** The processes that train together, or this one alone. */
  readonly communicator: Communicator;
  readonly validation: TrainingValidation | undefined;
}

/**
 * Fills in the defaults, and refuses what cannot work before anything is computed.
 * @throws {UsageError} an option is not allowed, or the network is no classifier of the data set's classes.
 * @throws {DataError} the data set is empty or has one class, or the validation images are of other classes.
 * @throws {WeightsError} the weights are not the network's.
 */
export function planTraining(dataset: ImageDataset, options: OptionsWithWeights): TrainingPlan {
  const { platform, epochs = 20, labelSmoothing = 0.1, seed = 0, augmentation = defaultAugmentation } = options;
  checkDataset(dataset);
  const { classes } = dataset;
  const optimizer = options.optimizer ?? createOptimizer("adamw", { weightDecay: optimizerDefaults.adamw.weightDecay });
  const { communicator = alone, scaleLearningRate = "none" } = options;
  const { learningRate: usualRate } = optimizerDefaults[optimizer.name];
  const baseRate = options.learningRate ?? usualRate;
  const learningRate = scaleLearningRate === "linear" ? baseRate * communicator.size : baseRate;
  check("seed", seed, Number.isInteger(seed) && seed >= 0, "a whole number from 0");
  const network = networkFor(options.network ?? {}, dataset, seed);
  const shared = { ranks: communicator.size, ...(options.recompute && { recompute: true }) };
  const batchSize = options.batchSize ?? defaultBatchSize(dataset, network, shared);
  check("epochs", epochs, Number.isInteger(epochs) && epochs >= 1, "a whole number from 1");
  check("batchSize", batchSize, Number.isInteger(batchSize) && batchSize >= 1, "a whole number from 1");
  const { accumulate = 1, patience } = options;
  const isDivisor = Number.isInteger(accumulate) && accumulate >= 1 && batchSize % accumulate === 0;
  check("accumulate", accumulate, isDivisor, `a whole number that divides the batch size ${batchSize}`);
  const waits = patience === undefined || (Number.isInteger(patience) && patience >= 1);
  check("patience", patience, waits, "a whole number from 1");
  const { healthSteps = 0 } = options;
  check("healthSteps", healthSteps, Number.isInteger(healthSteps) && healthSteps >= 0, "a whole number from 0");
  check("learningRate", learningRate, learningRate > 0 && learningRate < Infinity, "a number above 0");
  check("labelSmoothing", labelSmoothing, labelSmoothing >= 0 && labelSmoothing < 1, "a number from 0 to below 1");

  const weights = options.weights ?? initializeWeights(network);
  checkWeights("train option weights", networkWeights(network), weights);
  const preprocessing = options.preprocessing ?? defaultPreprocessing;
  const presentation: Presentation = {
    augmentation,
    mixing: options.mixing,
    labelSmoothing,
    sampling: options.sampling,
    classWeights: options.classWeights && classWeightsOf(options.classWeights, dataset),
  };
  const decode = sizedDecodeOptionsOf({ network, preprocessing });
  const shard = { rank: communicator.rank, size: communicator.size };
  const preparation = new ImagePreparation({ network, preprocessing }, platform);
  const batches = new BatchSource(dataset, platform.images.decode, { batchSize, decode, seed, shard, ...presentation });
  // Said before anything is compiled for as many.
  if (batches.batchesPerEpoch === 0) batches.assertEnough(dataset.samples.length, batchSize * communicator.size);
  const validation = options.validation && relabel(options.validation, classes, "the training set");
  return {
    network,
    labels: classes,
    preprocessing,
    weights,
    loss: lossOf(network, dataset),
    optimizer,
    learningRate,
    usualRate,
    schedule: options.schedule ?? oneCycle(),
    epochs,
    batchSize,
    seed,
    options,
    presentation,
    dataset,
    batches,
    communicator,
    validation: validation && {
      dataset: validation,
      preparation,
      batches: new BatchSource(validation, preparation.prepare, { batchSize: validationBatchSize, decode, shard }),
    },
  };
}

/**
 * The network that options of a training mean.
 * @throws {UsageError} an option of it is not allowed.
 */
export function networkFor(
  network: NonNullable<TrainOptions["network"]>,
  dataset: ImageDataset,
  seed: number,
): Network {
  if ("layers" in network && !("family" in network)) return network;
  const given = "family" in network ? network : architectureNamed(defaultName, network);
  const classifierActivation = isMultiLabel(dataset) ? "sigmoid" : "softmax";
  const classes = dataset.classes.length;
  return buildNetwork(withOptions(given, { seed, classifierActivation, ...optionsOf(given), classes }));
}

function checkDataset({ classes, samples }: ImageDataset): void {
  const where = "data set";
  if (samples.length === 0) throw new DataError({ where, what: "there are no images to train on" });
  if (classes.length >= 2) return;
  throw new DataError({ where, what: "there are not enough classes", received: classes, expected: "at least two" });
}

/** The loss that goes with the classifier's activation. */
function lossOf(network: Network, dataset: ImageDataset): Loss {
  const classes = dataset.classes.length;
  const [, , channels] = inputShapeOf(network);
  const { outputShape } = outputLayer(network);
  check("network", inputShapeOf(network), channels === 3, "an input of RGB images, [height, width, 3]");
  const fits = outputShape.length === 1 && outputShape[0] === classes;
  check("network", outputShape, fits, `one output for each of the ${classes} classes: [${classes}]`);
  const activation = outputActivation(network);
  check("network", activation, activation === "softmax" || activation === "sigmoid", "a softmax or sigmoid at its end");
  const suits = activation === "sigmoid" || !isMultiLabel(dataset);
  check("network", activation, suits, "a sigmoid at its end, since the images have several labels");
  return activation === "softmax" ? softmaxCrossEntropy : sigmoidCrossEntropy;
}

function check(option: string, received: unknown, isAllowed: boolean, expected: string): void {
  if (isAllowed) return;
  throw new UsageError({ where: `train option ${option}`, what: "this value is not allowed", received, expected });
}
