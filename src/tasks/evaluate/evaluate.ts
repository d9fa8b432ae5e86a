import { AbortedError } from "../../base/errors.ts";
import { assertOption, wholeNumber } from "../../base/kinds.ts";
import type { Communicator, ImageCodec, ImageSource, OnPlatform } from "../../base/platform.ts";
import type { Evaluation, Prediction, SkippedFile } from "../../base/records.ts";
import { type Batch, type BatchSource, notEnoughImages } from "../../data/batches.ts";
import { classesOf, type ImageDataset, isMultiLabel, relabel } from "../../data/dataset.ts";
import { asImageError } from "../../data/image-loading.ts";
import { type Network, outputActivation } from "../../graph/network.ts";
import { EvaluationTally, type TallyOptions } from "../../learning/metrics.ts";
import { MultiLabelTally } from "../../learning/metrics-multi-label.ts";
import { rankOf, topIndices } from "../../learning/ranking.ts";
import type { ClassifierSession } from "../../model/load-model.ts";
import type { Model } from "../../model/model.ts";
import { loadPredictor, Predictor } from "../../model/predictor.ts";
import { selectGallery } from "../../report/evaluation.ts";
import type { Gallery, GalleryItem } from "../../report/training-report.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { alone, skippedByRanks } from "../../train/ranks/ranks.ts";

/** The result of evaluating a network on the images of a data set. */
export interface EvaluationResult {
  readonly evaluation: Evaluation;
  /** One prediction per evaluated image, in the order of the data set. */
  readonly predictions: readonly Prediction[];
  /** Images that could not be read, or on which the network failed; they are not counted. */
  readonly skipped: readonly SkippedFile[];
  /** Classes of the model that the data set lacks; only of {@link Verbs.evaluate}. */
  readonly absent?: readonly string[];
}

/** Progress of an evaluation. */
export interface EvaluationProgress {
  /** Number of images evaluated so far. */
  readonly done: number;
  /** Total number of images, including those that will turn out to be unreadable. */
  readonly total: number;
}

interface EvaluationControl extends TallyOptions {
  /** Weight of each class in the mean average precision of images with several labels, in the order of the classes. */
  readonly mapWeights?: readonly number[] | undefined;
  /** Ends the evaluation with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each batch. */
  readonly onProgress?: ((progress: EvaluationProgress) => void) | undefined;
}

/** Options of an evaluation. */
export interface EvaluateOptions extends Omit<EvaluationControl, "temperature">, OnPlatform {
  /** Default 16. */
  readonly batchSize?: number | undefined;
}

/** A classifier with its weights, or already in the engine; its session is disposed afterwards. */
export type EvaluatedModel = Pick<Model, "network" | "labels" | "preprocessing" | "quantization"> &
  (Pick<Model, "weights"> | Pick<ClassifierSession, "session">);

/**
 * Evaluates a model on labeled images.
 * @throws as {@link Verbs.evaluate}.
 */
export async function evaluate(
  model: EvaluatedModel,
  dataset: ImageDataset,
  options: EvaluateOptions,
): Promise<EvaluationResult> {
  for (const k of options.top ?? []) {
    assertOption("evaluate option top", k, {
      ...wholeNumber({ from: 1, to: model.labels.length }),
      expected: `whole numbers from 1 to ${model.labels.length}, the number of classes`,
    });
  }
  const matched = relabel(dataset, model.labels, "the model", { isPartial: true });
  const absent = model.labels.filter((label) => !dataset.classes.includes(label));
  return { ...(await evaluateMatched(model, matched, options)), absent };
}

/**
 * As {@link evaluate}, on a data set with the model's labels as its classes.
 * @throws as {@link evaluate}.
 */
export async function evaluateMatched(
  model: EvaluatedModel,
  dataset: ImageDataset,
  options: EvaluateOptions,
): Promise<EvaluationResult> {
  const { platform, batchSize = 16, session, signal } = options;
  const skipped: SkippedFile[] = [];
  const hasWeights = "weights" in model;
  const predictor = hasWeights
    ? await loadPredictor(model, platform, session)
    : new Predictor(model, platform, async () => model.session);
  // Loaded even if no image can be read, so that its session is disposed.
  await predictor.load();
  async function* answers(): AsyncGenerator<Answers, void, void> {
    const images = dataset.samples.map(({ image }) => image);
    for await (const { indices, outputs, errors } of predictor.predictBatches(images, { batchSize, signal })) {
      for (const { index, error } of errors) {
        skipped.push({ file: dataset.samples[index]!.name, reason: error.message });
      }
      if (indices.length > 0) yield { probabilities: outputs[model.network.output] as FloatTensor, indices };
    }
  }
  try {
    const tested = await scoreAnswers(answers(), dataset, {
      ...options,
      temperature: hasWeights && isSoftmax(model.network),
    });
    if (tested.predictions.length === 0) throw notEnoughImages(skipped, 0, 1);
    return { ...tested, evaluation: tested.evaluation(), skipped };
  } finally {
    await predictor.dispose();
  }
}

/**
 * Evaluates a network already loaded in the engine on batches of a data set with the network's labels: the validation
 * after each training epoch, with images kept decoded in `source`.
 * @throws as {@link evaluate}.
 */
