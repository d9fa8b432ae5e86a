import {
  AbortedError,
  assertNotAborted,
  FormatError,
  messageOf,
  UsageError,
  WeightsError,
  XceptionError,
} from "../base/errors.ts";
import { assertOption, wholeNumber } from "../base/kinds.ts";
import {
  type CompileTarget,
  deviceFor,
  type Engine,
  type ImageSource,
  type Platform,
  type RgbImage,
  type Session,
  type SessionOptions,
  type Tensors,
} from "../base/platform.ts";
import { describeSource } from "../base/source.ts";
import { WorkQueue } from "../base/work-queue.ts";
import { compileInference } from "../compiler/inference.ts";
import { imageInput } from "../compiler/lower.ts";
import type { Quantization } from "../compiler/quantize/quantization.ts";
import { asImageError, readAhead } from "../data/image-loading.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import type { Preprocessing } from "../graph/preprocessing.ts";
import { toEngineWeights, type Weights } from "../graph/weights.ts";
import type { FloatTensor, Tensor } from "../tensor/tensor.ts";
import { type ImagePreparation, imageBatch, imagePreparation } from "./images.ts";
import { limitsOf, withFileName } from "./isolation.ts";
import { defaultPreprocessing, type ImagePreprocessing } from "./model.ts";
import { isFiniteRow, rowsOf, stacked } from "./outputs.ts";

/** A network, or the part of one that computes the requested outputs. */
export interface NetworkPart {
  readonly network: Network;
  /** Names of the requested layers. */
  readonly outputs: readonly string[];
}

/** Loads a part of a network into the engine, to be fed with images of its size. */
export type LoadPart = (part: NetworkPart) => Promise<Session>;

/** A network in inference mode, with its weights. */
export interface InferenceModel {
  readonly network: Network;
  readonly weights: Weights;
  /** Scales the bytes of images inside the graph; without it the network is fed with floats. */
  readonly preprocessing: Preprocessing | undefined;
  /** Computes with integers on CPUs. */
  readonly quantization?: Quantization | undefined;
}

/** Options of {@link Predictor.predict}. */
export interface PredictOptions {
  /** Default: the whole network and its output. */
  readonly part?: NetworkPart | undefined;
  /** Aborts with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link Predictor.predictAll}. */
export interface PredictAllOptions extends PredictOptions {
  /** Images in one run of the engine; default 8. */
  readonly batchSize?: number | undefined;
}

/** Outputs for some of many images. */
export interface PredictedBatch {
  /** Index of the image in each row of the outputs. */
  readonly indices: readonly number[];
  /** `[N, …]` by name; empty where N is 0. */
  readonly outputs: Tensors;
  /** Images without outputs, of those since the last batch: they could not be read, or failed in the network. */
  readonly errors: readonly FailedImage[];
}

/** An image of many that has an error instead of outputs. */
export interface FailedImage {
  readonly index: number;
  readonly error: XceptionError;
}

/** An image of many as the pixels that the network reads. */
interface PreparedImage {
  readonly index: number;
  readonly image: RgbImage;
  readonly source: ImageSource;
}

/** The outputs for one image of many, with N = 1, or the error. */
export type Predicted = { readonly outputs: Tensors } | { readonly error: XceptionError };

/**
 * Runs images through a network in the engine: decode → resize → batch → run → named outputs. Images of any size are
 * resized one by one, by the same operators as in a model file, and then batched. Free it with `dispose()`.
 */
export class Predictor {
  readonly #whole: NetworkPart;
  readonly #load: LoadPart;
  readonly #preparation: ImagePreparation;
  /** The part currently loaded in the engine; another one replaces it, but not during a request. */
  #loaded: { readonly key: string; readonly session: Session } | undefined;
  readonly #queue = new WorkQueue();
  #disposal: Promise<void> | undefined;

  /** @param load called whenever a different part is requested. */
  constructor(
    { network, preprocessing }: { readonly network: Network; readonly preprocessing: ImagePreprocessing },
    platform: Platform,
    load: LoadPart,
  ) {
    this.#whole = { network, outputs: [network.output] };
    this.#load = load;
    this.#preparation = imagePreparation({ network, preprocessing }, platform);
  }

  /** Loads a part immediately, by default the whole network, instead of with the first images. */
  load(part = this.#whole): Promise<void> {
    this.assertNotDisposed();
    return this.#queue.add(async () => void (await this.#sessionFor(part)));
  }

