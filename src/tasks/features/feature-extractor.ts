import { sha256 } from "../../base/checksums.ts";
import { UsageError, WeightsError, type XceptionError } from "../../base/errors.ts";
import type { ImageSource, OnPlatform, Platform, SessionOptions, Source, Tensors } from "../../base/platform.ts";
import { type Layer, type Network, networkWeights } from "../../graph/network.ts";
import { graphFeatures } from "../../model/graph-features.ts";
import { isGraphToRun } from "../../model/load-model.ts";
import type { ImagePreprocessing } from "../../model/model.ts";
import { imageProblem } from "../../model/model-file.ts";
import { type OpenAsOptions, type OpenedModel, openAs } from "../../model/open-weights.ts";
import { compiledParts, type LoadPart, type PredictAllOptions, Predictor } from "../../model/predictor.ts";
import { type PreprocessingOptions, resolvePreprocessing } from "../../model/preprocessing.ts";
import { weightsSource } from "../../model/weights-file.ts";
import { type FeatureStage, featureStages, isFeatureMap, lastMapOf } from "../../models/feature-stages.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";

/** Global average or max pooling. */
export type Pooling = "avg" | "max";

/** Choice of feature maps; default: the last one, which global pooling reads in a classifier. */
export interface FeatureChoice {
  /** Names of layers. */
  readonly layers?: readonly string[] | undefined;
  /** Stages, instead of `layers`: 1 is the last feature map at stride 2, 2 at stride 4, … 5 at stride 32. */
  readonly stages?: readonly number[] | undefined;
  /** Reduces each channel to one number. Default: no pooling. */
  readonly pooling?: Pooling | undefined;
}

/** The output of a layer for some images. */
export interface FeatureMap {
  readonly layer: string;
  /** `[N, height, width, channels]`, or `[N, channels]` if pooled. */
  readonly values: FloatTensor;
}

/** Result for one of several images: feature maps with N = 1, or the error. */
export type Extracted = { readonly maps: readonly FeatureMap[] } | { readonly error: XceptionError };

export interface ExtractAllOptions extends FeatureChoice, Omit<PredictAllOptions, "part"> {}

export interface LoadExtractorOptions extends OpenAsOptions, PreprocessingOptions, OnPlatform {}

/** The parts of a model that an extractor needs. */
interface ExtractorModel extends Pick<OpenedModel, "network" | "weights"> {
  readonly preprocessing: ImagePreprocessing;
  readonly notes?: readonly string[];
  readonly report: Pick<OpenedModel["report"], "initialized">;
  /** Runs parts of a graph of another tool, whose results are the network's layers; SHA-256 of its file. */
  readonly foreign?: { readonly load: LoadPart; readonly digest: string };
}

/** Extracts the feature maps of a network's layers. Free it with `dispose()`, or declare it with `await using`. */
export class FeatureExtractor {
  readonly network: Network;
  /** The last feature map at each stride. */
  readonly stages: readonly FeatureStage[];
  /** The layer whose feature map global pooling reads in a classifier. */
  readonly lastMap: string;
  /** Assumptions about information missing from the file, in sentences. */
  readonly notes: readonly string[];
  readonly #model: ExtractorModel;
  readonly #predictor: Predictor;

  /** @throws {UsageError} the network does not read images. */
  constructor(model: ExtractorModel, platform: Platform, session?: SessionOptions) {
    this.network = model.network;
    this.stages = featureStages(model.network);
    this.lastMap = lastMapOf(model.network);
    this.notes = model.notes ?? [];
    this.#model = model;
    const problem = imageProblem(model.network);
    if (problem) throw new UsageError({ where: `network "${model.network.name}"`, ...problem });
    const load = model.foreign?.load ?? compiledParts(model, platform.engine, session);
    this.#predictor = new Predictor(model, platform, load);
  }

