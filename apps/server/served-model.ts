import { availableParallelism } from "node:os";
import { AbortedError, FileError } from "../../src/base/errors.ts";
import type { ImageSource, Platform, RgbImage, SessionOptions } from "../../src/base/platform.ts";
import type { ModelStatistics } from "../../src/client/protocol.ts";
import { topIndices } from "../../src/learning/ranking.ts";
import type { LoadModelOptions } from "../../src/model/load-model.ts";
import { EngineStoppedError } from "../../src/runtime/node/threaded-engine.ts";
import { assertFiniteProbabilities, type Classifier, loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { type Explainer, loadExplainer } from "../../src/tasks/explain/explainer.ts";
import { type FeatureExtractor, loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { Batcher, type BatchRequest, type BatchResult, late, longestMs } from "./batcher.ts";
import { RefusedError, statusOf } from "./exchange.ts";
import type { Metrics } from "./metrics.ts";
import { modelMetrics } from "./model-metrics.ts";
import type { BatchSettings, ServeSettings } from "./settings.ts";
import { InferenceStatistics } from "./statistics.ts";

/** Options of a request's run. */
export type RunRequest = Pick<BatchRequest<RgbImage>, "timeoutMicroseconds" | "priority" | "signal">;

/** A model's file, and the name and version under which it is served. */
export interface ModelFile {
  readonly name: string;
  readonly version: string;
  /** Path or URL. */
  readonly source: string;
}

/** Context that all models of a server share. */
export interface ModelContext {
  /** Its engine must not block the thread. */
  readonly platform: Platform;
  readonly options: LoadModelOptions;
  readonly session: SessionOptions;
  readonly settings: ServeSettings;
  readonly metrics: Metrics;
}

/** One version of a model in the engine, warmed up, with its queue. */
export class ServedModel {
  readonly file: ModelFile;
  readonly classifier: Classifier;
  /** Sizes of the batches that are formed from several requests. */
  readonly preferredBatchSize: readonly number[];
  readonly #instances: readonly Classifier[];
  readonly #metrics: ReturnType<typeof modelMetrics>;
  readonly #statistics = new InferenceStatistics();
  readonly #batcher: Batcher<RgbImage, Float32Array>;
  /** Other work on one image: it runs alone, but with the same limits. */
  readonly #singles: Batcher<() => Promise<unknown>, unknown>;
  readonly #context: ModelContext;
  /** Ends the other work that is running. */
  readonly #stop = new AbortController();
  #extractor: Promise<FeatureExtractor> | undefined;
  #explainer: Promise<Explainer> | undefined;

  private constructor(
    file: ModelFile,
    instances: readonly [Classifier, ...Classifier[]],
    preferredBatchSize: readonly number[],
    context: ModelContext,
    onLost: (model: ServedModel) => void,
  ) {
    const { settings, metrics } = context;
    const { name: model, version } = file;
    const [classifier] = instances;
    const { labels: classes, provenance } = classifier;
    const idle = [...instances];
    this.file = file;
    this.#instances = instances;
    this.#context = context;
    this.#singles = new Batcher(async ([work]) => [await work!()], { ...settings, maxBatchSize: 1 });
    this.classifier = classifier;
    this.preferredBatchSize = preferredBatchSize;
    this.#metrics = modelMetrics(metrics, { model, version }, { classes, provenance });
    this.#batcher = new Batcher(
      async (images) => {
        const instance = idle.pop()!;
        try {
          return await instance.probabilities(images);
        } catch (error) {
          if (!(error instanceof EngineStoppedError)) throw error;
          onLost(this);
          throw engineLost(model, error);
        } finally {
          idle.push(instance);
        }
      },
      { ...settings, preferredBatchSize },
      (images, computeMs) => {
        this.#metrics.ran();
        this.#statistics.ran(images, computeMs);
      },
    );
  }

  /**
   * Loads a model and runs it, so that the first request is as fast as later ones. Unless the settings name preferred batch sizes,
   * it measures which one to use.
   * @param onLost called when its engine has stopped, and it must be loaded again.
   * @throws as {@link Verbs.loadClassifier}.
   */
  static async load(
    file: ModelFile,
    context: ModelContext,
    onLost: (model: ServedModel) => void,
  ): Promise<ServedModel> {
    const { maxBatchSize, preferredBatchSize } = context.settings;
    const classifier = await loadInstance(file, context);
    const instances: [Classifier, ...Classifier[]] = [classifier];
    try {
      while (instances.length < context.settings.instanceCount) instances.push(await loadInstance(file, context));
      const { width, height } = classifier.inputSize;
      const image = await classifier.prepare({ width, height, data: new Uint8Array(3 * width * height).fill(127) });
      for (const instance of instances) {
        for (const probabilities of await instance.probabilities([image])) assertFiniteProbabilities(probabilities);
      }
      const sizes =
        preferredBatchSize.length > 0 ? preferredBatchSize : [await fasterSize(classifier, image, maxBatchSize)];
      return new ServedModel(file, instances, sizes, context, onLost);
    } catch (error) {
      await Promise.all(instances.map((instance) => instance.dispose()));
      throw error;
    }
  }

  /** Requests that wait for the engine. */
  get pending(): number {
    return this.#batcher.pending;
  }

  /** Batching of its requests. */
  get settings(): BatchSettings {
    return { ...this.#context.settings, preferredBatchSize: this.preferredBatchSize };
  }

  /** Statistics since it was loaded. */
  statistics(): ModelStatistics {
    return this.#statistics.report(this.file.name, this.file.version);
  }

  /** Sets the gauges before a scrape. */
  collect(): void {
    this.#metrics.collect(this.pending);
  }

  /**
   * Computes the probabilities of images, in one batch and maybe together with other requests: N images → N times `[classes]`.
   * @throws {RefusedError} the queue is full (429), the images are too many (400), or the time is up (504).
   * @throws {FormatError} an image is damaged, or of no supported format.
   * @throws {AbortedError} the signal fired.
   * @throws {WeightsError} a probability is NaN or infinite.
   */
  async run(images: readonly ImageSource[], request: RunRequest): Promise<BatchResult<Float32Array>> {
    const startMs = performance.now();
    try {
      const prepare = () => Promise.all(images.map((image) => this.classifier.prepare(image)));
      const result = await this.#batcher.add({ ...request, count: images.length, prepare });
      for (const probabilities of result.results) {
        assertFiniteProbabilities(probabilities);
        const [top] = topIndices(probabilities, 1);
        this.#metrics.predicted(top!, probabilities[top!]!);
      }
      const requestMs = performance.now() - startMs;
      this.#metrics.succeeded(result, requestMs);
      this.#statistics.succeeded(result, requestMs);
      return result;
    } catch (error) {
      this.#metrics.failed(reasonOf(error));
      this.#statistics.failed(performance.now() - startMs);
      throw error;
    }
  }

  /**
   * Runs work on one image when its turn has come.
   * @param work gets a signal that fires when the client is gone, the request's time is up or the server's grace is over: it may take
   *   minutes.
   * @throws as {@link run}, and what the work throws.
   */
  async alone<T>(work: (signal: AbortSignal) => Promise<T>, request: RunRequest): Promise<T> {
    const { timeoutMicroseconds = this.#context.settings.defaultTimeoutMicroseconds, signal } = request;
    const timeUp = AbortSignal.timeout(Math.min(Math.ceil(timeoutMicroseconds / 1000), longestMs));
    const limited = AbortSignal.any([timeUp, this.#stop.signal, ...(signal ? [signal] : [])]);
    const prepare = async () => [() => work(limited)];
    try {
      const { results } = await this.#singles.add({ ...request, count: 1, prepare });
      return results[0] as T;
    } catch (error) {
      if (error instanceof AbortedError && !signal?.aborted) {
        throw timeUp.aborted ? late(timeoutMicroseconds) : shuttingDown();
      }
      if (!(error instanceof EngineStoppedError)) throw error;
      await this.#disposeTools();
      throw engineLost(this.file.name, error);
    }
  }

  /** The model's feature extractor, loaded when first needed. */
  extractor(): Promise<FeatureExtractor> {
    const { platform, session, options } = this.#context;
    const { labels: _, ...others } = options;
    this.#extractor ??= loadFeatureExtractor(this.file.source, { ...others, platform, session }).catch((error) => {
      this.#extractor = undefined;
      throw unreadable(this.file.name, error);
    });
    return this.#extractor;
  }

  /** The model's explainer, loaded when first needed. */
  explainer(): Promise<Explainer> {
    const { platform, session, options } = this.#context;
    this.#explainer ??= loadExplainer(this.file.source, { ...options, platform, session }).catch((error) => {
      this.#explainer = undefined;
      throw unreadable(this.file.name, error);
    });
    return this.#explainer;
  }

  /** Refuses what is not running, and ends what may run for long. */
  refuseAll(): void {
    this.#stop.abort();
    for (const each of [this.#batcher, this.#singles]) each.refuseAll(shuttingDown());
  }

  /** Frees the engine's memory once every accepted request is answered. */
  async retire(): Promise<void> {
    await Promise.all([this.#batcher.idle(), this.#singles.idle()]);
    await Promise.all([...this.#instances.map((instance) => instance.dispose()), this.#disposeTools()]);
  }

  /** Frees the extractor and the explainer, which are loaded again when they are needed. */
  async #disposeTools(): Promise<void> {
    const tools = [this.#extractor, this.#explainer];
    this.#extractor = undefined;
    this.#explainer = undefined;
    await Promise.all(tools.map(async (loaded) => (await loaded)?.dispose()));
  }
}

/** Several instances divide the cores among them. */
function loadInstance({ source }: ModelFile, { options, session, platform, settings }: ModelContext) {
  const { instanceCount } = settings;
  const { threads = availableParallelism() } = session;
  const share =
    instanceCount === 1 ? session : { ...session, threads: Math.max(1, Math.floor(threads / instanceCount)) };
  return loadClassifier(source, { ...options, platform, session: share });
}

/** Measures whether an image costs less in a batch of the largest size: returns that size, or 1. */
async function fasterSize(classifier: Classifier, image: RgbImage, largest: number): Promise<number> {
  if (largest === 1) return 1;
  const msPerImage = async (size: number, runs: number) => {
    const batch = new Array<RgbImage>(size).fill(image);
    const startMs = performance.now();
    for (let run = 0; run < runs; run++) await classifier.probabilities(batch);
    return (performance.now() - startMs) / (size * runs);
  };
  // The first batch of a size also allocates its buffers.
  await msPerImage(largest, 1);
  const batched = await msPerImage(largest, 1);
  const alone = await msPerImage(1, Math.min(largest, 8));
  // A batch answers later than single images, so it has to bring something.
  return batched < 0.95 * alone ? largest : 1;
}

/** The error for requests after SIGTERM. */
export function shuttingDown(): RefusedError {
  return new RefusedError(503, { where: "server", what: "it is shutting down", remedy: "Ask another one." }, 1);
}

function engineLost(model: string, cause: Error): RefusedError {
  const what = "its engine stopped and is restarting";
  return new RefusedError(503, { where: `model "${model}"`, what, remedy: "Try again.", cause }, 1);
}

/** The error for work that needs the model's file again, which is gone; others stay as they are. */
function unreadable(model: string, error: Error): Error {
  if (!(error instanceof FileError)) return error;
  const what = "its file can no longer be read, which embeddings and explanations need";
  return new RefusedError(503, { where: `model "${model}"`, what, remedy: "Put it back.", cause: error });
}

function reasonOf(error: unknown) {
  if (error instanceof AbortedError) return "CANCELED";
  const status = statusOf(error);
  if (status === 429 || status === 503 || status === 504) return "REJECTED";
  return status === 500 ? "BACKEND" : "OTHER";
}
