import { FormatError, UsageError, WeightsError } from "../base/errors.ts";
import type { Engine, OnPlatform, Platform, Session, SessionOptions, Source, SourceReader } from "../base/platform.ts";
import { nameOfSource } from "../base/source.ts";
import { imageInput } from "../compiler/lower.ts";
import { readOnnx } from "../compiler/onnx/reader.ts";
import { metadataKey } from "../formats/format.ts";
import { wholeOnnx } from "../formats/onnx/format.ts";
import { onnxSignature } from "../formats/onnx/own-file.ts";
import { input } from "../graph/builder.ts";
import { network, outputLayer } from "../graph/network.ts";
import { imagenetLabels } from "../models/imagenet-classes.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { createGraphSession, type GraphImages, graphImages } from "./foreign-graph.ts";
import { type ModelToWrite, publishedNote } from "./formats.ts";
import type { Model } from "./model.ts";
import { classifierProblem, decodeModel, isOwnModel } from "./model-file.ts";
import { type OpenAsOptions, type OpenedModel, openAs, withProbabilities } from "./open-weights.ts";
import { isStated, type PreprocessingOptions, resolvePreprocessing } from "./preprocessing.ts";
import { type WeightsSource, weightsSource } from "./weights-file.ts";

export interface LoadModelOptions extends OpenAsOptions, PreprocessingOptions {
  /** Names of the classes; default: those in the file, else ImageNet's if there are 1000, else their numbers. */
  readonly labels?: readonly string[] | undefined;
}

/** Options of loading a classifier into an engine. */
export interface LoadOptions extends LoadModelOptions, OnPlatform {}

