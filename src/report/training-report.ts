import * as z from "zod";
import { checkDocument } from "../base/document.ts";
import { parseJson } from "../base/json.ts";
import type {
  EpochRecord,
  EvaluatedImages,
  Evaluation,
  HealthRecord,
  Prediction,
  SkippedFile,
  StepRecord,
} from "../base/records.ts";
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

const number = z.number();
const count = z.int().min(0);
const text = z.string();
const facts = z.array(z.object({ name: text, value: text }));
const scores = { precision: number, recall: number, f1: number };
const costs = z.object({ weights: number, multiplications: number });

const epoch = z.object({
  ...{ epoch: count, loss: number, accuracy: number, learningRate: number, imagesPerSecond: number, seconds: number },
  ...z.object({ validationLoss: number, validationAccuracy: number, validationPrecision: number }).partial().shape,
});

const temperature = z.object({ temperature: number, loss: number, expectedCalibrationError: number });
const bin = z.object({ from: number, to: number, images: count, confidence: number, accuracy: number });
const calibration = { expectedCalibrationError: number, bins: z.array(bin), temperature: temperature.optional() };
const evaluation = z.object({
  ...{ images: count, top1: number, top5: number, loss: number },
  top1Interval: z.object({ low: number, high: number }).optional(),
  topK: z.array(z.object({ k: count, accuracy: number })).optional(),
  meanAveragePrecision: number.optional(),
  averages: z.object({ macro: z.object(scores), micro: z.object(scores), weighted: z.object(scores) }),
  calibration: z.object(calibration).optional(),
  perClass: z.array(z.object({ label: text, ...scores, averagePrecision: number.optional(), support: count })),
  confusion: z.array(z.array(count)),
});

const png = z.base64().transform(bytesOfBase64);
const galleryItem = z.object({
  ...{ file: text, truth: text, predicted: text, probability: number, truthProbability: number, truthRank: count },
  ...{ png, evidence: png.optional() },
});

const blockHealth = z.object({
  block: text,
  ...z
    .object({
      ...{ gradientNorm: number, weightNorm: number, updateRatio: number },
      activation: z.object({ mean: number, deviation: number, zeroShare: number }),
    })
    .partial().shape,
});

const layerCost = z.object({
  ...costs.shape,
  ...{ name: text, type: z.enum(["Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Dense"]) },
  ...{ kernelSize: z.array(count).optional(), inputChannels: count, outputShape: z.array(count) },
  comparison: z.object({ depthwise: costs, pointwise: costs, separable: costs, ordinary: costs }).optional(),
});

const parts = z.object({
  ...{ kind: text, summary: text, isStopped: z.boolean() },
  network: z.object({ parameters: count, full: z.object({ name: text, parameters: count }).optional() }),
  settings: facts,
  history: z.array(epoch),
  steps: z.array(z.object({ step: count, loss: number })),
  health: z.array(z.object({ step: count, blocks: z.array(blockHealth) })),
  ...{ validation: evaluation, test: evaluation, evaluation },
  gallery: z.object({
    images: z.enum(["validation", "test"]).optional(),
    epoch: count.optional(),
    wrong: z.array(galleryItem),
    right: z.array(galleryItem),
  }),
  cost: z.object({ name: text, layers: z.array(layerCost), total: costs, ordinaryTotal: costs }),
  skipped: z.array(z.object({ file: text, reason: text })),
  reproduction: z.object({ commands: z.array(text), facts: facts.optional() }),
  live: z.object({
    ...{ epoch: count, epochs: count, step: count, steps: count },
    ...{ loss: number, accuracy: number, secondsLeft: number, time: text, processes: count.optional() },
  }),
});
const reportSchema = z.object({ formatVersion: z.literal(formatVersion), title: text, ...parts.partial().shape });

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
  const document = checkDocument(reportSchema as unknown as z.ZodType<TrainingReport>, parseJson(text, where), where);
  const { formatVersion: _, ...report } = document as TrainingReport & { readonly formatVersion: number };
  return report;
}
