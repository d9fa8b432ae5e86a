import { parseJson } from "../base/json.ts";
import { choice, literal, number, onOff, string, wholeNumber } from "../base/kinds.ts";
import type {
  EpochRecord,
  EvaluatedImages,
  Evaluation,
  HealthRecord,
  Prediction,
  SkippedFile,
  StepRecord,
} from "../base/records.ts";
import { fitting, list, object, optional } from "../base/schema.ts";
import type { NetworkCost } from "../graph/cost.ts";
import type { Fact } from "./document.ts";
import { base64, bytesOfBase64 } from "./markup.ts";

/**
 * All data of a report on a training run; a section whose data are absent is left out. Nothing else enters the report:
 * the same data give the same bytes, so a date appears only if it is among the facts.
 */
export interface TrainingReport {
  /** Kind of report, above the title; default `Training report`. */
  readonly kind?: string;
  readonly title: string;
  /** One paragraph under the title. */
  readonly summary?: string;
  readonly network?: NetworkSize;
  /** Setup of the training run: recipe, data, seed, machine. */
  readonly settings?: readonly Fact[];
  readonly history?: readonly EpochRecord[];
  /** Losses of single steps, as many as a chart can show. */
  readonly steps?: readonly StepRecord[];
  /** Gradients and activations of the blocks at some steps. */
  readonly health?: readonly HealthRecord[];
  /** Evaluation on the images that chose the weights. */
  readonly validation?: Evaluation;
  /** Evaluation on images that were neither trained on nor chose anything. */
  readonly test?: Evaluation;
  /** Evaluation on images of which only the caller knows that. */
  readonly evaluation?: Evaluation;
  readonly gallery?: Gallery;
  readonly cost?: NetworkCost;
  readonly skipped?: readonly SkippedFile[];
  readonly reproduction?: Reproduction;
  /** True if the run was stopped before its end and can be resumed. */
  readonly isStopped?: boolean;
  /** Progress of a run that is still training; the page then reloads itself. */
  readonly live?: LiveStatus;
}

/** Progress of a training run at the time of the report. */
export interface LiveStatus {
  /** From 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done in this epoch, and how many it has. */
  readonly step: number;
  readonly steps: number;
  /** Means over this epoch's steps so far. */
  readonly loss: number;
  readonly accuracy: number;
  /** Seconds until the end of the run. */
  readonly secondsLeft: number;
  /** When the report was written, as shown. */
  readonly time: string;
  /** Number of ranks; default 1. */
  readonly processes?: number;
}

/** Size of the trained network, and of the full one that it is a smaller sibling of. */
export interface NetworkSize {
  readonly parameters: number;
  readonly full?: { readonly name: string; readonly parameters: number };
}

/** Evaluated images, in display order. */
export interface Gallery {
  /** Shown if known. */
  readonly images?: EvaluatedImages;
  /** The epoch of their evaluation; shown if known. */
  readonly epoch?: number;
  readonly wrong: readonly GalleryItem[];
  readonly right: readonly GalleryItem[];
}

export interface GalleryItem extends Prediction {
  /** The image as a PNG file. */
  readonly png: Uint8Array;
  /** The image under a heat map of the evidence of the predicted class, as a PNG file. */
  readonly evidence?: Uint8Array | undefined;
}

/** Steps to reproduce the result. */
export interface Reproduction {
  /** Command lines, shown as given. */
  readonly commands: readonly string[];
  /** Provenance of the result: versions, hashes, licenses, dates. */
  readonly facts?: readonly Fact[];
}

/** Version of the files written. */
const formatVersion = 1;

const value = number();
const maybe = optional(value);
const count = wholeNumber({ from: 0 });
const facts = list(object({ name: string, value: string }));
const scores = { precision: value, recall: value, f1: value };
const costFields = { weights: value, multiplications: value };
const costs = object(costFields);

const epoch = object({
  ...{ epoch: count, loss: value, accuracy: value, learningRate: value, imagesPerSecond: value, seconds: value },
  ...{ validationLoss: maybe, validationAccuracy: maybe, validationPrecision: maybe },
});

const temperature = object({ temperature: value, loss: value, expectedCalibrationError: value });
const bin = object({ from: value, to: value, images: count, confidence: value, accuracy: value });
const calibration = { expectedCalibrationError: value, bins: list(bin), temperature: optional(temperature) };
const evaluation = object({
  ...{ images: count, top1: value, top5: value, loss: value },
  top1Interval: optional(object({ low: value, high: value })),
  topK: optional(list(object({ k: count, accuracy: value }))),
  meanAveragePrecision: maybe,
  averages: object({ macro: object(scores), micro: object(scores), weighted: object(scores) }),
  calibration: optional(object(calibration)),
  perClass: list(object({ label: string, ...scores, averagePrecision: maybe, support: count })),
  confusion: list(list(count)),
});

const png = { accept: (text: unknown) => (isBase64(text) ? bytesOfBase64(text) : undefined), expected: "base64" };
const galleryItem = object({
  ...{ file: string, truth: string, predicted: string, probability: value, truthProbability: value, truthRank: count },
  ...{ png, evidence: optional(png) },
});

const blockHealth = object({
  ...{ block: string, gradientNorm: maybe, weightNorm: maybe, updateRatio: maybe },
  activation: optional(object({ mean: value, deviation: value, zeroShare: value })),
});

const layerCost = object({
  ...costFields,
  ...{ name: string, type: choice("Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Dense") },
  ...{ kernelSize: optional(list(count)), inputChannels: count, outputShape: list(count) },
  comparison: optional(object({ depthwise: costs, pointwise: costs, separable: costs, ordinary: costs })),
});

const gallery = object({
  images: optional(choice("validation", "test")),
  epoch: optional(count),
  wrong: list(galleryItem),
  right: list(galleryItem),
});
const live = object({
  ...{ epoch: count, epochs: count, step: count, steps: count },
  ...{ loss: value, accuracy: value, secondsLeft: value, time: string, processes: optional(count) },
});
const reportSchema = object({
  ...{ formatVersion: literal(formatVersion), title: string },
  ...{ kind: optional(string), summary: optional(string), isStopped: optional(onOff()) },
  network: optional(object({ parameters: count, full: optional(object({ name: string, parameters: count })) })),
  settings: optional(facts),
  history: optional(list(epoch)),
  steps: optional(list(object({ step: count, loss: value }))),
  health: optional(list(object({ step: count, blocks: list(blockHealth) }))),
  ...{ validation: optional(evaluation), test: optional(evaluation), evaluation: optional(evaluation) },
  gallery: optional(gallery),
  cost: optional(object({ name: string, layers: list(layerCost), total: costs, ordinaryTotal: costs })),
  skipped: optional(list(object({ file: string, reason: string }))),
  reproduction: optional(object({ commands: list(string), facts: optional(facts) })),
  live: optional(live),
});

function isBase64(text: unknown): text is string {
  return typeof text === "string" && text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

/** Encodes a report as `report.json`, with everything needed to render it again. */
export function encodeReport(report: TrainingReport): string {
  const document = { formatVersion, ...report };
  return `${JSON.stringify(document, (_, value: unknown) => (value instanceof Uint8Array ? base64(value) : value))}\n`;
}

/**
 * Decodes `report.json`.
 * @param where name of the text in errors.
 * @throws {FormatError} it is not a report of this version.
 */
export function decodeReport(text: string, where: string): TrainingReport {
  const { formatVersion: _, ...report } = fitting(reportSchema, parseJson(text, where), where);
  return report as TrainingReport;
}
