import { DataError, UsageError } from "../base/errors.ts";
import { assertAllowed, assertOption, wholeNumber } from "../base/kinds.ts";
import { limitPixels } from "../base/pixel-limit.ts";
import type { Communicator } from "../base/platform.ts";
import type { Quantization } from "../compiler/quantize/quantization.ts";
import { type BatchOptions, BatchSource, notEnoughImages } from "../data/batches.ts";
import { assertSamples, type ImageDataset, isMultiLabel, relabel } from "../data/dataset.ts";
import { classWeightsOf } from "../data/sample-weights.ts";
import { initializeWeights } from "../graph/initialize.ts";
import type { WeightSpec } from "../graph/layer-weights.ts";
import { inputShapeOf, type Network, networkWeights, outputActivation, outputLayer } from "../graph/network.ts";
import { checkWeights, type Weights } from "../graph/weights.ts";
import { type Loss, sigmoidCrossEntropy, softmaxCrossEntropy } from "../learning/losses.ts";
import { type Optimizer, optimizerDefaults } from "../learning/optimizers.ts";
import type { Schedule } from "../learning/schedules.ts";
import { type ImagePreparation, imagePreparation, sizedDecodeOptionsOf } from "../model/images.ts";
import { defaultPreprocessing, type ImagePreprocessing } from "../model/model.ts";
import {
  openStartingFile,
  type StartingFile,
  type StartingPoint,
  type StartingWeights,
  startingPointOf,
  startingWeightsIn,
} from "../model/starting-weights.ts";
import { assertCalibratable } from "../model/temperature.ts";
import type { SharedOptions } from "../models/options.ts";
import { topIndex, topOn } from "../models/parts.ts";
import { type Architecture, architectureOf, buildNetwork, optionsOf, withOptions } from "../models/registry.ts";
import { defaultBatchSize, usableImages } from "./batch-size.ts";
import { assertCacheable, fineTuning } from "./fine-tuning.ts";
import { alone, averageOverRanks } from "./ranks/ranks.ts";
import type { TrainingRequest } from "./request.ts";
import {
  assertEffective,
  assertSeparate,
  choicesIn,
  placeOf,
  resolvedSettings,
  weightRounding,
} from "./request-settings.ts";
import { chosenArchitecture } from "./settings/choices.ts";
import { networkOfRun, withNetworkOf } from "./settings/file-network.ts";
import type { ResolvedSettings } from "./settings/resolve.ts";
import { flagOf, type SettingName, type Settings } from "./settings/settings.ts";
import type { TrainingStepOptions } from "./step/training-step.ts";

/** A training run that is complete and checked. */
export interface TrainingPlan extends ResolvedSettings {
  readonly architecture: Architecture;
  readonly network: Network;
  readonly labels: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  /** Weights before the first step. */
  readonly weights: Weights;
  /** Their origin; undefined: drawn from the seed, or given by the caller. */
  readonly start: StartingPoint | undefined;
  /** Report on reading their file; undefined if resumed. */
  readonly loaded: StartingWeights | undefined;
  /** Settings taken from that file. */
  readonly taken: readonly SettingName[];
  /** Warnings for the user, in sentences. */
  readonly warnings: readonly string[];
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** Highest learning rate, scaled by the number of ranks if requested. */
  readonly learningRate: number;
  /** The optimizer's default learning rate. */
  readonly usualRate: number;
  readonly schedule: Schedule;
  /** Images in a step of one rank. */
  readonly batchSize: number;
  readonly mapWeights: readonly number[] | undefined;
  readonly healthSteps: number;
  /** Rounding of the weights in quantization-aware training. */
  readonly quantizationAware: Pick<Quantization, "weightBits" | "perTensor"> | undefined;
  /** First phase, which trains only the head; undefined without one, or if no weight of the head trains. */
  readonly head: HeadPhase | undefined;
  /** Options of the training step. */
  readonly step: TrainingStepOptions;
  readonly presentation: Presentation;
  readonly dataset: ImageDataset;
  readonly batches: BatchSource;
  /** The processes that train together, or this one alone. */
  readonly communicator: Communicator;
  readonly validation: ValidationImages | undefined;
  /** Images on which the final weights are evaluated. */
  readonly test: ImageDataset | undefined;
}

