import { readAhead } from "../../data/image-loading.ts";
import { AbortedError, UsageError, WeightsError, XceptionError } from "../../errors.ts";
import { input } from "../../graph/builder.ts";
import { type Network, network } from "../../graph/network.ts";
import { topIndices } from "../../learning/metrics-ranking.ts";
import type {
  DecodeOptions,
  ImageCodec,
  ImageSource,
  Platform,
  RgbImage,
  SessionOptions,
  Source,
} from "../../platform.ts";
import { nameOfSource } from "../../source.ts";
import type { Shape } from "../../tensor/shape.ts";
import { asImageError, imageBatch } from "../model/image.ts";
import { Inference } from "../model/inference.ts";
import { decodeOptionsOf, type Model, resizesInGraph, sizedDecodeOptionsOf } from "../model/model.ts";
import { describeModel, encodeModel } from "../model/model-file.ts";
import { isGraphToRun, loadGraph } from "../weights/load-graph.ts";
import { classifierFrom, isModelFile, type LoadedModel, type LoadModelOptions } from "../weights/load-model.ts";
import { weightsSource } from "../weights/weights-file.ts";

/** One class and how much the network takes an image for it. */
export interface ClassProbability {
  readonly label: string;
  /** Of the class, in the order of the network's outputs. */
  readonly index: number;
  /** 0 to 1. */
  readonly probability: number;
}

/** What became of one image among several. */
export type Classified = { readonly predictions: readonly ClassProbability[] } | { readonly error: XceptionError };

export interface ClassifyOptions {
  /** How many classes to name, the likeliest first; default 5. */
  readonly top?: number | undefined;
  /** Ends the work with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
}

export interface ClassifyAllOptions extends ClassifyOptions {
  /** Images that the engine sees at a time; default 8. */
  readonly batchSize?: number | undefined;
}

export interface LoadOptions extends LoadModelOptions {
  readonly platform: Platform;
  readonly session?: SessionOptions | undefined;
}

/** Tells what images show. Give it back with `dispose()`, or declare it with `await using`. */
export class Classifier {
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[];
  /** What had to be taken for granted because the file does not say it, in sentences. */
  readonly notes: readonly string[];
  /** Images are brought to this size, in pixels. */
  readonly inputSize: { readonly width: number; readonly height: number };
  readonly #decode: DecodeOptions;
  /** Whether the model's graph brings images to the network's size. */
  readonly #takesAnySize: boolean;
  readonly #images: ImageCodec;
  readonly #inference: Inference;

  constructor(
    model: Pick<Model, "network" | "labels" | "preprocessing"> & Partial<Pick<LoadedModel, "notes">>,
    inference: Inference,
    images: ImageCodec,
  ) {
    this.#decode = decodeOptionsOf(model);
    this.#takesAnySize = resizesInGraph(model.preprocessing);
    this.labels = model.labels;
    this.notes = model.notes ?? [];
    const { width, height } = sizedDecodeOptionsOf(model);
    this.inputSize = { width, height };
    this.#inference = inference;
    this.#images = images;
  }

  /**
   * The likeliest classes of an image, likeliest first.
   * @throws {FormatError} the image is damaged, or of no supported format.
   * @throws {DataError} there is no such file.
   * @throws {UsageError} `top` is no count, or the classifier was disposed.
   * @throws {AbortedError} the signal fired.
   */
  async classify(image: ImageSource, options: ClassifyOptions = {}): Promise<readonly ClassProbability[]> {
    const top = this.#check(options);
    const pixels = await this.#images.decode(image, this.#decode);
    stopIfAborted(options.signal);
    const [predictions] = await this.#answer([pixels], top);
    return predictions!;
  }

  /**
   * The likeliest classes of many images, in their order; one that cannot be read gives its error, and the others go
   * on. Images are decoded while the engine works on those before.
   * @throws {UsageError} an option is not allowed, or the classifier was disposed.
   * @throws {AbortedError} the signal fired.
   */
  async *classifyAll(
    images: readonly ImageSource[],
    options: ClassifyAllOptions = {},
  ): AsyncGenerator<Classified, void, void> {
    const { batchSize = 8, signal } = options;
    const top = this.#check(options);
    checkCount("batchSize", batchSize);
    const load = async (index: number) => this.#images.decode(images[index]!, this.#decode).catch(asImageError);
    let group: (RgbImage | XceptionError)[] = [];
    for await (const { item } of readAhead(images.keys(), load, 2 * batchSize, signal)) {
      group.push(item);
      if (group.length < batchSize) continue;
      yield* this.#answerGroup(group, top);
      group = [];
    }
    if (group.length > 0) yield* this.#answerGroup(group, top);
  }