  /**
   * Returns an image as the pixels that the network reads.
   * @throws as {@link predict}.
   */
  async prepare(image: ImageSource): Promise<RgbImage> {
    this.assertNotDisposed();
    return this.#preparation.prepare(image);
  }

  /**
   * Runs the network on a batch of its own size: bytes `[N, H, W, C]`, or floats where it has no preprocessing → its output.
   * @throws {UsageError} after `dispose()`.
   */
  async run(images: Tensor): Promise<FloatTensor> {
    const { [this.#whole.network.output]: output } = await this.runPart(images, this.#whole);
    return output as FloatTensor;
  }

  /**
   * Returns the outputs for some images at once, `[N, …]`.
   * @throws {FormatError} an image is damaged, or of no supported format.
   * @throws {WeightsError} the outputs for an image are NaN or infinite.
   * @throws {DataError} there is no such file.
   * @throws {AbortedError} the signal fired.
   * @throws {UsageError} after `dispose()`.
   */
  async predict(images: readonly ImageSource[], { part = this.#whole, signal }: PredictOptions = {}): Promise<Tensors> {
    this.assertNotDisposed();
    const prepared = await Promise.all(images.map((image) => this.#preparation.prepare(image, { signal })));
    assertNotAborted(signal);
    const outputs = await this.runPart(imageBatch(prepared), part, signal);
    for (const [row, source] of images.entries()) if (!isFiniteRow(outputs, row)) throw notFinite(source);
    return outputs;
  }

  /**
   * Returns the outputs for many images, batch by batch in their order. Images that fail, whatever raised it, are reported;
   * unreadable ones are replaced by the next. Images are decoded while the engine runs on earlier ones.
   * @throws as {@link predict}, but for images.
   */
  async *predictBatches(
    images: readonly ImageSource[],
    { part = this.#whole, batchSize = 8, signal }: PredictAllOptions = {},
  ): AsyncGenerator<PredictedBatch, void, void> {
    this.assertNotDisposed();
    assertOption("option batchSize", batchSize, wholeNumber({ from: 1 }));
    const load = (index: number) => this.#preparation.prepare(images[index]!, { signal }).catch(asImageError);
    let rows: PreparedImage[] = [];
    let unreadable: FailedImage[] = [];
    const batch = async (): Promise<PredictedBatch> => {
      const [prepared, errors] = [rows, unreadable];
      [rows, unreadable] = [[], []];
      if (prepared.length === 0) return { indices: [], outputs: {}, errors };
      // Not being able to load the network is no image's failure.
      await this.load(part);
      const predicted = await this.#predictPrepared(prepared, part, signal);
      return { ...predicted, errors: [...errors, ...predicted.errors] };
    };
    for await (const { index, item } of readAhead(images.keys(), load, 2 * batchSize, signal)) {
      if (item instanceof XceptionError) unreadable.push({ index, error: item });
      else rows.push({ index, image: item, source: images[index]! });
      if (rows.length === batchSize) yield batch();
    }
    if (rows.length + unreadable.length > 0) yield batch();
  }

  /** Returns the outputs for many images, one by one in their order; otherwise as {@link predictBatches}. */
  async *predictAll(
    images: readonly ImageSource[],
    options?: PredictAllOptions,
  ): AsyncGenerator<Predicted, void, void> {
    for await (const { indices, outputs, errors } of this.predictBatches(images, options)) {
      const results = new Map<number, Predicted>(errors.map(({ index, error }) => [index, { error }]));
      for (const [row, index] of indices.entries()) results.set(index, { outputs: rowsOf(outputs, [row]) });
      for (const index of [...results.keys()].sort((a, b) => a - b)) yield results.get(index)!;
    }
  }

  /** @throws {UsageError} after `dispose()`. */
  assertNotDisposed(): void {
    if (this.#disposal === undefined) return;
    throw new UsageError({
      where: "network in the engine",
      what: "it was disposed",
      remedy: "Load the model again, or dispose of it later.",
    });
  }

  /** Frees the engine's memory once the work in progress is done; idempotent. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#queue.add(async () => {
      await Promise.all([this.#loaded?.session.dispose(), this.#preparation.dispose()]);
    });
    return this.#disposal;
  }

  /**
   * Runs a part of the network on a batch of its own size, as {@link run}; returns the part's outputs.
   * @throws {UsageError} after `dispose()`.
   */
  async runPart(images: Tensor, part: NetworkPart, signal?: AbortSignal): Promise<Tensors> {
    this.assertNotDisposed();
    return this.#queue.add(async () => (await this.#sessionFor(part)).run({ [imageInput]: images }, { signal }));
  }

  /** Returns the outputs for images that fit into one batch; if the batch fails, they run one at a time. */
  async #predictPrepared(
    prepared: readonly PreparedImage[],
    part: NetworkPart,
    signal: AbortSignal | undefined,
  ): Promise<PredictedBatch> {
    let outputs: Tensors;
    try {
      outputs = await this.runPart(imageBatch(prepared.map(({ image }) => image)), part, signal);
    } catch (error) {
      if (error instanceof AbortedError || this.#disposal !== undefined) throw error;
      if (prepared.length === 1) return failed(prepared[0]!, asRunError(error, prepared[0]!));
      const single: PredictedBatch[] = [];
      for (const each of prepared) single.push(await this.#predictPrepared([each], part, signal));
      const answered = single.filter(({ indices }) => indices.length > 0);
      return {
        indices: answered.flatMap(({ indices }) => indices),
        outputs: answered.length > 0 ? stacked(answered.map((each) => each.outputs)) : {},
        errors: single.flatMap(({ errors }) => errors),
      };
    }
    const rows = [...prepared.keys()].filter((row) => isFiniteRow(outputs, row));
    const indices = rows.map((row) => prepared[row]!.index);
    if (rows.length === prepared.length) return { indices, outputs, errors: [] };
    const errors = prepared
      .filter((_, row) => !rows.includes(row))
      .map(({ index, source }) => ({ index, error: notFinite(source) }));
    return { indices, outputs: rows.length > 0 ? rowsOf(outputs, rows) : {}, errors };
  }

  async #sessionFor(part: NetworkPart): Promise<Session> {
    const key = JSON.stringify(part.outputs);
    if (this.#loaded?.key === key) return this.#loaded.session;
    await this.#loaded?.session.dispose();
    this.#loaded = undefined;
    const session = await this.#load(part);
    this.#loaded = { key, session };
    return session;
  }
}

/**
 * Loads a network with its weights into the engine, batch normalization folded into the convolutions.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {RuntimeUnavailableError} the engine is not available.
 */
export async function loadPredictor(
  model: InferenceModel & { readonly preprocessing: ImagePreprocessing | undefined },
  platform: Platform,
  options?: SessionOptions,
): Promise<Predictor> {
  const { network, preprocessing = defaultPreprocessing } = model;
  const predictor = new Predictor({ network, preprocessing }, platform, compiledParts(model, platform.engine, options));
  await predictor.load();
  return predictor;
}

/** Compiles parts of a network for inference; their weights may be among others. */
export function compiledParts(model: InferenceModel, engine: Engine, options?: SessionOptions): LoadPart {
  const { weights, preprocessing, quantization } = model;
  return async ({ network, outputs }) => {
    const isWhole = network === model.network;
    const own = isWhole ? weights : new Map(networkWeights(network).map(({ name }) => [name, weights.get(name)!]));
    const given = { preprocessing, quantization, outputs: [...new Set(outputs)] };
    const compileFor = (target: CompileTarget) =>
      compileInference(network, toEngineWeights(network, own), target, given);
    const compiled = await compileFor({ device: deviceFor(engine, options) });
    const where = `network "${network.name}"`;
    const isolation = await limitsOf(engine, network, compiled, where);
    return withFileName(await engine.createSession(compiled, { ...options, isolation, compileFor }), where);
  };
}

function failed({ index }: PreparedImage, error: XceptionError): PredictedBatch {
  return { indices: [], outputs: {}, errors: [{ index, error }] };
}

/** Returns the error of an image on which the engine failed. */
function asRunError(cause: unknown, { source }: PreparedImage): XceptionError {
  if (cause instanceof XceptionError) return cause;
  return new FormatError({
    where: describeSource(source),
    what: `the network cannot be run on it (${messageOf(cause)})`,
    cause,
  });
}

/** The error of an image for which a network has no usable outputs. */
export function notFinite(source: ImageSource): WeightsError {
  return new WeightsError({
    where: describeSource(source),
    what: "the network's outputs for it are NaN or infinite",
    remedy: "If this concerns every image, the weights have probably diverged: train again with a lower learning rate.",
  });
}