/** The phase that trains only the head. */
export interface HeadPhase {
  /** Passes over the features, from 1. */
  readonly epochs: number;
  /** Views of each image: itself, then augmented. */
  readonly views: number;
  /** Highest learning rate of a cosine schedule with a warm-up of 5 %. */
  readonly learningRate: number;
}

/** Augmentation, targets and order of the training images. */
type Presentation = Pick<
  BatchOptions,
  "augmentation" | "views" | "mixing" | "labelSmoothing" | "sampling" | "classWeights"
>;

/** Validation images, resized as by the trained model. */
interface ValidationImages {
  readonly dataset: ImageDataset;
  readonly batches: BatchSource;
  readonly preparation: ImagePreparation;
}

const validationBatchSize = 16;

/**
 * Fills in the defaults, reads the initial weights, and checks everything before the first computation.
 * @throws {UsageError} a setting is not allowed, e.g. `patience` without validation images, or the network is no
 * classifier of the data set's classes.
 * @throws {DataError} the data set is empty or has one class, a label is not the index of a class, or the validation images are of
 * other classes.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {FileError} the file of weights cannot be read.
 * @throws {FormatError} it is damaged, or of no known format.
 */
export async function prepareTraining(dataset: ImageDataset, request: TrainingRequest): Promise<TrainingPlan> {
  assertClasses(dataset);
  const { communicator = alone, healthSteps = 0 } = request;
  assertOption("train option healthSteps", healthSteps, wholeNumber({ from: 0 }));
  assertSeparate(request);
  const started = await withStart(resolvedSettings(request), dataset, request);
  const platform = limitPixels(request.platform, started.settings.pixelLimit);
  const { network, preprocessing } = started;
  const loss = lossOf(network, dataset);
  const weights = started.weights ?? initializeWeights(network);
  checkWeights("train option weights", networkWeights(network), weights);

  const { size, rank } = communicator;
  const decode = sizedDecodeOptionsOf({ network, preprocessing });
  const batchSize =
    started.settings.batchSize ??
    defaultBatchSize(await usableImages(dataset, platform, decode, size), network, {
      ...started.settings,
      ranks: size,
    });
  const settings = { ...started.settings, batchSize };
  const { accumulate, seed, recompute, labelSmoothing, sampling, headEpochs } = settings;
  assertEffective(settings, request);
  if (settings.temperature) assertCalibratable(placeOf("temperature", request), network);
  const isDivisor = batchSize % accumulate === 0;
  const expected = `a whole number that divides the batch size ${batchSize}`;
  assertAllowed(placeOf("accumulate", request), accumulate, isDivisor, expected);

  const { optimizer, schedule, augmentation, averageDecay, mixing, clip } = choicesIn(request, settings);
  const { learningRate: usualRate } = optimizerDefaults[optimizer.name];
  const learningRate = settings.learningRate * (settings.scaleLearningRate === "linear" ? size : 1);
  const classWeights = settings.classWeights === null ? undefined : classWeightsOf(settings.classWeights, dataset);
  const labeled = (set: ImageDataset | undefined, name: string, isPartial = false) =>
    set && relabel(set, dataset.classes, "the training set", { name, isPartial });
  const validation = labeled(request.validation, "the validation set");
  const test = labeled(request.test, "the test set", true);
  const { mapWeights } = request;
  if (mapWeights !== undefined) {
    const isFitting = mapWeights.length === dataset.classes.length && mapWeights.every((weight) => weight >= 0);
    const each = `a number from 0 for each of the ${dataset.classes.length} classes`;
    assertAllowed("train option mapWeights", mapWeights, isFitting, each);
  }
  const preparation = imagePreparation(started, platform);
  const views = settings.cachedViews ?? undefined;
  const presentation: Presentation = { augmentation, views, mixing, labelSmoothing, sampling, classWeights };
  const needed = batchSize * size;
  if (dataset.samples.length < needed) throw notEnoughImages([], dataset.samples.length, needed);
  const shared = { decode, shard: { rank, size } };
  const batches = new BatchSource(dataset, platform.images.decode, { ...shared, batchSize, seed, ...presentation });

  const isTrained = started.weights !== undefined || started.start !== undefined;
  const quantizationAware = weightRounding(settings, request, isTrained);
  const choice = quantizationAware ? { ...settings, batchNorm: "inference" as const } : settings;
  const given = { reinitialized: started.start?.reinitialized, batchSize: batchSize / accumulate };
  const tuning = fineTuning(network, choice, given);
  const { trainable = tuning.trainable, rateFactor = tuning.rateFactor } = request;
  const batchNorm = typeof request.batchNorm === "function" ? request.batchNorm : tuning.batchNorm;
  if (views !== undefined) {
    assertCacheable(placeOf("cachedViews", request), views, network, { ...mixing, trainable, batchNorm });
  }
  const headPhase = { epochs: headEpochs, views: settings.headViews, learningRate: settings.headRate };
  return {
    ...started,
    settings,
    weights,
    labels: dataset.classes,
    warnings: tuning.warnings,
    loss,
    optimizer,
    learningRate,
    usualRate,
    schedule,
    batchSize,
    mapWeights,
    healthSteps,
    quantizationAware,
    head: headEpochs > 0 && hasOpenHead(network, trainable) ? headPhase : undefined,
    step: {
      platform,
      session: { device: request.device, threads: request.threads },
      batchSize: batchSize / accumulate,
      accumulate,
      optimizer,
      loss,
      preprocessing,
      sampleWeights: batches.isWeighted,
      health: healthSteps > 0,
      trainable,
      rateFactor,
      batchNorm,
      cachesViews: views !== undefined,
      decays: settings.decayAll ? () => true : undefined,
      clip,
      averageDecay,
      recompute,
      synchronizeBatchNormalization: settings.syncBatchNorm,
      ...(size > 1 && { reduce: averageOverRanks(communicator) }),
    },
    presentation,
    dataset,
    batches,
    communicator,
    validation: validation && {
      dataset: validation,
      preparation,
      batches: new BatchSource(validation, preparation.prepare, { ...shared, batchSize: validationBatchSize }),
    },
    test,
  };
}

