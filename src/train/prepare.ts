import { DataError, UsageError } from "../base/errors.ts";
import { assertAllowed, assertOption, wholeNumber } from "../base/kinds.ts";
import type { Communicator } from "../base/platform.ts";
import { type BatchOptions, BatchSource } from "../data/batches.ts";
import { type ImageDataset, isMultiLabel, relabel } from "../data/dataset.ts";
import { classWeightsOf } from "../data/sample-weights.ts";
import { initializeWeights, type Weights } from "../graph/initialize.ts";
import { inputShapeOf, type Network, networkWeights, outputActivation, outputLayer } from "../graph/network.ts";
import { checkWeights } from "../graph/weights.ts";
import { type Loss, sigmoidCrossEntropy, softmaxCrossEntropy } from "../learning/losses.ts";
import { type Optimizer, optimizerDefaults } from "../learning/optimizers.ts";
import type { Schedule } from "../learning/schedules.ts";
import { ImagePreparation } from "../model/images.ts";
import { defaultPreprocessing, type ImagePreprocessing, sizedDecodeOptionsOf } from "../model/model.ts";
import {
  openStartingFile,
  type StartingFile,
  type StartingPoint,
  type StartingWeights,
  startingPointOf,
  startingWeightsIn,
} from "../model/starting-weights.ts";
import type { SharedOptions } from "../models/options.ts";
import { topOn } from "../models/parts.ts";
import { type Architecture, architectureOf, buildNetwork, optionsOf, withOptions } from "../models/registry.ts";
import { sizeOf } from "../tensor/shape.ts";
import { fineTuning } from "./fine-tuning.ts";
import { alone, averageOverRanks } from "./ranks/ranks.ts";
import type { TrainingRequest } from "./request.ts";
import { choicesOf, chosenArchitecture } from "./settings/choices.ts";
import { networkOfRun, withNetworkOf } from "./settings/file-network.ts";
import { type ResolvedSettings, resolveSettings } from "./settings/resolve.ts";
import { flagOf, type SettingName, type Settings, settingNames } from "./settings/settings.ts";
import type { TrainingStepOptions } from "./step/training-step.ts";

/** A training run that is complete and checked. */
export interface TrainingPlan extends ResolvedSettings {
  /** As a model file says it. */
  readonly architecture: Architecture;
  readonly network: Network;
  readonly labels: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  /** Weights before the first step. */
  readonly weights: Weights;
  /** Where they came from; undefined: drawn from the seed, or given by the caller. */
  readonly start: StartingPoint | undefined;
  /** Report on the file that they were read from just now. */
  readonly loaded: StartingWeights | undefined;
  /** Settings that are as in that file because nobody chose them. */
  readonly taken: readonly SettingName[];
  /** What a user should be warned of, in sentences. */
  readonly warnings: readonly string[];
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** The highest of the schedule, with the factor for the number of processes in it. */
  readonly learningRate: number;
  /** The optimizer's default learning rate. */
  readonly usualRate: number;
  readonly schedule: Schedule;
  readonly epochs: number;
  /** Epochs without a better test after which it stops. */
  readonly patience: number | undefined;
  /** Images in a step of one process. */
  readonly batchSize: number;
  readonly seed: number;
  readonly mapWeights: readonly number[] | undefined;
  readonly healthSteps: number;
  /** Training of the head, before all else. */
  readonly head: HeadPhase | undefined;
  /** How the step is compiled. */
  readonly step: TrainingStepOptions;
  readonly presentation: Presentation;
  readonly dataset: ImageDataset;
  readonly batches: BatchSource;
  /** The processes that train together, or this one alone. */
  readonly communicator: Communicator;
  readonly validation: ValidationImages | undefined;
}

/** Training of the head only. */
export interface HeadPhase {
  /** Passes over the features, from 1. */
  readonly epochs: number;
  /** Of each image: itself, and changes of it at random. */
  readonly views: number;
  /** The highest; it rises for a twentieth of the steps and falls along a cosine. */
  readonly learningRate: number;
}

/** How the training images and their targets are shown. */
type Presentation = Pick<BatchOptions, "augmentation" | "mixing" | "labelSmoothing" | "sampling" | "classWeights">;

/** Images to test on, brought to the network's size as the trained model will. */
interface ValidationImages {
  readonly dataset: ImageDataset;
  readonly batches: BatchSource;
  readonly preparation: ImagePreparation;
}

const validationBatchSize = 16;

/**
 * Fills in the defaults, reads the weights to start from, and rejects what cannot work before anything is computed.
 * @throws {UsageError} a setting is not allowed, or the network is no classifier of the data set's classes.
 * @throws {DataError} the data set is empty or has one class, or the validation images are of other classes.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {FileError} the file of weights cannot be read.
 * @throws {FormatError} it is damaged, or of no known format.
 */
