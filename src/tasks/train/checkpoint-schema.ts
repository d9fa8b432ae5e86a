import { z } from "zod";
import type { EpochRecord } from "../../records.ts";
import type { EvaluationResult } from "../evaluate/evaluate.ts";

/** Of the files that this version writes. */
export const formatVersion = 1;

const count = z.int().min(0);
const seconds = z.number().min(0);
const skippedFiles = z.array(z.object({ file: z.string(), reason: z.string() }));

const epochRecord = z.looseObject({ epoch: count, loss: z.number(), seconds });
const evaluationResult = z.looseObject({
  evaluation: z.looseObject({ images: count, top1: z.number(), loss: z.number() }),
  predictions: z.array(z.looseObject({ file: z.string() })),
  skipped: skippedFiles,
});

/**
 * What the package itself has put together: the checksum vouches for what the schema does not name. The value stays as it is,
 * the order of its fields too, which files show that are written from it.
 */
function asWritten<T>(schema: z.ZodType): z.ZodType<T> {
  return z.custom<T>((value) => schema.safeParse(value).success);
}

const epochState = z.object({
  index: count,
  position: count,
  positions: z.array(count).optional(),
  stepsBefore: count,
  stepsPerEpoch: count,
  learningRate: z.number(),
  tally: z.object({ steps: count, loss: z.number(), images: count, right: count }),
  pace: z.object({ steps: count, secondsOfSteps: seconds, seconds }),
});

/** The JSON document of a checkpoint. */
export const checkpointSchema = z.object({
  formatVersion: z.literal(formatVersion),
  identity: z.record(z.string(), z.json()),
  phase: z.enum(["head", "network"]).default("network"),
  isOver: z.boolean(),
  epoch: epochState,
  steps: count,
  history: z.array(asWritten<EpochRecord>(epochRecord)),
  bestEpoch: count.nullable(),
  skipped: skippedFiles,
  validationSkipped: skippedFiles,
  extra: z.json(),
});

/** The JSON document of the best weights. */
export const bestSchema = z.object({
  formatVersion: z.literal(formatVersion),
  epoch: count,
  steps: count,
  test: asWritten<EvaluationResult>(evaluationResult),
});
