import { assertNotAborted, UsageError, type XceptionError } from "../../base/errors.ts";
import { assertOption, choice, wholeNumber } from "../../base/kinds.ts";
import type { ImageSource, RgbImage, Source } from "../../base/platform.ts";
import type { ClassProbability } from "../../base/records.ts";
import { asImageError } from "../../data/image-loading.ts";
import type { Network } from "../../graph/network.ts";
import { topIndices } from "../../learning/ranking.ts";
import { type LoadOptions, loadModelOrGraph } from "../../model/load-model.ts";
import { notFinite } from "../../model/predictor.ts";
import { featureStages, isFeatureMap, lastMapOf } from "../../models/feature-stages.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { type Evidence, type ExplanationMethod, explanationMethods, isUsed, methods } from "./methods.ts";
import { hasLayers, loadProbe, type Observation, type Probe } from "./probe.ts";

/** Options of {@link Explainer.explain}. */
export interface ExplainOptions {
  /** Default `grad-cam`; `occlusion` for a graph of another tool whose layers are not known. */
  readonly method?: ExplanationMethod | undefined;
  /** Class to explain; default: the top one. */
  readonly label?: string | undefined;
  /** Contrasts the class with this one: explains the difference of their scores. */
  readonly against?: string | undefined;
  /** Layer of a CAM's activations, or the number of a stage, see `featureStages`; default: the last feature map. */
  readonly layer?: string | undefined;
  /**
   * Runs of the network, for methods that need many: points on the path of `integrated-gradients` (at most 256: fewer if
   * its error is below 1 %), noisy images of `smooth-grad` (25), channels of `score-cam` (the 128 that vary most),
   * squares of `occlusion` (169), masks of `rise` (1000).
   */
  readonly samples?: number | undefined;
  /** Averages over mirrored, darker and brighter copies of the image; default false. */
  readonly augSmooth?: boolean | undefined;
  /** Reduces a gradient CAM's weighted activations to their first principal component; default false. */
  readonly eigenSmooth?: boolean | undefined;
  /** Seed of the random numbers of `smooth-grad` and `rise`; default 0. */
  readonly seed?: number | undefined;
  /** Aborts with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
}

/** The evidence of a class in an image. */
export interface Explanation extends ClassProbability {
  readonly method: ExplanationMethod;
  /** Layer whose activations are explained; undefined for methods that explain pixels. */
  readonly layer: string | undefined;
  /** The class that it is contrasted with. */
  readonly against: ClassProbability | undefined;
  /**
   * Evidence at each position, `[height, width]` of the layer or the image, not normalized: values of different images
   * can be compared. Values below 0, from methods that have them, are evidence of other classes.
   */
  readonly map: FloatTensor;
  /** Largest value of the map; if it is not above 0, no evidence of the class was found. */
  readonly maximum: number;
  /**
   * Error of `integrated-gradients`: the difference of the map's sum and the change of the logit from a black image,
   * relative to the change: at most 1 %, unless `samples` did not suffice.
   */
  readonly incompleteness: number | undefined;
  /** Top 5 classes. */
  readonly predictions: readonly ClassProbability[];
  /** The image as the network reads it. */
  readonly image: RgbImage;
}

/** Result for one of several images. */
export type Explained = { readonly explanation: Explanation } | { readonly error: XceptionError };

/** The method for a model unless one is named: of a graph without known layers only the predictions can be observed. */
export function defaultMethodOf(model: Probe["model"]): ExplanationMethod {
  return hasLayers(model) ? "grad-cam" : "occlusion";
}

/** Explains a classifier's predictions. Free it with `dispose()`, or declare it with `await using`. */
export class Explainer {
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[];
  readonly network: Network;
  readonly defaultMethod: ExplanationMethod;
  /** Assumptions about information missing from the file, in sentences. */
  readonly notes: readonly string[];
  readonly #probe: Probe;