export async function prepareTraining(dataset: ImageDataset, request: TrainingRequest): Promise<TrainingPlan> {
  assertClasses(dataset);
  const { platform, communicator = alone, healthSteps = 0 } = request;
  assertOption("train option healthSteps", healthSteps, wholeNumber({ from: 0 }));
  const began = await withStart(resolvedSettings(request), taskOf(dataset), request);
  const { network, preprocessing } = began;
  const loss = lossOf(network, dataset);
  const weights = began.weights ?? initializeWeights(network);
  checkWeights("train option weights", networkWeights(network), weights);

  const { size, rank } = communicator;
  const batchSize = began.settings.batchSize ?? defaultBatchSize(dataset, network, { ...began.settings, ranks: size });
  const settings = { ...began.settings, batchSize };
  const { accumulate, epochs, seed, recompute, labelSmoothing, sampling, headEpochs } = settings;
  const isDivisor = batchSize % accumulate === 0;
  const expected = `a whole number that divides the batch size ${batchSize}`;
  assertAllowed(placeOf("accumulate", request), accumulate, isDivisor, expected);

  const { optimizer, schedule, augmentation, averageDecay, mixing, clip } = choicesIn(request, settings);
  const { learningRate: usualRate } = optimizerDefaults[optimizer.name];
  const learningRate = settings.learningRate * (settings.scaleLearningRate === "linear" ? size : 1);
  const classWeights = settings.classWeights === null ? undefined : classWeightsOf(settings.classWeights, dataset);
  const presentation: Presentation = { augmentation, mixing, labelSmoothing, sampling, classWeights };
  const decode = sizedDecodeOptionsOf({ network, preprocessing });
  const shared = { decode, shard: { rank, size } };
  const batches = new BatchSource(dataset, platform.images.decode, { ...shared, batchSize, seed, ...presentation });
  // Said before anything is compiled for as many.
  if (batches.batchesPerEpoch === 0) batches.assertEnough(dataset.samples.length, batchSize * size);

  const tuning = fineTuning(network, settings, {
    reinitialized: began.start?.reinitialized,
    batchSize: batchSize / accumulate,
  });
  const { trainable = tuning.trainable, rateFactor = tuning.rateFactor } = request;
  return {
    ...began,
    settings,
    weights,
    labels: dataset.classes,
    warnings: tuning.warnings,
    loss,
    optimizer,
    learningRate,
    usualRate,
    schedule,
    epochs,
    patience: settings.patience ?? undefined,
    batchSize,
    seed,
    mapWeights: request.mapWeights,
    healthSteps,
    head:
      headEpochs === 0 ? undefined : { epochs: headEpochs, views: settings.headViews, learningRate: settings.headRate },
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
      batchNorm: typeof request.batchNorm === "function" ? request.batchNorm : tuning.batchNorm,
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
    validation: request.validation && validationImages(request.validation, dataset, { ...began, ...shared, platform }),
  };
}

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

/** The settings of a request, all of them; an object stands for the default of its setting. */
function resolvedSettings({ resolved, ...request }: TrainingRequest): ResolvedSettings {
  if (resolved) return resolved;
  const { weights, optimizer, schedule, augment, average, batchNorm } = request;
  const named: { readonly [Name in SettingName]?: unknown } = {
    ...request,
    optimizer: typeof optimizer === "object" ? optimizer.name : optimizer,
    ...unlessObjects({ weights, schedule, augment, average, batchNorm }),
    mapWeights: undefined,
  };
  const values = Object.fromEntries(settingNames.map((name) => [name, named[name]]));
  return resolveSettings([{ source: "request", values, where: (name) => placeOf(name as SettingName, {}) }]);
}

function unlessObjects(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const isObject = (value: unknown) => value instanceof Object;
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, isObject(value) ? undefined : value]));
}

/** The objects that a run computes with: the caller's own, or those that its settings stand for. */
function choicesIn(request: TrainingRequest, settings: Settings) {
  const { optimizer, schedule, augment, average, mixing } = request;
  return {
    ...choicesOf(settings),
    ...(typeof optimizer === "object" && { optimizer }),
    ...(typeof schedule === "function" && { schedule }),
    ...(typeof augment === "object" && { augmentation: augment }),
    ...(typeof average === "function" && { averageDecay: average }),
    ...(mixing && { mixing }),
  };
}

/** The name of a setting in errors, as whoever made the request knows it. */
function placeOf(name: SettingName, { resolved }: Pick<TrainingRequest, "resolved">): string {
  return resolved ? `option ${flagOf(name)}` : `train option ${name}`;
}

/** What the images decide about the network. */
type Task = Required<Pick<SharedOptions, "classes">> & Pick<SharedOptions, "classifierActivation">;

function taskOf(dataset: ImageDataset): Task {
  return { classes: dataset.classes.length, ...(isMultiLabel(dataset) && { classifierActivation: "sigmoid" }) };
}

