import { assertNotAborted, WeightsError, type XceptionError } from "../../base/errors.ts";
import { assertOption, wholeNumber } from "../../base/kinds.ts";
import type { EngineReport, ImageSource, RgbImage, Session, Source, Tensors } from "../../base/platform.ts";
import type { ClassProbability } from "../../base/records.ts";
import { imageSizeOf } from "../../graph/network.ts";
import { topIndices } from "../../learning/ranking.ts";
import { createClassifierSession } from "../../model/classifier-session.ts";
import { imageBatch } from "../../model/images.ts";
import type { LoadedModel, LoadOptions } from "../../model/load-model.ts";
import type { Model, Provenance } from "../../model/model.ts";
import { type PredictAllOptions, type PredictOptions, Predictor } from "../../model/predictor.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";

/** Result for one of several images. */
export type Classified = { readonly predictions: readonly ClassProbability[] } | { readonly error: XceptionError };

/** Options of {@link Classifier.classify}. */
export interface ClassifyOptions extends Pick<PredictOptions, "signal"> {
  /** Number of classes to return, most probable first; default 5. */
  readonly top?: number | undefined;
}

/** Options of {@link Classifier.classifyAll}. */
export interface ClassifyAllOptions extends ClassifyOptions, Pick<PredictAllOptions, "batchSize"> {}

/** Classifies images. Free it with `dispose()`, or declare it with `await using`. */
export class Classifier {
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[];
  /** Assumptions about information missing from the file, in sentences. */
  readonly notes: readonly string[];
  /** Size to which images are resized, in pixels. */
  readonly inputSize: { readonly width: number; readonly height: number };
  /** Name of the network's output. */
  readonly output: string;
  /** Where the model comes from, if its file states it. */
  readonly provenance: Provenance | undefined;
  readonly #predictor: Predictor;
  readonly #session: Pick<Session, "report"> | undefined;

  constructor(
    {
      network,
      labels,
      notes = [],
      provenance,
    }: Pick<Model, "network" | "labels"> & Partial<Pick<LoadedModel, "notes" | "provenance">>,
    predictor: Predictor,
    session?: Pick<Session, "report">,
  ) {
    const [height, width] = imageSizeOf(network);
    this.labels = labels;
    this.notes = notes;
    this.inputSize = { width, height };
    this.output = network.output;
    this.provenance = provenance;
    this.#predictor = predictor;
    this.#session = session;
  }

  /**
   * The engine that runs the network, where one is chosen for the user: in browsers. It changes when a GPU is lost and another engine
   * takes its place.
   */
  get engine(): EngineReport | undefined {
    return this.#session?.report;
  }

  /**
   * Returns the top classes of an image, most probable first.
   * @throws {FormatError} the image is damaged, or of no supported format.
   * @throws {DataError} there is no such file.
   * @throws {WeightsError} the network's outputs for it are NaN or infinite.
   * @throws {UsageError} `top` is not a count, or the classifier was disposed.
   * @throws {AbortedError} the signal fired.
   */
  async classify(image: ImageSource, options: ClassifyOptions = {}): Promise<readonly ClassProbability[]> {
    const top = this.#check(options);
    return this.rank(this.#scores(await this.#predictor.predict([image], options)), top);
  }

  /**
   * Returns the top classes of many images, in their order; an image that fails, in the decoder or in the network, gives
   * an error without stopping the others. Images are decoded while the engine runs on earlier ones.
   * @throws {UsageError} an option is invalid, or the classifier was disposed.
   * @throws {AbortedError} the signal fired.
   */
  async *classifyAll(
    images: readonly ImageSource[],
    options: ClassifyAllOptions = {},
  ): AsyncGenerator<Classified, void, void> {
    const top = this.#check(options);
    for await (const result of this.#predictor.predictAll(images, options)) {
      yield "error" in result ? result : { predictions: this.rank(this.#scores(result.outputs), top) };
    }
  }

  /**
   * Returns an image as the pixels that the network reads, for {@link probabilities}.
   * @throws as {@link classify}.
   */
  prepare(image: ImageSource): Promise<RgbImage> {
    return this.#predictor.prepare(image);
  }

  /**
   * Computes the probabilities of all classes for prepared images: N images → N times `[classes]`.
   * @throws {UsageError} the classifier was disposed.
   */
  async probabilities(images: readonly RgbImage[]): Promise<readonly Float32Array[]> {
    const { data } = await this.#predictor.run(imageBatch(images));
    const classes = data.length / images.length;
    return images.map((_, row) => data.slice(row * classes, (row + 1) * classes));
  }

  /**
   * Returns the top classes of an image by its probabilities, most probable first.
   * @throws {WeightsError} a probability is NaN or infinite.
   */
  rank(probabilities: Float32Array, top: number): readonly ClassProbability[] {
    assertFiniteProbabilities(probabilities);
    return topIndices(probabilities, top).map((index) => ({
      label: this.labels[index]!,
      index,
      probability: probabilities[index]!,
    }));
  }

  /** Frees the engine's memory once the image in progress is done; idempotent. */
  dispose(): Promise<void> {
    return this.#predictor.dispose();
  }

  /** Calls `dispose`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** Returns the number of classes to return. */
  #check({ top = 5, signal }: ClassifyOptions): number {
    this.#predictor.assertNotDisposed();
    assertOption("classify option top", top, wholeNumber({ from: 1 }));
    assertNotAborted(signal);
    return top;
  }

  #scores({ [this.output]: output }: Tensors): Float32Array {
    return (output as FloatTensor).data;
  }
}

/** @throws {WeightsError} a probability is NaN or infinite. */
export function assertFiniteProbabilities(probabilities: Float32Array): void {
  if (probabilities.every(Number.isFinite)) return;
  throw new WeightsError({
    where: "Classifier",
    what: "the network's probabilities are NaN or infinite",
    remedy: "Its weights have probably diverged: train again with a lower learning rate.",
  });
}

/**
 * Loads a model to classify images, from a file of any known format.
 * @throws as {@link Verbs.loadClassifier}.
 */
export async function loadClassifier(
  source: Source,
  { platform, session: settings, ...options }: LoadOptions,
): Promise<Classifier> {
  const { session, ...model } = await createClassifierSession(source, platform, options, settings);
  const predictor = new Predictor(model, platform, async () => session);
  await predictor.load();
  return new Classifier(model, predictor, session);
}
