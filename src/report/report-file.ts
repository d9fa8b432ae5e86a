import { z } from "zod";
import { checkDocument, parseJson } from "../json-document.ts";
import { base64, bytesOfBase64 } from "./data-url.ts";
import type { TrainingReport } from "./training-report.ts";

/** Of the files that this version writes. */
const formatVersion = 1;

const number = z.number();
const count = z.int().min(0);
const fact = z.object({ name: z.string(), value: z.string() });
const optional = {
  validationLoss: number.optional(),
  validationAccuracy: number.optional(),
  validationPrecision: number.optional(),
};
const epoch = z.object({
  ...{ epoch: count, loss: number, accuracy: number, ...optional },
  ...{ learningRate: number, imagesPerSecond: number, seconds: number },
});

const scores = { precision: number, recall: number, f1: number };
const averageScore = z.object(scores);
const evaluation = z.object({
  ...{ images: count, top1: number, top5: number, loss: number },
  topK: z.array(z.object({ k: count, accuracy: number })).optional(),
  meanAveragePrecision: number.optional(),
  averages: z.object({ macro: averageScore, micro: averageScore, weighted: averageScore }),
  calibration: z
    .object({
      expectedCalibrationError: number,
      bins: z.array(z.object({ from: number, to: number, images: count, confidence: number, accuracy: number })),
      temperature: z.object({ temperature: number, loss: number, expectedCalibrationError: number }).optional(),
    })
    .optional(),
  perClass: z.array(z.object({ label: z.string(), ...scores, averagePrecision: number.optional(), support: count })),
  confusion: z.array(z.array(count)),
});

const galleryItem = z.object({
  ...{ file: z.string(), truth: z.string(), predicted: z.string() },
  ...{ probability: number, truthProbability: number, truthRank: count },
  png: z.base64().transform(bytesOfBase64),
});

const blockHealth = z.object({
  block: z.string(),
  ...{ gradientNorm: number.optional(), weightNorm: number.optional(), updateRatio: number.optional() },
  activation: z.object({ mean: number, deviation: number, zeroShare: number }).optional(),
});

const cost = { weights: number, multiplications: number };
const costs = z.object(cost);
const networkCost = z.object({
  name: z.string(),
  layers: z.array(
    z.object({
      ...cost,
      name: z.string(),
      type: z.enum(["Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Dense"]),
      kernelSize: z.array(count).optional(),
      inputChannels: count,
      outputShape: z.array(count),
      comparison: z.object({ depthwise: costs, pointwise: costs, separable: costs, ordinary: costs }).optional(),
    }),
  ),
  total: costs,
  ordinaryTotal: costs,
});

const live = z.object({
  ...{ epoch: count, epochs: count, step: count, steps: count },
  ...{ loss: number, accuracy: number, secondsLeft: number, time: z.string() },
  processes: count.optional(),
});

const reportSchema = z.object({
  formatVersion: z.literal(formatVersion),
  kind: z.string().optional(),
  title: z.string(),
  summary: z.string().optional(),
  network: z
    .object({ parameters: count, full: z.object({ name: z.string(), parameters: count }).optional() })
    .optional(),
  settings: z.array(fact).optional(),
  history: z.array(epoch).optional(),
  steps: z.array(z.object({ step: count, loss: number })).optional(),
  health: z.array(z.object({ step: count, blocks: z.array(blockHealth) })).optional(),
  evaluation: evaluation.optional(),
  gallery: z.object({ epoch: count.optional(), wrong: z.array(galleryItem), right: z.array(galleryItem) }).optional(),
  cost: networkCost.optional(),
  skipped: z.array(z.object({ file: z.string(), reason: z.string() })).optional(),
  reproduction: z.object({ commands: z.array(z.string()), facts: z.array(fact).optional() }).optional(),
  isStopped: z.boolean().optional(),
  live: live.optional(),
});

/** The text of `report.json`: all that a report shows, to make it again. */
export function encodeReport(report: TrainingReport): string {
  const document = { formatVersion, ...report };
  return `${JSON.stringify(document, (_, value: unknown) => (value instanceof Uint8Array ? base64(value) : value))}\n`;
}

/**
 * @param where what errors call the text.
 * @throws {FormatError} it is no report of this version.
 */
export function decodeReport(text: string, where: string): TrainingReport {
  const document = checkDocument(reportSchema as unknown as z.ZodType<TrainingReport>, parseJson(text, where), where);
  const { formatVersion: _, ...report } = document as TrainingReport & { readonly formatVersion: number };
  return report;
}
