import { assertNotAborted } from "../../base/errors.ts";
import {
  deviceFor,
  type ImageSource,
  type Platform,
  type RgbImage,
  type Session,
  type SessionOptions,
} from "../../base/platform.ts";
import {
  activationInput,
  type CompiledGradient,
  classWeightsInput,
  compileActivationGradient,
} from "../../compiler/activation-gradient.ts";
import { imageBatch } from "../../model/images.ts";
import type { ClassifierSession } from "../../model/load-model.ts";
import type { Model } from "../../model/model.ts";
import { loadPredictor, Predictor } from "../../model/predictor.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { channelBlock } from "../../train/step/step-program.ts";
import { type Mask, masked, neutralColor } from "./perturbations.ts";

/** The parts of a model that an explanation needs. */
export type ExplainedModel = Pick<Model, "network" | "weights" | "labels" | "preprocessing">;

/** A graph of another tool in the engine, whose layers are not known; it is disposed with what explains it. */
export type ExplainedGraph = Pick<ClassifierSession, "network" | "session" | "labels" | "preprocessing">;

/** Returns whether a model's layers and weights are known, so that it has gradients. */
export function hasLayers(model: ExplainedModel | ExplainedGraph): model is ExplainedModel {
  return "weights" in model;
}

/** What a method reads: a layer's activations with or without their gradient, the scaled pixels, or scores alone. */
export type Reads = "gradient" | "activations" | "pixels" | "scores";

/** An image in the network. */
export interface Observation {
  readonly image: RgbImage;
  /** `[classes]` */
  readonly probabilities: Float32Array;
  /** Outputs of the observed layers, `[1, H, W, C]`; the first is the explained one. */
  readonly layers: Readonly<Record<string, FloatTensor>>;
}

/** One class of one image, to be explained. */
export interface Subject extends Observation {
  /** Weight of each class in the explained score: 1, and −1 for the class that it is contrasted with. */
  readonly classWeights: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

/** Images in one run of the engine. */
const batchSize = 8;

/** Images in one run of the gradients: the activations of more, all kept for the backward pass, do not fit the CPU's cache. */
const gradientBatchSize = 2;

/** A classifier in the engine, with the gradients of its scores, which are compiled when first needed. */
export class Probe {
  readonly model: ExplainedModel | ExplainedGraph;
  /** Name of the input layer, whose output is the scaled pixels. */
  readonly pixels: string;
  readonly #platform: Platform;
  readonly #options: SessionOptions | undefined;
  readonly #predictor: Predictor;
  readonly #gradients = new Map<string, { readonly compiled: CompiledGradient; readonly session: Promise<Session> }>();

  #blockSize: Promise<number | undefined> | undefined;

  /** @param predictor of the same model; it is disposed with the probe. */
  constructor(
    model: ExplainedModel | ExplainedGraph,
    predictor: Predictor,
    platform: Platform,
    options?: SessionOptions,
  ) {
    this.model = model;
    this.pixels = model.network.layers.find(({ config }) => config.type === "InputLayer")!.name;
    this.#predictor = predictor;
    this.#platform = platform;
    this.#options = options;
  }

  /** @throws {UsageError} after `dispose()`. */
  assertNotDisposed(): void {
    this.#predictor.assertNotDisposed();
  }

  /** Returns an image as the pixels that the network reads. */
  prepare(image: ImageSource): Promise<RgbImage> {
    return this.#predictor.prepare(image);
  }

  /** Returns the layers to observe; the first is the explained one. */
  layersRead(reads: Reads, layer: string): readonly string[] {
    switch (reads) {
      case "gradient":
        return this.#gradientOf(layer, 1).compiled.layers;
      case "activations":
        return [layer];
      case "pixels":
        return [this.pixels];
      case "scores":
        return [];
    }
  }