export async function evaluateBatches(
  answer: Answer,
  source: BatchSource,
  dataset: ImageDataset,
  { communicator = alone, ...control }: EvaluationControl & { readonly communicator?: Communicator | undefined } = {},
): Promise<EvaluationResult> {
  const { signal } = control;
  const tested = await scoreAnswers(answersOf(answer, source, communicator, signal), dataset, control);
  if (tested.predictions.length === 0) source.assertEnough(0, 1);
  const skipped = skippedByRanks(communicator, dataset, source.skipped);
  return { ...tested, evaluation: tested.evaluation(), skipped };
}

/** Compares the predictions of a network with the labels; `evaluation` scores them, if there are any. */
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

/** The predicted label if it is correct, otherwise all true ones. */
function truthOf(truth: readonly number[], best: number, classes: readonly string[]): string {
  if (truth.includes(best)) return classes[best]!;
  return truth.map((label) => classes[label]!).join(", ");
}

/** Probability and rank of the most probable true class. */
function placeOf(truth: readonly number[], scores: Float32Array) {
  if (truth.length === 0) return { truthProbability: 0, truthRank: 0 };
  const top = truth.reduce((a, b) => (rankOf(scores, a) <= rankOf(scores, b) ? a : b));
  return { truthProbability: scores[top]!, truthRank: rankOf(scores, top) + 1 };
}

/** Returns whether a network ends in a softmax, so that a temperature can calibrate it. */
export function isSoftmax(network: Network): boolean {
  return outputActivation(network) === "softmax";
}

/** A network's predictions for some images of a data set. */
interface Answers {
  /** `[N, classes]`. */
  readonly probabilities: FloatTensor;
  /** `[N]`, indices into the data set's samples, below 2²⁴ if ranks share them. */
  readonly indices: readonly number[];
}

/** Returns a network's probabilities for a batch of images, `[N, classes]`. */
export type Answer = (batch: Batch) => Promise<FloatTensor>;

/**
 * Runs a network on a data set. If several ranks share it, each runs its part, and all get all predictions.
 * @throws {AbortedError} the signal fired; on all ranks if it fired on one.
 */
async function* answersOf(
  answer: Answer,
  source: BatchSource,
  communicator: Communicator,
  signal: AbortSignal | undefined,
): AsyncGenerator<Answers, void, void> {
  if (communicator.size === 1) {
    for await (const batch of source.evaluationBatches(signal && { signal })) {
      yield { probabilities: await answer(batch), indices: [...batch.indices] };
    }
    return;
  }
  const batches = source.evaluationBatches();
  for (let round = 0; round < source.evaluationBatchCount; round++) {
    const { value: batch } = await batches.next();
    const own = batch ? { probabilities: await answer(batch), indices: [...batch.indices] } : undefined;
    const shared = shareAnswers(own, source, communicator, signal?.aborted === true);
    if (shared === undefined) {
      throw new AbortedError({ where: "evaluation", what: "it was stopped by the caller", cause: signal?.reason });
    }
    yield shared;
  }
}

/**
 * Exchanges one batch of each rank; undefined if one of them wants to stop. The message is whether to stop, then a row per
 * image: its index + 1 and its prediction.
 */
function shareAnswers(
  own: Answers | undefined,
  { batchSize, classes }: Pick<BatchSource, "batchSize" | "classes">,
  communicator: Communicator,
  stop: boolean,
): Answers | undefined {
  const width = 1 + classes;
  const message = new Float32Array(1 + communicator.size * batchSize * width);
  if (stop) message[0] = 1;
  for (const [row, index] of own?.indices.entries() ?? []) {
    const start = 1 + (communicator.rank * batchSize + row) * width;
    message[start] = index + 1;
    message.set(own!.probabilities.data.subarray(row * classes, (row + 1) * classes), start + 1);
  }
  communicator.sum(message);
  if (message[0]! > 0) return undefined;
  const rows: Float32Array[] = [];
  for (let start = 1; start < message.length; start += width) {
    if (message[start]! > 0) rows.push(message.subarray(start, start + width));
  }
  const probabilities = floatTensor([rows.length, classes]);
  for (const [row, values] of rows.entries()) probabilities.data.set(values.subarray(1), row * classes);
  return { probabilities, indices: rows.map(([index]) => index! - 1) };
}

/** Number of images of either kind in a report, and their stored size in pixels. */
const gallerySize = { wrong: 12, right: 12 };
const thumbnailSize = 128;

/** Evaluated images for a report: the worst mistakes, and correct predictions of every class. */
export async function galleryOf(
  predictions: readonly Prediction[],
  { samples }: ImageDataset,
  codec: ImageCodec,
): Promise<Gallery> {
  const images = new Map(samples.map((sample) => [sample.name, sample.image]));
  const withImages = async (chosen: readonly Prediction[]): Promise<GalleryItem[]> => {
    const items = await Promise.all(
      chosen.map(async (prediction) => {
        const png = await thumbnail(images.get(prediction.file)!, codec);
        return png && { ...prediction, png };
      }),
    );
    return items.filter((item) => item !== undefined);
  };
  const { wrong, right } = selectGallery(predictions, gallerySize);
  return { wrong: await withImages(wrong), right: await withImages(right) };
}

/** Undefined if the file has disappeared since the evaluation, which should not fail the report. */
async function thumbnail(image: ImageSource, codec: ImageCodec): Promise<Uint8Array | undefined> {
  try {
    const size = { width: thumbnailSize, height: thumbnailSize, fit: "contain" } as const;
    return await codec.encodePng(await codec.decode(image, size));
  } catch (error) {
    asImageError(error);
    return undefined;
  }
}
