import { compile } from "../../compiler/compile.ts";
import { imageInput } from "../../compiler/lower.ts";
import { readAhead } from "../../data/image-loading.ts";
import { UsageError, WeightsError, XceptionError } from "../../errors.ts";
import { inputShapeOf, type Network, networkWeights } from "../../graph/network.ts";
import { type FeatureStage, featureStages, lastMapOf } from "../../models/feature-stages.ts";
import type { ImageSource, Platform, RgbImage, Session, SessionOptions, Source, Tensors } from "../../platform.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { WorkQueue } from "../../work-queue.ts";
import { modelDigest } from "../model/digest.ts";
import { asImageError, imageBatch } from "../model/image.ts";
import { ImagePreparation } from "../model/image-preparation.ts";
import { disposedError } from "../model/inference.ts";
import { defaultPreprocessing, type ImagePreprocessing } from "../model/model.ts";
import { type OpenAsOptions, openAs } from "../weights/open-as.ts";
import type { OpenedModel } from "../weights/open-weights.ts";
import { weightsSource } from "../weights/weights-file.ts";
import { type FeatureChoice, type FeatureNetwork, featureNetwork } from "./feature-network.ts";

/** What a layer makes of images. */
export interface FeatureMap {
  readonly layer: string;
  /** `[N, height, width, channels]`, or `[N, channels]` where it was pooled. */
  readonly values: FloatTensor;
}

/** What became of one image among several: maps with N = 1, or why there are none. */
export type Extracted = { readonly maps: readonly FeatureMap[] } | { readonly error: XceptionError };

export interface ExtractAllOptions extends FeatureChoice {
  /** Images that the engine sees at a time; default 8. */
  readonly batchSize?: number | undefined;
  /** Ends the work with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
}

export interface LoadExtractorOptions extends OpenAsOptions {
  readonly platform: Platform;
  readonly session?: SessionOptions | undefined;
  /** How images become numbers, where the file does not say; default: as in training, pixel/127.5 − 1. */
  readonly preprocessing?: ImagePreprocessing | undefined;
}

/** What has to be known of a model. */
interface ExtractorModel extends Pick<OpenedModel, "network" | "weights"> {
  readonly preprocessing: ImagePreprocessing;
  /** Which of its weights the file lacks, and are made up. */
  readonly report: Pick<OpenedModel["report"], "missing" | "wrongShape">;
}

/** Gives what a network sees in images, layer by layer. Give it back with `dispose()`, or declare it with `await using`. */
export class FeatureExtractor {
  readonly network: Network;
  /** The last map at each stride. */
  readonly stages: readonly FeatureStage[];
  /** The layer whose map global pooling reads in a classifier. */
  readonly lastMap: string;
  readonly #model: ExtractorModel;
  readonly #platform: Platform;
  readonly #options: SessionOptions | undefined;
  readonly #preparation: ImagePreparation;
  /** The part of the network that is in the engine; another request replaces it. */
  #loaded: { readonly key: string; readonly session: Session } | undefined;
  /** The part may be replaced between two pieces of work, but not within one. */
  readonly #queue = new WorkQueue();
  #disposal: Promise<void> | undefined;

  /** @throws {UsageError} the network does not read RGB images. */
  constructor(model: ExtractorModel, platform: Platform, session?: SessionOptions) {
    this.network = model.network;
    this.stages = featureStages(model.network);
    this.lastMap = lastMapOf(model.network);
    this.#model = model;
    this.#platform = platform;
    this.#options = session;
    assertRgb(model.network);
    this.#preparation = new ImagePreparation(model, platform);
  }

  /**
   * Maps of an image or of several at once, in the order in which they are asked for, all from one run of the network.
   * @throws {UsageError} there is no such layer or stage, or the extractor was disposed.
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
    this.#assertNotDisposed();
    const part = this.#partFor(choice);
    const list = Array.isArray(images) ? (images as readonly ImageSource[]) : [images as ImageSource];
    if (list.length === 0) throw new UsageError({ where: "features", what: "there is no image" });
    return this.#run(part, await Promise.all(list.map((image) => this.#preparation.prepare(image))));
  }

  /**
   * Maps of many images, image by image in their order; one that cannot be read gives its error, and the others go on.
   * @throws {UsageError} there is no such layer or stage, an option is not allowed, or the extractor was disposed.
   * @throws {WeightsError} a layer needs weights that the file lacks.
   * @throws {AbortedError} the signal fired.
   */
  async *featuresAll(
    images: readonly ImageSource[],
    { batchSize = 8, signal, ...choice }: ExtractAllOptions = {},
  ): AsyncGenerator<Extracted, void, void> {
    this.#assertNotDisposed();
    assertBatchSize(batchSize);
    const part = this.#partFor(choice);
    const load = async (index: number) => this.#preparation.prepare(images[index]!).catch(asImageError);
    let group: (RgbImage | XceptionError)[] = [];
    for await (const { item } of readAhead(images.keys(), load, 2 * batchSize, signal)) {
      group.push(item);
      if (group.length < batchSize) continue;
      yield* this.#runGroup(part, group);
      group = [];
    }
    if (group.length > 0) yield* this.#runGroup(part, group);
  }

