import { type BatchSource, notEnoughImages } from "../../data/batches.ts";
import { classesOf, type ImageDataset, isMultiLabel, relabel } from "../../data/dataset.ts";
import { type Network, outputActivation } from "../../graph/network.ts";
import { assertOption, wholeNumber } from "../../kinds.ts";
import { EvaluationTally, type TallyOptions } from "../../learning/metrics.ts";
import { MultiLabelTally } from "../../learning/metrics-multi-label.ts";
import { rankOf, topIndices } from "../../learning/metrics-ranking.ts";
import type { Communicator, Platform, SessionOptions } from "../../platform.ts";
import type { Evaluation, Prediction, SkippedFile } from "../../records.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import type { Model } from "../model/model.ts";
import { loadPredictor } from "../model/predictor.ts";
import { alone, skippedByRanks } from "../ranks/ranks.ts";
import { type Answer, type Answers, answersOf } from "../ranks/shared-answers.ts";

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
  const { platform, batchSize = 16, session, top, signal } = options;
  for (const k of top ?? []) {
    assertOption("evaluate option top", k, {
      ...wholeNumber({ from: 1, to: model.labels.length }),
      expected: `whole numbers from 1 to ${model.labels.length}, the number of classes`,
    });
  }
  const matched = relabel(dataset, model.labels, "the model");
  const skipped: SkippedFile[] = [];
  const predictor = await loadPredictor(model, platform, session);
  async function* answers(): AsyncGenerator<Answers, void, void> {
    const images = matched.samples.map(({ image }) => image);
    for await (const { indices, outputs, errors } of predictor.predictBatches(images, { batchSize, signal })) {
      for (const { index, error } of errors) {
        skipped.push({ file: matched.samples[index]!.name, reason: error.message });
      }
      if (indices.length > 0) yield { probabilities: outputs[model.network.output] as FloatTensor, indices };
    }
  }
  try {
    const tested = await scoreAnswers(answers(), matched, { ...options, temperature: isSoftmax(model.network) });
    if (tested.predictions.length === 0) throw notEnoughImages(skipped, 0, 1);
    return { ...tested, evaluation: tested.evaluation(), skipped };
  } finally {
    await predictor.dispose();
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
  { communicator = alone, ...control }: EvaluationControl & BetweenRanks = {},
): Promise<EvaluationResult> {
  const { signal } = control;
  const tested = await scoreAnswers(answersOf(answer, source, { communicator, signal }), dataset, control);
  if (tested.predictions.length === 0) source.assertEnough(0, 1);
  const skipped = skippedByRanks(communicator, dataset, source.skipped);
  return { ...tested, evaluation: tested.evaluation(), skipped };
}

/** Where several processes share the images of `source`. */
interface BetweenRanks {
  readonly communicator?: Communicator | undefined;
}

/** Compares the answers of a network with the labels; `evaluation` scores them, if there are any. */
async function scoreAnswers(
  answers: AsyncIterable<Answers>,
  dataset: ImageDataset,
  { onProgress, mapWeights, ...tallied }: EvaluationControl,
) {
  const { classes, samples } = dataset;
  const several = isMultiLabel(dataset) ? new MultiLabelTally(classes, mapWeights, tallied) : undefined;
  const single = new EvaluationTally(classes, tallied);
  const predictions = new Map<number, Prediction>();
  for await (const { probabilities, indices } of answers) {
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
  return {
    predictions: samples.flatMap((_, index) => predictions.get(index) ?? []),
    evaluation: () => (several ?? single).evaluation(),
  };
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