  /**
   * Returns feature maps of an image or of several at once, in the order of the request, all from one run of the network.
   * @throws {UsageError} a layer or stage does not exist, or the extractor was disposed.
   * @throws {WeightsError} a layer needs weights that the file lacks.
   * @throws {FormatError} an image is damaged, or of no supported format.
   * @throws {DataError} there is no such file.
   * @example
   * const [last] = await extractor.features("cat.jpg", { pooling: "avg" }); // last.values: [1, 2048]
   */
  async features(
    images: ImageSource | readonly ImageSource[],
    choice: FeatureChoice = {},
  ): Promise<readonly FeatureMap[]> {
    this.#predictor.assertNotDisposed();
    const part = this.#partFor(choice);
    const list = Array.isArray(images) ? (images as readonly ImageSource[]) : [images as ImageSource];
    if (list.length === 0) throw new UsageError({ where: "features", what: "there is no image" });
    return mapsIn(await this.#predictor.predict(list, { part }), part);
  }

  /**
   * Returns feature maps of many images, one by one in their order; an image that fails gives an error.
   * @throws {UsageError} a layer or stage does not exist, an option is invalid, or the extractor was disposed.
   * @throws {WeightsError} a layer needs weights that the file lacks.
   * @throws {AbortedError} the signal fired.
   */
  async *featuresAll(
    images: readonly ImageSource[],
    { batchSize, signal, ...choice }: ExtractAllOptions = {},
  ): AsyncGenerator<Extracted, void, void> {
    this.#predictor.assertNotDisposed();
    const part = this.#partFor(choice);
    for await (const result of this.#predictor.predictAll(images, { part, batchSize, signal })) {
      yield "error" in result ? result : { maps: mapsIn(result.outputs, part) };
    }
  }

  /** SHA-256 of everything the features depend on: weights, layers and preprocessing. */
  async digest(choice: FeatureChoice = {}): Promise<string> {
    const { network, outputs } = this.#partFor(choice);
    const { weights, preprocessing, foreign } = this.#model;
    const digests = await Promise.all(networkWeights(network).map(({ name }) => sha256(weights.get(name)!.data)));
    const layers = network.layers.map(({ config, inbound }) => [config, inbound]);
    // In canonical order: equal settings give equal text.
    const settings = Object.entries(preprocessing)
      .filter(([, value]) => value !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return sha256(JSON.stringify([layers, digests, settings, ...(foreign ? [foreign.digest, outputs] : [])]));
  }

  /** Frees the engine's memory once the work in progress is done; idempotent. */
  dispose(): Promise<void> {
    return this.#predictor.dispose();
  }

  /** Calls `dispose`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #partFor(choice: FeatureChoice): FeatureNetwork {
    const part = featureNetwork(this.network, choice);
    const used = new Set(networkWeights(part.network).map(({ name }) => name));
    const absent = this.#model.report.initialized.filter((name) => used.has(name));
    if (absent.length === 0) return part;
    throw new WeightsError({
      where: `features of ${part.layers.map((layer) => `"${layer}"`).join(", ")}`,
      what: "they need weights that the file does not have",
      received: absent.slice(0, 5),
      remedy: "Choose an earlier layer.",
    });
  }
}

/**
 * Loads weights of any supported format to extract features.
 * @throws as {@link Verbs.loadFeatureExtractor}.
 */
export async function loadFeatureExtractor(
  source: Source,
  { platform, session, ...options }: LoadExtractorOptions,
): Promise<FeatureExtractor> {
  const { includeTop = source !== "imagenet" } = options.network ?? {};
  const network = source === "imagenet" ? { ...options.network, includeTop } : options.network;
  const found = await weightsSource(source, platform, { ...options, includeTop });
  if (isGraphToRun(found, options)) {
    const inputShape = options.network?.inputShape;
    const graph = await graphFeatures(found, platform.engine, { ...options, inputShape, session });
    const foreign = { load: graph.load, digest: await sha256(found.bytes) };
    const { network, preprocessing, notes } = graph;
    const model = { network, weights: new Map(), preprocessing, notes, report: { initialized: [] } };
    return new FeatureExtractor({ ...model, foreign }, platform, session);
  }
  const opened = await openAs(found, { ...options, network });
  const { preprocessing, notes } = resolvePreprocessing(opened, options);
  return new FeatureExtractor({ ...opened, preprocessing, notes: [...opened.notes, ...notes] }, platform, session);
}

function mapsIn(outputs: Tensors, { layers, outputs: names }: FeatureNetwork): readonly FeatureMap[] {
  return layers.map((layer, index) => ({ layer, values: outputs[names[index]!] as FloatTensor }));
}

/** The part of a network that computes the requested feature maps. */
interface FeatureNetwork {
  readonly network: Network;
  /** Names of the requested layers, in the order of the request. */
  readonly layers: readonly string[];
  /** For each of them the layer with the result: itself, or its pooling. */
  readonly outputs: readonly string[];
}

/**
 * Truncates a network to the requested layers and appends the pooling.
 * @throws {UsageError} a layer or stage does not exist, nothing is requested, or the output to pool is not feature
 * maps.
 */
export function featureNetwork(network: Network, choice: FeatureChoice): FeatureNetwork {
  const layers = chosenLayers(network, choice);
  const all = new Map(network.layers.map((layer) => [layer.name, layer]));
  const needed = new Set(layers);
  for (const layer of network.layers.toReversed()) {
    if (needed.has(layer.name)) for (const source of layer.inbound) needed.add(source);
  }
  const { pooling } = choice;
  const kept = network.layers.filter(({ name }) => needed.has(name));
  const poolings = pooling ? [...new Set(layers)].map((name) => poolingOf(all.get(name)!, pooling)) : [];
  const outputs = pooling ? layers.map((name) => poolingName(name, pooling)) : layers;
  return { network: { ...network, layers: [...kept, ...poolings], output: outputs[0]! }, layers, outputs };
}

function chosenLayers(network: Network, { layers, stages }: FeatureChoice): readonly string[] {
  if (layers !== undefined && stages !== undefined) {
    throw new UsageError({ where: "features", what: "maps are chosen by layer or by stage, not by both" });
  }
  const chosen = layers ?? stages?.map((stage) => layerOfStage(network, stage)) ?? [lastMapOf(network)];
  if (chosen.length === 0) {
    throw new UsageError({
      where: "features",
      what: "no feature map is requested",
      expected: "names of layers, numbers of stages, or neither for the last map",
    });
  }
  for (const name of chosen) {
    if (network.layers.some((layer) => layer.name === name)) continue;
    throw new UsageError({
      where: "features option layers",
      what: `network "${network.name}" has no such layer`,
      received: name,
      expected: `one of its ${network.layers.length} layers, e.g. ${lastMapOf(network)}`,
      remedy: "`xception summary` lists those of Xception.",
    });
  }
  return chosen;
}

function layerOfStage(network: Network, wanted: number): string {
  const stages = featureStages(network);
  const found = stages.find(({ stage }) => stage === wanted);
  if (found) return found.layer;
  throw new UsageError({
    where: "features option stages",
    what: `network "${network.name}" has no such stage`,
    received: wanted,
    expected: stages.map(({ stage, stride }) => `${stage} (stride ${stride})`).join(", "),
  });
}

/** A layer name that no other tool uses. */
function poolingName(layer: string, pooling: Pooling): string {
  return `${layer}|${pooling}`;
}

function poolingOf(layer: Layer, pooling: Pooling): Layer {
  if (!isFeatureMap(layer)) {
    throw new UsageError({
      where: "features option pooling",
      what: `layer "${layer.name}" has no feature maps to pool`,
      received: layer.outputShape,
      expected: "[height, width, channels]",
    });
  }
  const type = pooling === "avg" ? "GlobalAveragePooling2D" : "GlobalMaxPooling2D";
  const outputShape = [layer.outputShape[2]!];
  return { name: poolingName(layer.name, pooling), config: { type }, inbound: [layer.name], outputShape, weights: [] };
}
