/** The package for browsers: its verbs, which run in a worker, so that the page stays responsive. */

import type { Source } from "./base/platform.ts";
import type { LoadedModel, LoadModelOptions, LoadOptions } from "./model/load-model.ts";
import type { ModelParts } from "./model/model.ts";
import type { CachedModel, WebDownloadOptions } from "./runtime/web/downloads.ts";
import type { WebPlatformOptions } from "./runtime/web/platform.ts";
import { WorkerClient } from "./runtime/web/remote/client.ts";
import type { Classifier } from "./tasks/evaluate/classifier.ts";
import type { Explainer } from "./tasks/explain/explainer.ts";
import type { FeatureExtractor, LoadExtractorOptions } from "./tasks/features/feature-extractor.ts";
import type { Bound, Verbs } from "./verbs.ts";

export * from "./base/errors.ts";
export type * from "./index.ts";
export type { CachedModel, WebDownloadOptions, WebDownloadProgress } from "./runtime/web/downloads.ts";
export type { PageImage } from "./runtime/web/images.ts";
export { type WebPlatformOptions, webPlatform } from "./runtime/web/platform.ts";

/** Stops loading, or reports its progress. */
export type LoadHooks = Pick<WebDownloadOptions, "signal" | "onDownload">;

type Loaders = "loadClassifier" | "loadExplainer" | "loadFeatureExtractor" | "loadModel";

/**
 * Everything that can be done with images and models in a browser, as in Node. A source is a URL, relative to the page; a
 * `File`, a `Blob` or bytes. Images may also be elements of the page: `<img>`, `<video>`, `<canvas>`. Hooks, named `on…`, are
 * called on the page.
 */
export interface WebVerbs extends Omit<Verbs, Loaders | "saveModel" | "readFolder" | "quantize"> {
  /** Same as {@link Verbs.loadClassifier}. */
  loadClassifier(source: Source, options?: Bound<LoadOptions> & LoadHooks): Promise<Classifier>;
  /** Same as {@link Verbs.loadExplainer}. */
  loadExplainer(source: Source, options?: Bound<LoadOptions> & LoadHooks): Promise<Explainer>;
  /** Same as {@link Verbs.loadFeatureExtractor}. */
  loadFeatureExtractor(source: Source, options?: Bound<LoadExtractorOptions> & LoadHooks): Promise<FeatureExtractor>;
  /** Same as {@link Verbs.loadModel}. */
  loadModel(source: Source, options?: LoadModelOptions & LoadHooks): Promise<LoadedModel>;
  /**
   * Writes a model file, to be downloaded by the user or stored.
   * @throws as {@link Verbs.saveModel}.
   * @example
   * link.href = URL.createObjectURL(await saveModel(model));
   */
  saveModel(model: ModelParts): Promise<Blob>;
  /** Models in the browser's cache. */
  readonly models: {
    list(): Promise<readonly CachedModel[]>;
    /** Removes one, or all; returns whether there was one. */
    remove(address?: string): Promise<boolean>;
  };
  /** Ends the worker and frees all its memory; the next verb starts another one. */
  terminate(): void;
}

/** Options of {@link startWorker}. */
export interface WorkerOptions extends Omit<WebPlatformOptions, "signal" | "onDownload"> {
  /** Starts the worker, whose module is `xception-ts/web-worker`; default: the one beside this module. */
  readonly worker?: (() => Worker) | undefined;
}

/** Binds the verbs to a worker of its own, which starts with the first call. */
export function startWorker({ worker = defaultWorker, ...options }: WorkerOptions = {}): WebVerbs {
  const client = new WorkerClient(worker, () => ({ baseUrl: document.baseURI, ...options }));
  const verb =
    (name: string) =>
    (...args: readonly unknown[]) =>
      client.call(name, args) as Promise<never>;
  return {
    loadClassifier: verb("loadClassifier"),
    loadExplainer: verb("loadExplainer"),
    loadFeatureExtractor: verb("loadFeatureExtractor"),
    loadModel: verb("loadModel"),
    openModel: verb("openModel"),
    loadWeights: verb("loadWeights"),
    saveModel: verb("saveModel"),
    evaluate: verb("evaluate"),
    train: verb("train"),
    embed: verb("embed"),
    search: verb("search"),
    convert: verb("convert"),
    verify: verb("verify"),
    models: { list: verb("listModels"), remove: verb("removeModel") },
    terminate: () => client.terminate(),
  };
}

function defaultWorker(): Worker {
  return new Worker(new URL("./web-worker.js", import.meta.url), { type: "module", name: "xception-ts" });
}

export const {
  /** {@inheritDoc WebVerbs.loadClassifier} */
  loadClassifier,
  /** {@inheritDoc WebVerbs.loadExplainer} */
  loadExplainer,
  /** {@inheritDoc WebVerbs.loadFeatureExtractor} */
  loadFeatureExtractor,
  /** {@inheritDoc WebVerbs.loadModel} */
  loadModel,
  /** {@inheritDoc Verbs.openModel} */
  openModel,
  /** {@inheritDoc Verbs.loadWeights} */
  loadWeights,
  /** {@inheritDoc WebVerbs.saveModel} */
  saveModel,
  /** {@inheritDoc Verbs.evaluate} */
  evaluate,
  /** {@inheritDoc Verbs.train} */
  train,
  /** {@inheritDoc Verbs.embed} */
  embed,
  /** {@inheritDoc Verbs.search} */
  search,
  /** {@inheritDoc Verbs.convert} */
  convert,
  /** {@inheritDoc Verbs.verify} */
  verify,
  /** {@inheritDoc WebVerbs.models} */
  models,
} = startWorker();