  /** Of what the features depend on: weights, wiring and preprocessing; models with the same digest give the same. */
  async digest(choice: FeatureChoice = {}): Promise<string> {
    const { network } = this.#partFor(choice);
    return modelDigest(network, this.#model.weights, this.#model.preprocessing);
  }

  /** Frees the engine's memory after the work under way; doing it again does nothing. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#queue.add(async () => {
      await Promise.all([this.#loaded?.session.dispose(), this.#preparation.dispose()]);
    });
    return this.#disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #assertNotDisposed(): void {
    if (this.#disposal !== undefined) throw disposedError();
  }

  #partFor(choice: FeatureChoice): FeatureNetwork {
    const part = featureNetwork(this.network, choice);
    const used = new Set(networkWeights(part.network).map(({ name }) => name));
    const { missing, wrongShape } = this.#model.report;
    const made = [...missing, ...wrongShape].filter((name) => used.has(name));
    if (made.length === 0) return part;
    throw new WeightsError({
      where: `features of ${part.layers.map((layer) => `"${layer}"`).join(", ")}`,
      what: "they need weights that the file does not have",
      received: made.slice(0, 5),
      remedy: "Choose an earlier layer.",
    });
  }

  async *#runGroup(
    part: FeatureNetwork,
    group: readonly (RgbImage | XceptionError)[],
  ): AsyncGenerator<Extracted, void, void> {
    const readable = group.filter((item): item is RgbImage => !(item instanceof XceptionError));
    const maps = readable.length > 0 ? await this.#run(part, readable) : [];
    let row = 0;
    for (const item of group) {
      if (item instanceof XceptionError) yield { error: item };
      else yield { maps: rowOf(maps, row++) };
    }
  }

  #run(part: FeatureNetwork, images: readonly RgbImage[]): Promise<readonly FeatureMap[]> {
    return this.#queue.add(async () => {
      const session = await this.#sessionFor(part);
      const results: Tensors = await session.run({ [imageInput]: imageBatch(images) });
      return part.layers.map((layer, index) => ({ layer, values: results[part.outputs[index]!] as FloatTensor }));
    });
  }

  async #sessionFor({ network, outputs }: FeatureNetwork): Promise<Session> {
    const key = JSON.stringify(outputs);
    if (this.#loaded?.key === key) return this.#loaded.session;
    await this.#loaded?.session.dispose();
    this.#loaded = undefined;
    const { preprocessing, weights } = this.#model;
    const own = new Map(networkWeights(network).map(({ name }) => [name, weights.get(name)!]));
    const unique = [...new Set(outputs)];
    const bytes = compile(network, own, { form: "inference", preprocessing, outputs: unique });
    const session = await this.#platform.engine.createSession(bytes, this.#options);
    this.#loaded = { key, session };
    return session;
  }
}

/**
 * Loads a file of weights of any format that we know, ready to tell what its network sees in images.
 * @param source `imagenet` stands for what keras.applications.Xception learned, without its top unless `network.includeTop`
 * wants it.
 * @param options `network`, `architecture`: which network its weights are for, where the file holds weights alone.
 * @throws {FileError} there is no such file, or it cannot be read.
 * @throws {FormatError} it is in none of the formats, or damaged.
 * @throws {WeightsError} its weights are not those of its network.
 * @throws {UsageError} the network does not read RGB images, or an option is not allowed.
 */
export async function loadFeatureExtractor(
  source: Source,
  { platform, session, preprocessing = defaultPreprocessing, ...options }: LoadExtractorOptions,
): Promise<FeatureExtractor> {
  const { includeTop = source !== "imagenet" } = options.network ?? {};
  const network = source === "imagenet" ? { ...options.network, includeTop } : options.network;
  const opened = await openAs(await weightsSource(source, platform, { includeTop }), { ...options, network });
  return new FeatureExtractor({ preprocessing, ...opened }, platform, session);
}

/** The maps of one image, in memory of their own. */
function rowOf(maps: readonly FeatureMap[], row: number): readonly FeatureMap[] {
  return maps.map(({ layer, values: { shape, data } }) => {
    const size = data.length / shape[0]!;
    const values = { type: "float32", shape: [1, ...shape.slice(1)], data: data.slice(row * size, (row + 1) * size) };
    return { layer, values: values as FloatTensor };
  });
}

function assertRgb(network: Network): void {
  const shape = inputShapeOf(network);
  if (shape.length === 3 && shape[2] === 3) return;
  throw new UsageError({
    where: `network "${network.name}"`,
    what: "it does not read RGB images",
    received: shape,
    expected: "3 channels",
  });
}

function assertBatchSize(batchSize: number): void {
  if (Number.isInteger(batchSize) && batchSize >= 1) return;
  throw new UsageError({
    where: "features option batchSize",
    what: "this value is not allowed",
    received: batchSize,
    expected: "a whole number from 1",
  });
}
