import type { Source } from "../../src/base/platform.ts";
import type { Network } from "../../src/graph/network.ts";
import type { Classifier } from "../../src/tasks/evaluate/classifier.ts";
import type { Explainer } from "../../src/tasks/explain/explainer.ts";
import type { FeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { Observable } from "./dom.ts";
import { verbs } from "./library.ts";
import { texts } from "./texts.ts";

/** A model in use: what classifies is loaded at once, what explains and extracts features when it is needed. */
export class PageModel {
  readonly title: string;
  readonly source: Source;
  readonly classifier: Classifier;
  /** Predictions below this probability are shown as unknown; 0: none. */
  unknownBelow: number;
  #explainer: Promise<Explainer> | undefined;
  #extractor: Promise<FeatureExtractor> | undefined;

  constructor(title: string, source: Source, classifier: Classifier, unknownBelow = 0) {
    this.title = title;
    this.source = source;
    this.classifier = classifier;
    this.unknownBelow = unknownBelow;
  }

  explainer(): Promise<Explainer> {
    this.#explainer ??= verbs.loadExplainer(this.source, {});
    return this.#explainer;
  }

  extractor(): Promise<FeatureExtractor> {
    this.#extractor ??= verbs.loadFeatureExtractor(this.source, {});
    return this.#extractor;
  }

  /** The network as plain data. */
  async network(): Promise<Network> {
    return (await this.extractor()).network;
  }

  async dispose(): Promise<void> {
    // What could not be loaded was reported when it was needed.
    const loaded = await Promise.allSettled([this.classifier, this.#explainer, this.#extractor]);
    await Promise.all(loaded.map((each) => each.status === "fulfilled" && each.value?.dispose()));
  }
}

/** The model in use; undefined until the first one is loaded. */
export const currentModel = new Observable<PageModel>();
/** Title of the model that is being loaded. */
export const loadingModel = new Observable<string>();

let lastRequest = 0;

/** Loads a model and puts it in the place of the current one; if several are loading, the one asked for last stays. */
export async function useModel(title: string, source: Source, unknownBelow = 0): Promise<void> {
  lastRequest += 1;
  const request = lastRequest;
  loadingModel.value = title;
  try {
    const classifier = await verbs.loadClassifier(source, {});
    if (request !== lastRequest) return await classifier.dispose();
    const before = currentModel.value;
    currentModel.value = new PageModel(title, source, classifier, unknownBelow);
    await before?.dispose();
  } finally {
    if (request === lastRequest) loadingModel.value = undefined;
  }
}

let emoji: Promise<void> | undefined;

/** Loads the emoji model, unless it or another model is in use. */
export function useAnyModel(): Promise<void> {
  if (currentModel.value) return Promise.resolve();
  emoji ??= useEmoji();
  return emoji;
}

/** Loads the emoji model. */
export function useEmoji(): Promise<void> {
  return useModel(texts.model.emoji, new URL("./emoji.onnx", document.baseURI));
}