/** Options of the network decided by the images. */
type Task = Required<Pick<SharedOptions, "classes">> & Pick<SharedOptions, "classifierActivation">;

type Start = Pick<TrainingPlan, "architecture" | "network" | "preprocessing" | "start" | "loaded" | "taken"> & {
  readonly weights: Weights | undefined;
};

/** Reads the initial weights and resolves the network. */
async function withStart(
  given: ResolvedSettings,
  dataset: ImageDataset,
  request: TrainingRequest,
): Promise<ResolvedSettings & Start> {
  const activation = isMultiLabel(dataset) && ({ classifierActivation: "sigmoid" } as const);
  const task = { classes: dataset.classes.length, ...activation };
  const { platform, start: resumed, network: own } = request;
  const ownWeights = typeof request.weights === "object" && request.weights !== null ? request.weights : undefined;
  const source = given.settings.weights;
  const isFromScratch = own === undefined && resumed === undefined && ownWeights === undefined && source === null;
  if (isFromScratch) assertFromScratch(given, request);
  const opened =
    resumed === undefined && source !== null
      ? await openStartingFile(source, platform, {
          architecture: own ?? given.settings.architecture,
          key: given.settings.key ?? undefined,
          ...task,
        })
      : undefined;
  const name = request.weightsName ?? source ?? "";
  const completed = own === undefined ? completedBy(opened, given, name) : { ...given, taken: [] };
  const { allowMissing, headOn } = completed.settings;
  const described = completeFor(task, own ?? chosenArchitecture(completed.settings), completed.settings);
  const whole = "family" in described ? buildNetwork(described) : described;
  const options = { allowMissing: allowMissing ?? undefined, headOn: headOn ?? undefined, classes: dataset.classes };
  const loaded = opened && startingWeightsIn(whole, opened, options);
  const start = resumed ?? (loaded && startingPointOf(loaded, name));
  const network = loaded?.network ?? (start?.headOn ? topOn(whole, start.headOn) : whole);
  return {
    ...completed,
    architecture: network === whole && "family" in described ? described : architectureOf(network),
    network,
    weights: loaded?.weights ?? ownWeights,
    preprocessing: request.preprocessing ?? loaded?.preprocessing ?? defaultPreprocessing,
    start,
    loaded,
  };
}

