import { BatchSource } from "../../data/batches.ts";
import { classesOf, type ImageDataset, isMultiLabel, relabel } from "../../data/dataset.ts";
import { UsageError } from "../../errors.ts";
import { type Network, outputActivation } from "../../graph/network.ts";
import { EvaluationTally, type TallyOptions } from "../../learning/metrics.ts";
import { MultiLabelTally } from "../../learning/metrics-multi-label.ts";
import { rankOf, topIndices } from "../../learning/metrics-ranking.ts";
import type { Communicator, Platform, SessionOptions } from "../../platform.ts";
import type { Evaluation, Prediction, SkippedFile } from "../../records.ts";
import { ImagePreparation } from "../model/image-preparation.ts";
import { inferenceSession } from "../model/inference.ts";
import { type Model, sizedDecodeOptionsOf } from "../model/model.ts";
import { alone, skippedByRanks } from "../ranks/ranks.ts";
import { type Answer, answersOf } from "../ranks/shared-answers.ts";

/** The result of testing a network on the images of a data set. */
export interface EvaluationResult {
  readonly evaluation: Evaluation;
  /** One for each tested image, in the order of the data set. */
  readonly predictions: readonly Prediction[];
  /** Files that could not be read; they count nowhere. */
  readonly skipped: readonly SkippedFile[];
}

export interface EvaluationProgress {
  /** How many images have been tested. */
  readonly done: number;
  /** How many there are, those that will turn out to be unreadable included. */
  readonly total: number;
}

export interface EvaluationControl extends TallyOptions {
  /** Of images with several labels: how much each class counts in the mean average precision, in the order of the classes. */
  readonly mapWeights?: readonly number[] | undefined;
  /** Ends the evaluation with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each batch. */
  readonly onProgress?: ((progress: EvaluationProgress) => void) | undefined;
}

export interface EvaluateOptions extends Omit<EvaluationControl, "temperature"> {
  readonly platform: Platform;
  /** Default 16. */
  readonly batchSize?: number | undefined;
  readonly session?: SessionOptions | undefined;
}

/**
 * Tests a model on labeled images. The classes of the data set are matched with the model's labels by name. Where the
 * network ends in a softmax, the temperature that would suit its answers is told, too.
 * @throws {UsageError} a number of `top` is not a whole number from 1 to that of the classes.
 * @throws {DataError} the data set has other classes than the model, or no usable image.
 * @throws {TrainingError} the network's answers are not finite numbers.
 * @throws {AbortedError} the signal fired.
 * @example
 * const dataset = folderDataset(await platform.files.list("photos/test"));
 * const { evaluation } = await evaluate(model, dataset, { platform });
 */
export async function evaluate(
  model: Pick<Model, "network" | "weights" | "labels" | "preprocessing">,
  dataset: ImageDataset,
  options: EvaluateOptions,
): Promise<EvaluationResult> {
  const { platform, batchSize = 16, session, top } = options;
  for (const k of top ?? []) checkTop(k, model.labels.length);
  const matched = relabel(dataset, model.labels, "the model");
  // Each image is needed once.
  const preparation = new ImagePreparation(model, platform);
  const source = new BatchSource(matched, preparation.prepare, {
    batchSize,
    decode: sizedDecodeOptionsOf(model),
    cacheBytes: 0,
  });
  const inference = await inferenceSession(model.network, model.weights, model.preprocessing, platform.engine, session);
  try {
    return await evaluateBatches(({ images }) => inference.run(images), source, matched, {
      ...options,
      temperature: isSoftmax(model.network),
    });
  } finally {
    await Promise.all([inference.dispose(), preparation.dispose()]);
  }
}

/**
 * Tests a network that is in the engine already, on batches of a data set whose labels are the network's: what training
 * does after each epoch, with images that stay decoded in `source`.
 * @throws as {@link evaluate}.
 */
export async function evaluateBatches(
  answer: Answer,
  source: BatchSource,
  dataset: ImageDataset,
  { communicator = alone, signal, onProgress, mapWeights, ...tallied }: EvaluationControl & BetweenRanks = {},
): Promise<EvaluationResult> {
  const { classes, samples } = dataset;
  const several = isMultiLabel(dataset) ? new MultiLabelTally(classes, mapWeights, tallied) : undefined;
  const single = new EvaluationTally(classes, tallied);
  const predictions = new Map<number, Prediction>();
  for await (const { probabilities, indices } of answersOf(answer, source, { communicator, signal })) {
    const truths = indices.map((index) => classesOf(samples[index]!));
    if (several) several.add(probabilities, truths);
    else {
      single.add(
        probabilities,
        Int32Array.from(indices, (index) => samples[index]!.label),
      );
    }
    for (const [row, index] of indices.entries()) {
      const scores = probabilities.data.subarray(row * classes.length, (row + 1) * classes.length);
      const best = topIndices(scores, 1)[0]!;
      predictions.set(index, {
        file: samples[index]!.name,
        truth: truthOf(truths[row]!, best, classes),
        predicted: classes[best]!,
        probability: scores[best]!,
        ...placeOf(truths[row]!, scores),
      });
    }
    onProgress?.({ done: predictions.size, total: samples.length });
  }
  if (predictions.size === 0) source.assertEnough(0, 1);
  return {
    evaluation: (several ?? single).evaluation(),
    predictions: samples.flatMap((_, index) => predictions.get(index) ?? []),
    skipped: skippedByRanks(communicator, dataset, source.skipped),
  };
}

/** Where several processes share the images of `source`. */
interface BetweenRanks {
  readonly communicator?: Communicator | undefined;
}

/** The answer where it is right; of several labels, otherwise, all. */
function truthOf(truth: readonly number[], best: number, classes: readonly string[]): string {
  if (truth.includes(best)) return classes[best]!;
  return truth.map((label) => classes[label]!).join(", ");
}

/** Where the likeliest of an image's classes stands. */
function placeOf(truth: readonly number[], scores: Float32Array) {
  if (truth.length === 0) return { truthProbability: 0, truthRank: 0 };
  const likeliest = truth.reduce((a, b) => (rankOf(scores, a) <= rankOf(scores, b) ? a : b));
  return { truthProbability: scores[likeliest]!, truthRank: rankOf(scores, likeliest) + 1 };
}

/** Whether a temperature has a meaning for its answers. */
export function isSoftmax(network: Network): boolean {
  return outputActivation(network) === "softmax";
}

/** Among all classes the true one always is. */
function checkTop(k: number, classes: number): void {
  if (Number.isInteger(k) && k >= 1 && k <= classes) return;
  throw new UsageError({
    where: "evaluate option top",
    what: "this value is not allowed",
    received: k,
    expected: `whole numbers from 1 to ${classes}, the number of classes`,
  });
}