  /** Frees the engine's memory after the image under way; doing it again does nothing. */
  dispose(): Promise<void> {
    return this.#inference.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** Returns how many classes to name. */
  #check({ top = 5, signal }: ClassifyOptions): number {
    this.#inference.assertNotDisposed();
    checkCount("top", top);
    stopIfAborted(signal);
    return top;
  }

  async *#answerGroup(group: readonly (RgbImage | XceptionError)[], top: number): AsyncGenerator<Classified> {
    const readable = group.filter((item): item is RgbImage => !(item instanceof XceptionError));
    const answers = readable.length > 0 ? await this.#answer(readable, top) : [];
    let answered = 0;
    for (const item of group) {
      yield item instanceof XceptionError ? { error: item } : { predictions: answers[answered++]! };
    }
  }

  async #answer(images: readonly RgbImage[], top: number): Promise<readonly (readonly ClassProbability[])[]> {
    if (this.#takesAnySize && images.length > 1) {
      // Images of several sizes do not fit into one tensor.
      const each: (readonly ClassProbability[])[] = [];
      for (const image of images) each.push(...(await this.#answer([image], top)));
      return each;
    }
    const probabilities = await this.#inference.run(imageBatch(images));
    if (!probabilities.data.every(Number.isFinite)) {
      throw new WeightsError({
        where: "Classifier",
        what: "the network's probabilities are not finite numbers",
        remedy: "Its weights have probably diverged: train again with a lower learning rate.",
      });
    }
    const classes = this.labels.length;
    return images.map((_, row) => {
      const scores = probabilities.data.subarray(row * classes, (row + 1) * classes);
      return topIndices(scores, top).map((index) => ({
        label: this.labels[index]!,
        index,
        probability: scores[index]!,
      }));
    });
  }
}

/**
 * Loads a model to classify images, from a file of any format that we know. Of a model file,
 * and of an ONNX graph of another tool, what runs is the graph in the file, so that the answers are those of every other
 * ONNX tool.
 * @param source `imagenet` stands for what keras.applications.Xception learned.
 * @param options `network`, `architecture`: which network its weights are for, where the file holds weights alone.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is in none of the formats, or damaged.
 * @throws {WeightsError} a weight of its network is missing or has another shape.
 * @throws {UsageError} its network does not tell classes of RGB images apart, or an option is not allowed.
 * @throws {RuntimeUnavailableError} the engine does not run here, or refuses the graph.
 */
export async function loadClassifier(
  source: Source,
  { platform, session, ...options }: LoadOptions,
): Promise<Classifier> {
  const opened = await weightsSource(source, platform);
  if (isModelFile(opened, options)) {
    const model = describeModel(opened.bytes, nameOfSource(source));
    const inference = new Inference(await platform.engine.createSession(opened.bytes, session), model.network.output);
    return new Classifier(model, inference, platform.images);
  }
  if (isGraphToRun(opened, options)) {
    const { images, session: inEngine, ...model } = await loadGraph(opened, options, platform.engine, session);
    const { size, output } = images;
    return new Classifier(
      { ...model, network: networkOfImages([...size, 3]) },
      new Inference(inEngine, output),
      platform.images,
    );
  }
  const model = await classifierFrom(opened, options);
  const inference = new Inference(
    await platform.engine.createSession(encodeModel(model), session),
    model.network.output,
  );
  return new Classifier(model, inference, platform.images);
}

/** All that is known of a graph of another tool in our words: the shape of its images. */
function networkOfImages(shape: Shape): Network {
  return network("graph", input(shape));
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new AbortedError({ where: "classifying", what: "it was stopped by the caller", cause: signal.reason });
}

function checkCount(option: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return;
  throw new UsageError({
    where: `classify option ${option}`,
    what: "this value is not allowed",
    received: value,
    expected: "a whole number from 1",
  });
}
