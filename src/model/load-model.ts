import { UsageError } from "../base/errors.ts";
import type { Engine, Session, SessionOptions, Source, SourceReader } from "../base/platform.ts";
import { nameOfSource } from "../base/source.ts";
import { imageInput } from "../compiler/lower.ts";
import { readOnnx } from "../compiler/onnx/reader.ts";
import { metadataKey } from "../formats/format.ts";
import { onnxFormat, readsBytes, wholeOnnx } from "../formats/onnx/format.ts";
import { outputLayer } from "../graph/network.ts";
import { imagenetLabels } from "../models/imagenet-classes.ts";
import { familyOf } from "../models/registry.ts";
import { createGraphSession, type GraphImages, graphImages } from "./foreign-graph.ts";
import type { ModelToWrite } from "./formats.ts";
import { defaultPreprocessing, type Model } from "./model.ts";
import { classifierProblem, decodeModel } from "./model-file.ts";
import { type OpenAsOptions, type OpenedModel, openAs, withProbabilities } from "./open-weights.ts";
import { type WeightsSource, weightsSource } from "./weights-file.ts";

export interface LoadModelOptions extends OpenAsOptions {
  /** Names of the classes; default: those in the file, else ImageNet's if there are 1000, else their numbers. */
  readonly labels?: readonly string[] | undefined;
}

/** A classifier from a file. */
export interface LoadedModel extends Model {
  /** Assumptions about the file, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Loads a classifier from a file of any known format.
 * @param source `imagenet` stands for the published weights of keras.applications.Xception.
 * @param options the network, where the file holds only weights.
 * @throws {FileError} the file does not exist, or cannot be read.
 * @throws {FormatError} it is in no known format, or damaged.
 * @throws {WeightsError} its weights are not those of its network.
 * @throws {UsageError} the network is not a classifier of RGB images, or an option is invalid.
 */
export async function loadModel(
  source: Source,
  platform: SourceReader,
  options: LoadModelOptions = {},
): Promise<LoadedModel> {
  const opened = await weightsSource(source, platform, { key: options.key });
  if (isModelFile(opened, options)) {
    return { ...decodeModel(opened.bytes, nameOfSource(source)), notes: [] };
  }
  return classifierFrom(opened, options);
}

/** Returns whether it is one of our model files, used as it is. */
export function isModelFile({ bytes, where }: WeightsSource, options: LoadModelOptions): boolean {
  if (Object.values(options).some((value) => value !== undefined) || !onnxFormat.detect(bytes)) return false;
  const content = readOnnx(bytes, where);
  return content.metadata.has(metadataKey) && readsBytes(content);
}

/** @throws as {@link loadModel}. */
export async function classifierFrom(source: WeightsSource, options: LoadModelOptions): Promise<LoadedModel> {
  const { where } = source;
  const opened = withProbabilities(await openAs(source, options));
  const { model, notes } = await completeModel(opened, options.labels);
  const { labels, preprocessing } = model;
  if (labels !== undefined && preprocessing !== undefined) {
    return { ...model, labels, preprocessing, notes: [...opened.notes, ...notes], ...source.origin };
  }
  const { network } = opened;
  throw new UsageError({ where, ...classifierProblem(network, { labels: labels ?? [] })! });
}

/** Returns whether it is a graph of another tool to run as it is: no option names a network for its weights. */
export function isGraphToRun({ bytes, where }: WeightsSource, options: LoadModelOptions): boolean {
  const { network = {}, architecture, allowMissing } = options;
  if (architecture !== undefined || allowMissing !== undefined || !onnxFormat.detect(bytes)) return false;
  if (Object.keys(network).some((option) => option !== "inputShape")) return false;
  return !readOnnx(bytes, where).metadata.has(metadataKey);
}

/**
 * Loads a graph of another tool into the engine, with the inputs and outputs of a model file.
 * @throws {FormatError} it is not a classifier of RGB images.
 * @throws {UsageError} its image size is open, or the number of labels differs from the classes.
 * @throws {RuntimeUnavailableError} the engine is not available, or rejects the graph.
 */
export async function loadGraph(
  source: WeightsSource,
  { network, labels: given }: LoadModelOptions,
  engine: Engine,
  options?: SessionOptions,
) {
  const { where } = source;
  const { bytes, content } = await wholeOnnx(source);
  const images = graphImages(content, where, network?.inputShape);
  const preprocessing = defaultPreprocessing;
  const session = await createGraphSession(bytes, engine, { images, preprocessing, where, session: options });
  try {
    const { labels, notes } = await classNames(await countClasses(session, images), given);
    const maker = labels.length === 1 ? "sigmoid" : "softmax";
    const made = images.givesProbabilities ? [] : [`It ends without a ${maker}; one was applied to its outputs.`];
    return { session, images, labels, preprocessing, notes: [asItIs, ...made, usualPreprocessing, ...notes] };
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

const asItIs = "The graph of another tool runs as it is.";

/** Counts the outputs of one run: no file states them reliably. */
async function countClasses(session: Session, { size: [height, width], output }: GraphImages): Promise<number> {
  const data = new Uint8Array(height * width * 3).fill(127);
  const { [output]: answer } = await session.run({
    [imageInput]: { type: "uint8", shape: [1, height, width, 3], data },
  });
  return answer!.shape[1]!;
}

/** Adds labels and preprocessing to a classifier of images, and notes of what was assumed. */
export async function completeModel(opened: OpenedModel, given: readonly string[] | undefined) {
  const { network, weights, architecture, license, provenance } = opened;
  const model: ModelToWrite = { network, weights, architecture, license, provenance };
  const classes = outputLayer(network).outputShape[0]!;
  const kept = opened.labels?.length === classes ? opened.labels : undefined;
  if (classifierProblem(network, { labels: classNumbers(classes) })) {
    return { model: assertNoLabels(model, given), notes: [] };
  }
  const { labels, notes } = await classNames(classes, given ?? kept);
  const usual = { ...defaultPreprocessing, ...familyOf(architecture)?.preprocessing };
  const { preprocessing = usual } = opened;
  return {
    model: { ...model, labels, preprocessing },
    notes: [...(opened.preprocessing ? [] : [usualPreprocessing]), ...notes],
  };
}

const usualPreprocessing =
  "The file does not specify preprocessing; pixel/127.5 - 1 is assumed, as in keras.applications.";

/**
 * Labels of classes, and notes of what was assumed.
 * @param known default: ImageNet's if there are 1000, else numbers.
 * @throws {UsageError} their number differs from the classes.
 */
async function classNames(classes: number, known: readonly string[] | undefined) {
  if (known === undefined && classes === 1000) {
    const note = "It does not name its 1000 classes; they are assumed to be ImageNet's, as in keras.applications.";
    return { labels: await imagenetLabels(), notes: [note] };
  }
  if (known === undefined) {
    const note = "It does not name its classes; they are numbered.";
    return { labels: classNumbers(classes), notes: [note] };
  }
  if (known.length === classes) return { labels: known, notes: [] };
  throw new UsageError({
    where: "labels",
    what: "there must be one label for each class",
    received: known.length,
    expected: `${classes} labels`,
  });
}

function classNumbers(classes: number): readonly string[] {
  return Array.from({ length: classes }, (_, index) => String(index));
}

function assertNoLabels(model: ModelToWrite, given: readonly string[] | undefined): ModelToWrite {
  if (given === undefined) return model;
  throw new UsageError({
    where: "labels",
    what: `network "${model.network.name}" is not a classifier of RGB images`,
    remedy: "Leave the labels out.",
  });
}