type Start = Pick<TrainingPlan, "architecture" | "network" | "preprocessing" | "start" | "loaded" | "taken"> & {
  readonly weights: Weights | undefined;
};

/** Reads the weights to start from, and with them decides on the network. */
async function withStart(
  given: ResolvedSettings,
  task: Task,
  request: TrainingRequest,
): Promise<ResolvedSettings & Start> {
  const { platform, start: begun, network: own } = request;
  const ownWeights = typeof request.weights === "object" && request.weights !== null ? request.weights : undefined;
  const source = given.settings.weights;
  // A caller with a network of its own knows its weights.
  const isFromScratch = own === undefined && begun === undefined && ownWeights === undefined && source === null;
  if (isFromScratch) assertFromScratch(given, request);
  const opened =
    begun === undefined && source !== null
      ? await openStartingFile(source, platform, { classes: task.classes })
      : undefined;
  const name = request.weightsName ?? source ?? "";
  const completed = own === undefined ? completedBy(opened, given, name) : { ...given, taken: [] };
  const { allowMissing, headOn } = completed.settings;
  const described = completeFor(task, own ?? chosenArchitecture(completed.settings), completed.settings);
  const whole = "family" in described ? buildNetwork(described) : described;
  const patterns = { allowMissing: allowMissing ?? undefined, headOn: headOn ?? undefined };
  const loaded = opened && startingWeightsIn(whole, opened, patterns);
  const network = loaded?.network ?? (begun?.headOn ? topOn(whole, begun.headOn) : whole);
  return {
    ...completed,
    architecture: network === whole && "family" in described ? described : architectureOf(network),
    network,
    weights: loaded?.weights ?? ownWeights,
    preprocessing: request.preprocessing ?? loaded?.preprocessing ?? defaultPreprocessing,
    start: begun ?? (loaded && startingPointOf(loaded, name)),
    loaded,
  };
}

/** Takes the network's settings from the file of its weights, where nobody says anything else. */
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

/** Adds what the images and settings decide to the options of an architecture; a network stays as it is. */
function completeFor(
  task: Task,
  described: Network | Architecture,
  { weightsSeed: seed }: Pick<Settings, "weightsSeed">,
): Network | Architecture {
  if (!("family" in described)) return described;
  return withOptions(described, { seed, ...task, ...optionsOf(described), classes: task.classes });
}

/** @throws {UsageError} a setting applies to weights that are given, and there are none. */
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
  for (const name of ["allowMissing", "headOn"] as const) {
    if (settings[name] === null) continue;
    throw new UsageError({
      where: placeOf(name, request),
      what: "there are no weights to start from",
      received: settings[name],
      remedy: `Add ${request.resolved ? flagOf("weights") : "the option weights"}.`,
    });
  }
}

function validationImages(
  given: ImageDataset,
  { classes }: ImageDataset,
  {
    network,
    preprocessing,
    platform,
    ...shared
  }: Pick<TrainingPlan, "network" | "preprocessing"> &
    Pick<TrainingRequest, "platform"> &
    Pick<BatchOptions, "decode" | "shard">,
): ValidationImages {
  const dataset = relabel(given, classes, "the training set");
  const preparation = new ImagePreparation({ network, preprocessing }, platform);
  const { decode, shard } = shared;
  const options = { batchSize: validationBatchSize, decode, shard };
  return { dataset, preparation, batches: new BatchSource(dataset, preparation.prepare, options) };
}

function assertClasses({ classes, samples }: ImageDataset): void {
  const where = "data set";
  if (samples.length === 0) throw new DataError({ where, what: "there are no images to train on" });
  if (classes.length >= 2) return;
  throw new DataError({ where, what: "there are not enough classes", received: classes, expected: "at least two" });
}

/** The loss that goes with the classifier's activation. */
function lossOf(network: Network, dataset: ImageDataset): Loss {
  const classes = dataset.classes.length;
  const check = (received: unknown, isAllowed: boolean, expected: string) =>
    assertAllowed("train option network", received, isAllowed, expected);
  const [, , channels] = inputShapeOf(network);
  check(
    inputShapeOf(network),
    channels === 3 || channels === 1,
    "an input of images, [height, width, 3] or [height, width, 1]",
  );
  const { outputShape } = outputLayer(network);
  const fits = outputShape.length === 1 && outputShape[0] === classes;
  check(outputShape, fits, `one output for each of the ${classes} classes: [${classes}]`);
  const activation = outputActivation(network);
  check(activation, activation === "softmax" || activation === "sigmoid", "a softmax or sigmoid at its end");
  const suits = activation === "sigmoid" || !isMultiLabel(dataset);
  check(activation, suits, "a sigmoid at its end, since the images have several labels");
  return activation === "softmax" ? softmaxCrossEntropy : sigmoidCrossEntropy;
}