/** A classifier from a file. */
export interface LoadedModel extends Model {
  /** Assumptions about the file, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Loads a classifier from a file of any known format.
 * @throws as {@link Verbs.loadModel}.
 */
export async function loadModel(
  source: Source,
  platform: SourceReader,
  options: LoadModelOptions = {},
): Promise<LoadedModel> {
  return modelFromSource(await weightsSource(source, platform, options), source, options);
}

/**
 * As {@link loadModel}; a graph of another tool is loaded into the engine instead, to run as it is.
 * @param needs `layers`: such a graph is read as a network if its layers are known, e.g. for gradients.
 */
export async function loadModelOrGraph(
  source: Source,
  platform: Platform,
  options: LoadModelOptions,
  session?: SessionOptions,
  needs?: "layers",
): Promise<LoadedModel | ClassifierSession> {
  const opened = await weightsSource(source, platform, options);
  if (!isGraphToRun(opened, options)) return modelFromSource(opened, source, options);
  const known = needs === "layers" ? await classifierFrom(opened, options).catch(unlessUnknown) : undefined;
  return known ?? loadGraph(opened, options, platform.engine, session);
}

/** Returns undefined for the errors of a graph whose layers are not known. */
function unlessUnknown(error: unknown): undefined {
  if (error instanceof FormatError || error instanceof WeightsError || error instanceof UsageError) return;
  throw error;
}

function modelFromSource(opened: WeightsSource, source: Source, options: LoadModelOptions): Promise<LoadedModel> {
  if (!isOwnModel(opened, options)) return classifierFrom(opened, options);
  return Promise.resolve({ ...decodeModel(opened.bytes, nameOfSource(source)), notes: [] });
}

/** A classifier in the engine: bytes `images [N, H, W, 3]` of the network's size in, probabilities out. */
export interface ClassifierSession extends Omit<LoadedModel, "architecture" | "weights"> {
  readonly session: Session;
}

/**
 * Reads a classifier from an open file that is no model file, or whose network or preprocessing an option names.
 * @throws as {@link loadModel}.
 */
export async function classifierFrom(source: WeightsSource, options: LoadModelOptions): Promise<LoadedModel> {
  const { where } = source;
  const opened = withProbabilities(await openAs(source, options));
  const { model, notes } = await completeModel(opened, options);
  const { labels, preprocessing } = model;
  if (labels !== undefined && preprocessing !== undefined) {
    return { ...model, labels, preprocessing, notes: [...opened.notes, ...notes] };
  }
  throw new UsageError({ where, ...classifierProblem(opened.network, { labels: labels ?? [] })! });
}

/** Returns whether it is a graph of another tool to run as it is: no option names a network for its weights. */
export function isGraphToRun({ bytes, where }: WeightsSource, options: LoadModelOptions): boolean {
  const { network = {}, architecture, allowMissing } = options;
  if (architecture !== undefined || allowMissing !== undefined || !onnxSignature.detect(bytes)) return false;
  if (Object.keys(network).some((option) => option !== "inputShape")) return false;
  return !readOnnx(bytes, where).metadata.has(metadataKey);
}

/**
 * Loads a graph of another tool into the engine, with the inputs and outputs of a model file.
 * @throws {FormatError} it is not a classifier of images.
 * @throws {UsageError} its image size is open, or the number of labels differs from the classes.
 * @throws {RuntimeUnavailableError} the engine is not available, or rejects the graph.
 */
export async function loadGraph(
  source: WeightsSource,
  options: LoadModelOptions,
  engine: Engine,
  settings?: SessionOptions,
): Promise<ClassifierSession> {
  const { where, published = {} } = source;
  const { bytes, content } = await wholeOnnx(source);
  const images = graphImages(content, where, options.network?.inputShape ?? published.inputShape);
  const own = { ...network("graph", input([...images.size, images.channels])), output: images.output };
  const { license, provenance } = published;
  const resolved = resolvePreprocessing({ network: own, preprocessing: published.preprocessing }, options);
  const { preprocessing } = resolved;
  const assumed = published.preprocessing ? [publishedNote(published.preprocessing)] : resolved.notes;
  const session = await createGraphSession(bytes, engine, { images, preprocessing, where, session: settings });
  try {
    const classes = await countClasses(session, images, settings?.signal);
    const known = published.labels?.length === classes ? published.labels : undefined;
    const { labels, notes } = await classNames(classes, options.labels ?? known);
    const maker = labels.length === 1 ? "sigmoid" : "softmax";
    const made = images.givesProbabilities ? [] : [`It ends without a ${maker}; one was applied to its outputs.`];
    return {
      network: own,
      labels,
      preprocessing,
      notes: ["The graph of another tool runs as it is.", ...made, ...assumed, ...notes],
      license,
      provenance,
      session,
    };
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

/** Counts the outputs of one run: no file states them reliably. */
async function countClasses(
  session: Session,
  { size: [height, width], output }: GraphImages,
  signal: AbortSignal | undefined,
): Promise<number> {
  const data = new Uint8Array(height * width * 3).fill(127);
  const images: Tensor = { type: "uint8", shape: [1, height, width, 3], data };
  const { [output]: answer } = await session.run({ [imageInput]: images }, { signal });
  return answer!.shape[1]!;
}

/** Adds labels and preprocessing to a classifier of images, and notes of what was assumed. */
export async function completeModel(
  opened: OpenedModel,
  options: Pick<LoadModelOptions, "labels"> & PreprocessingOptions,
) {
  const given = options.labels;
  const { network: own, weights, architecture, license, provenance, quantization } = opened;
  const model: ModelToWrite = { network: own, weights, architecture, license, provenance, quantization };
  const classes = outputLayer(own).outputShape[0]!;
  const kept = opened.labels?.length === classes ? opened.labels : undefined;
  if (classifierProblem(own, { labels: classNumbers(classes) })) {
    const isKnown = opened.preprocessing !== undefined || isStated(options);
    const about = isKnown && { preprocessing: resolvePreprocessing(opened, options).preprocessing };
    if (given === undefined) return { model: { ...model, ...about }, notes: [] };
    throw new UsageError({
      where: "labels",
      what: `network "${own.name}" is not a classifier of images`,
      remedy: "Leave the labels out.",
    });
  }
  const { labels, notes } = await classNames(classes, given ?? kept);
  const { preprocessing, notes: assumed } = resolvePreprocessing(opened, options);
  return { model: { ...model, labels, preprocessing }, notes: [...assumed, ...notes] };
}

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
    return { labels: classNumbers(classes), notes: ["It does not name its classes; they are numbered."] };
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