  /**
   * Runs images through the network, and returns what each makes of some layers.
   * @throws {AbortedError} the signal fired.
   */
  async observe(
    images: readonly RgbImage[],
    layers: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly Observation[]> {
    const { network } = this.model;
    const part = { network, outputs: [network.output, ...layers] };
    const observed: Observation[] = [];
    for (let start = 0; start < images.length; start += batchSize) {
      assertNotAborted(signal);
      const batch = images.slice(start, start + batchSize);
      const outputs = await this.#predictor.runPart(imageBatch(batch), part);
      for (const [row, image] of batch.entries()) {
        const of = (layer: string) => rowOf(outputs[layer] as FloatTensor, row);
        const found = Object.fromEntries(layers.map((layer) => [layer, of(layer)]));
        observed.push({ image, probabilities: of(network.output).data, layers: found });
      }
    }
    return observed;
  }

  /** Returns the output of a layer and the gradient of the explained logit with respect to it, each `[1, H, W, C]`. */
  async gradient({ layers, classWeights }: Subject, layer: string) {
    const { compiled, session } = this.#gradientOf(layer, 1);
    const feeds = Object.fromEntries(compiled.layers.map((name) => [activationInput(name), layers[name]!]));
    const weights = floatTensor([1, classWeights.length], Float32Array.from(classWeights));
    const results = await (await session).run({ ...feeds, [classWeightsInput]: weights });
    return { activations: layers[layer]!, gradient: results[compiled.gradient] as FloatTensor };
  }

  /**
   * Returns, for each scaled image `[1, H, W, C]`, the explained logit and its gradient with respect to the pixels.
   * @throws {AbortedError} the signal fired.
   */
  async pixelGradients(
    images: readonly FloatTensor[],
    { classWeights, signal }: Subject,
  ): Promise<readonly { readonly gradient: Float32Array; readonly score: number }[]> {
    // In blocks of channels the way back to the pixels takes half the time.
    this.#blockSize ??= channelBlock(this.#platform, deviceFor(this.#platform.engine, this.#options));
    const { compiled, session } = this.#gradientOf(this.pixels, gradientBatchSize, await this.#blockSize);
    const found: { gradient: Float32Array; score: number }[] = [];
    for (let start = 0; start < images.length; start += gradientBatchSize) {
      assertNotAborted(signal);
      const batch = images.slice(start, start + gradientBatchSize);
      const size = batch[0]!.data.length;
      const pixels = floatTensor([gradientBatchSize, ...batch[0]!.shape.slice(1)]);
      const weights = floatTensor([gradientBatchSize, classWeights.length]);
      for (const [row, { data }] of batch.entries()) {
        pixels.data.set(data, row * size);
        weights.data.set(classWeights, row * classWeights.length);
      }
      const results = await (await session).run({
        [activationInput(this.pixels)]: pixels,
        [classWeightsInput]: weights,
      });
      const gradients = results[compiled.gradient] as FloatTensor;
      const logits = results[compiled.logits] as FloatTensor;
      for (const row of batch.keys()) {
        found.push({ gradient: rowOf(gradients, row).data, score: scoreOf(rowOf(logits, row).data, classWeights) });
      }
    }
    return found;
  }

  /** Returns the explained score, a probability or the difference of two, of the image behind each mask. */
  async maskedScores(
    { image, layers, classWeights, signal }: Subject,
    masks: readonly Mask[],
  ): Promise<readonly number[]> {
    const color = neutralColor(this.model.preprocessing);
    const images = masks.map((mask) => masked(image, mask, color));
    const observed = await this.observe(images, Object.keys(layers), signal);
    return observed.map(({ probabilities }) => scoreOf(probabilities, classWeights));
  }

  /** Frees the engine's memory; idempotent. */
  async dispose(): Promise<void> {
    const sessions = [...this.#gradients.values()].map(({ session }) => session);
    this.#gradients.clear();
    await Promise.all([this.#predictor.dispose(), ...sessions.map(async (session) => (await session).dispose())]);
  }

  #gradientOf(layer: string, batch: number, blockSize?: number) {
    const key = JSON.stringify([layer, batch, blockSize]);
    const known = this.#gradients.get(key);
    if (known) return known;
    const { network, weights } = this.model as ExplainedModel;
    const compiled = compileActivationGradient(network, weights, { layer, batchSize: batch, blockSize });
    const loaded = { compiled, session: this.#platform.engine.createSession(compiled.model, this.#options) };
    // A failure is reported where the session is needed, after the image's own run.
    loaded.session.catch(() => {});
    this.#gradients.set(key, loaded);
    return loaded;
  }
}

/** Loads a classifier into the engine to explain it. */
export async function loadProbe(
  model: ExplainedModel | ExplainedGraph,
  platform: Platform,
  options?: SessionOptions,
): Promise<Probe> {
  const predictor = hasLayers(model)
    ? await loadPredictor(model, platform, options)
    : new Predictor(model, platform, async () => model.session);
  // Loaded even if nothing is explained, so that a graph is disposed.
  await predictor.load();
  return new Probe(model, predictor, platform, options);
}

/** Σ class weight · value. */
function scoreOf(values: Float32Array, classWeights: readonly number[]): number {
  return classWeights.reduce((sum, weight, index) => sum + (weight === 0 ? 0 : weight * values[index]!), 0);
}

/** A row of a batch, as a batch of one. */
function rowOf({ type, shape, data }: FloatTensor, row: number): FloatTensor {
  const size = data.length / shape[0]!;
  return { type, shape: [1, ...shape.slice(1)], data: data.slice(row * size, (row + 1) * size) };
}