  /** @param probe it is disposed with the explainer. */
  constructor(probe: Probe, notes: readonly string[] = []) {
    this.labels = probe.model.labels;
    this.network = probe.model.network;
    this.defaultMethod = defaultMethodOf(probe.model);
    this.notes = notes;
    this.#probe = probe;
  }

  /**
   * Explains one class of an image.
   * @throws {UsageError} an option is invalid: there is no such class, layer or method.
   * @throws {FormatError} the image is damaged, or of no supported format.
   * @throws {DataError} there is no such file.
   * @throws {WeightsError} the network's outputs for it are NaN or infinite.
   * @throws {AbortedError} the signal fired.
   * @example
   * const { label, probability, map } = await explainer.explain("cat.jpg"); // map: [10, 10] for 299×299
   */
  async explain(source: ImageSource, options: ExplainOptions = {}): Promise<Explanation> {
    this.assertValid(options);
    const { method = this.defaultMethod, signal, augSmooth, eigenSmooth, seed = 0 } = options;
    const layer = options.layer === undefined ? lastMapOf(this.network) : layerOf(this.network, options.layer)!;
    const { reads, samples = 1, explain } = methods[method];
    const how = { layer, samples: options.samples ?? samples, eigenSmooth: eigenSmooth ?? false, seed };
    const layers = this.#probe.layersRead(reads, layer);
    const observe = async (image: RgbImage) => (await this.#probe.observe([image], layers))[0]!;

    const image = await this.#probe.prepare(source);
    assertNotAborted(signal);
    const observed = await observe(image);
    if (!observed.probabilities.every(Number.isFinite)) throw notFinite(source);
    const { target, against, predictions } = this.#ranked(observed.probabilities, options);
    const weightOf = (index: number) => Number(index === target.index) - Number(index === against?.index);
    const classWeights = this.labels.map((_, index) => weightOf(index));
    const run = (each: Observation) => explain(this.#probe, { ...each, classWeights, signal }, how);
    const { map, incompleteness } = augSmooth
      ? await smoothed(image, async (varied) => run(await observe(varied)))
      : await run(observed);
    const maximum = map.data.reduce((highest, value) => Math.max(highest, value), Number.NEGATIVE_INFINITY);
    const about = { method, layer: isUsed("layer", method) ? layer : undefined, against, predictions, image };
    return { ...target, ...about, map, maximum, incompleteness };
  }

  /**
   * Explains many images, in their order; an image that fails gives an error without stopping the others.
   * @throws {UsageError} an option is invalid: there is no such class, layer or method.
   * @throws {AbortedError} the signal fired.
   */
  async *explainAll(
    images: readonly ImageSource[],
    options: ExplainOptions = {},
  ): AsyncGenerator<Explained, void, void> {
    this.assertValid(options);
    for (const image of images) {
      const result = await this.explain(image, options).catch(asImageError);
      yield result instanceof Error ? { error: result } : { explanation: result };
    }
  }

  /**
   * Checks the options of {@link explain}.
   * @throws {UsageError} there is no such class, layer or method.
   * @throws {AbortedError} the signal fired.
   */
  assertValid({ method = this.defaultMethod, label, against, layer, samples, signal }: ExplainOptions): void {
    this.#probe.assertNotDisposed();
    assertOption("explain option method", method, choice(...explanationMethods));
    if (!hasLayers(this.#probe.model) && methods[method].reads !== "scores") {
      throw new UsageError({
        where: "explain option method",
        what: "it needs layers or gradients, but the model is a graph of another tool whose layers are not known",
        received: method,
        expected: explanationMethods.filter((each) => methods[each].reads === "scores").join(" or "),
        remedy: "Or explain the file that the graph was exported from, e.g. of Keras or timm.",
      });
    }
    if (samples !== undefined) assertOption("explain option samples", samples, wholeNumber({ from: 1 }));
    for (const [option, given] of Object.entries({ label, against })) {
      if (given === undefined || this.labels.includes(given)) continue;
      throw new UsageError({
        where: `explain option ${option}`,
        what: "the model has no such class",
        received: given,
        expected: `one of its ${this.labels.length} classes, e.g. ${this.labels[0]}`,
      });
    }
    if (label !== undefined && against === label) throw sameClass(label, "it is the explained class");
    if (layer !== undefined && layerOf(this.network, layer) === undefined) {
      throw new UsageError({
        where: "explain option layer",
        what: `network "${this.network.name}" has no layer of this name with feature maps`,
        received: layer,
        expected: `a name such as ${lastMapOf(this.network)}, or the number of a stage`,
        remedy: "`xception summary` lists the layers.",
      });
    }
    assertNotAborted(signal);
  }

  /** Frees the engine's memory; idempotent. */
  dispose(): Promise<void> {
    return this.#probe.dispose();
  }

  /** Calls `dispose`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #ranked(probabilities: Float32Array, { label, against }: ExplainOptions) {
    const classAt = (index: number) => ({ label: this.labels[index]!, index, probability: probabilities[index]! });
    const named = (name: string | undefined) => (name === undefined ? undefined : classAt(this.labels.indexOf(name)));
    const predictions = topIndices(probabilities, 5).map(classAt);
    const target = named(label) ?? predictions[0]!;
    if (against !== target.label) return { predictions, target, against: named(against) };
    throw sameClass(against!, "it is the image's top class, which is explained");
  }
}

/** The layer of this name with feature maps, or of the stage of this number. */
function layerOf(network: Network, wanted: string): string | undefined {
  if (network.layers.some((each) => each.name === wanted && isFeatureMap(each))) return wanted;
  return featureStages(network).find(({ stage }) => String(stage) === wanted)?.layer;
}

function sameClass(received: string, what: string): UsageError {
  return new UsageError({ where: "explain option against", what, received, remedy: "Name another class." });
}

/**
 * Loads a classifier of any known format to explain its predictions.
 * @throws {FileError} the file does not exist, or cannot be read.
 * @throws {FormatError} it is in no known format, or damaged.
 * @throws {WeightsError} its weights are not those of its network.
 * @throws {UsageError} its network is not a classifier of images, or an option is invalid.
 */
export async function loadExplainer(
  source: Source,
  { platform, session, ...options }: LoadOptions,
): Promise<Explainer> {
  const model = await loadModelOrGraph(source, platform, options, session, "layers");
  return new Explainer(await loadProbe(model, platform, session), model.notes);
}

/** Averages the maps of six copies: as it is and mirrored, each at 0.9, 1 and 1.1 of its brightness. */
async function smoothed(image: RgbImage, run: (image: RgbImage) => Promise<Evidence>): Promise<Evidence> {
  const maps: FloatTensor[] = [];
  for (const mirror of [false, true]) {
    for (const brightness of [0.9, 1, 1.1]) {
      const { map } = await run(varied(image, { mirror, brightness }));
      maps.push(mirror ? mirrored(map) : map);
    }
  }
  const data = maps[0]!.data.map((_, at) => maps.reduce((sum, map) => sum + map.data[at]!, 0) / maps.length);
  return { map: { ...maps[0]!, data } };
}

function varied(
  { width, height, data }: RgbImage,
  { mirror, brightness }: { readonly mirror: boolean; readonly brightness: number },
): RgbImage {
  const source = (index: number) => {
    const [pixel, color] = [Math.floor(index / 3), index % 3];
    return mirror ? 3 * (pixel - (pixel % width) + width - 1 - (pixel % width)) + color : index;
  };
  return { width, height, data: data.map((_, index) => Math.min(255, Math.round(brightness * data[source(index)]!))) };
}

function mirrored(map: FloatTensor): FloatTensor {
  const width = map.shape[1]!;
  return { ...map, data: map.data.map((_, at, all) => all[at - (at % width) + width - 1 - (at % width)]!) };
}
