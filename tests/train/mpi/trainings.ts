import type { Engine, Platform } from "../../../src/base/platform.ts";
import type { LayerHealth } from "../../../src/base/records.ts";
import type { ImageDataset } from "../../../src/data/dataset.ts";
import { createOptimizer } from "../../../src/learning/optimizers.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import type { TrainingRequest, TrainingResult } from "../../../src/train/request.ts";
import { coloredImages, smallNetwork } from "../train-fixtures.ts";

/** 29 images: three steps of two ranks with four each, and five images left over. */
export const sharedTraining = {
  dataset: coloredImages(29, 1),
  validation: coloredImages(11, 2),
  options: {
    platform: nodePlatform,
    network: smallNetwork(),
    epochs: 2,
    seed: 4,
    learningRate: 0.05,
    optimizer: createOptimizer("sgd", { momentum: 0.9 }),
    threads: 1,
  },
} as const;

export const inferenceNorm = () => "inference" as const;

/** The classifier first, on features of images as they are and of one change of each. */
export const headFirst = { headEpochs: 4, headViews: 2, headRate: 0.02 } as const;

/** Norms of gradients and weights, and their ratio, of the layers in the steps that told of them; `onProgress` gathers. */
export function gatheredHealth() {
  const layers: LayerHealth[] = [];
  const onProgress: TrainingRequest["onProgress"] = ({ health }) => void layers.push(...(health?.layers ?? []));
  return { layers, options: { healthSteps: 1, onProgress } };
}

/** What is compared between ranks and trainings. */
export interface Outcome {
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly history: readonly (readonly (number | undefined)[])[];
  readonly predictions: readonly (readonly [string, number])[];
  readonly skipped: readonly string[];
  readonly validationSkipped: readonly string[];
  readonly steps: number;
  readonly aborted: boolean;
}

export function outcomeOf(result: TrainingResult): Outcome {
  const { weights, history, predictions = [], skipped, validationSkipped, steps, aborted } = result;
  return {
    weights: Object.fromEntries([...weights].map(([name, { data }]) => [name, [...data]])),
    history: history.map(({ loss, accuracy, validationLoss, validationAccuracy }) => {
      return [loss, accuracy, validationLoss, validationAccuracy];
    }),
    predictions: predictions.map(({ file, probability }) => [file, probability] as const),
    skipped: skipped.map(({ file }) => file),
    validationSkipped: validationSkipped.map(({ file }) => file),
    steps,
    aborted,
  };
}

/** The data set with one image whose bytes are no image. */
export function withDamage(dataset: ImageDataset, damaged: number): ImageDataset {
  const samples = dataset.samples.map((sample, index) => {
    return index === damaged ? { ...sample, image: Uint8Array.of(1, 2, 3) } : sample;
  });
  return { ...dataset, samples };
}

/** A platform whose user stops the training when so many weights have been compiled into sessions and run. */
export function stoppingPlatform(runs: number): { readonly platform: Platform; readonly signal: AbortSignal } {
  const controller = new AbortController();
  let count = 0;
  const createSession: Engine["createSession"] = async (model, options) => {
    const session = await nodePlatform.engine.createSession(model, options);
    return {
      run: (feeds) => {
        if (++count === runs) controller.abort();
        return session.run(feeds);
      },
      endProfiling: () => session.endProfiling(),
      dispose: () => session.dispose(),
    };
  };
  return {
    platform: { ...nodePlatform, engine: { ...nodePlatform.engine, createSession } },
    signal: controller.signal,
  };
}