/** Completes the network's settings from its weights file, unless chosen. */
function completedBy(
  opened: StartingFile | undefined,
  given: ResolvedSettings,
  file: string,
): ResolvedSettings & Pick<TrainingPlan, "taken"> {
  const run = opened && opened.architecture === undefined ? networkOfRun(opened.file) : undefined;
  const architecture = opened?.architecture ?? run?.architecture;
  if (architecture === undefined) return { ...given, taken: [] };
  const isPartial = given.settings.allowMissing !== null;
  const found = withNetworkOf(architecture, given, { file, isPartial });
  if (run === undefined || isPartial || given.settings.headOn !== null) return found;
  return {
    settings: { ...found.settings, headOn: run.headOn },
    sources: new Map<SettingName, string>([...found.sources, ["headOn", file]]),
    taken: [...found.taken, "headOn"],
  };
}

/** Completes an architecture by the options of the images and settings; a network is returned unchanged. */
function completeFor(
  task: Task,
  described: Network | Architecture,
  { weightsSeed: seed }: Pick<Settings, "weightsSeed">,
): Network | Architecture {
  if (!("family" in described)) return described;
  return withOptions(described, { seed, ...task, ...optionsOf(described), classes: task.classes });
}

/** @throws {UsageError} a setting requires initial weights, and there are none. */
function assertFromScratch({ settings }: ResolvedSettings, request: TrainingRequest): void {
  const { headEpochs, unfreezeFrom } = settings;
  if (headEpochs > 0 || unfreezeFrom !== null) {
    throw new UsageError({
      where: placeOf("weights", request),
      what: "it is missing: fine-tuning needs weights to start from",
      expected: "imagenet, or a file with weights",
      remedy: "To train new weights, leave out --recipe finetune, --head-epochs and --unfreeze-from.",
    });
  }
  for (const name of ["allowMissing", "key", "headOn"] as const) {
    if (settings[name] === null) continue;
    throw new UsageError({
      where: placeOf(name, request),
      what: "there are no weights to start from",
      received: settings[name],
      remedy: `Add ${request.resolved ? flagOf("weights") : "the option weights"}.`,
    });
  }
}

function assertClasses(dataset: ImageDataset): void {
  const { classes, samples } = dataset;
  const where = "data set";
  if (samples.length === 0) throw new DataError({ where, what: "there are no images to train on" });
  if (classes.length < 2) {
    throw new DataError({ where, what: "there are not enough classes", received: classes, expected: "at least two" });
  }
  assertSamples(dataset, where);
}

/** Whether a weight after the last global pooling trains. */
function hasOpenHead(network: Network, trainable: (spec: WeightSpec) => boolean = () => true): boolean {
  const top = topIndex(network) ?? network.layers.length;
  const specs = networkWeights({ ...network, layers: network.layers.slice(top) });
  return specs.some((spec) => spec.trainable && trainable(spec));
}

/** The loss for the classifier's activation. */
function lossOf(network: Network, dataset: ImageDataset): Loss {
  const classes = dataset.classes.length;
  const check = (received: unknown, isAllowed: boolean, expected: string) =>
    assertAllowed("train option network", received, isAllowed, expected);
  const shape = inputShapeOf(network);
  const isImage = shape[2] === 3 || shape[2] === 1;
  check(shape, isImage, "an input of images, [height, width, 3] or [height, width, 1]");
  const { outputShape } = outputLayer(network);
  const fits = outputShape.length === 1 && outputShape[0] === classes;
  check(outputShape, fits, `one output for each of the ${classes} classes: [${classes}]`);
  const activation = outputActivation(network);
  check(activation, activation === "softmax" || activation === "sigmoid", "a softmax or sigmoid at its end");
  const suits = activation === "sigmoid" || !isMultiLabel(dataset);
  check(activation, suits, "a sigmoid at its end, since the images have several labels");
  return activation === "softmax" ? softmaxCrossEntropy : sigmoidCrossEntropy;
}
