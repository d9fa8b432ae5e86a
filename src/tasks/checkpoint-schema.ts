import { z } from "zod";
import type { EpochRecord } from "../records.ts";
import type { EvaluationResult } from "./evaluate.ts";

/** Of the files that this version writes. */
export const formatVersion = 1;

const count = z.int().min(0);
const seconds = z.number().min(0);
const skippedFiles = z.array(z.object({ file: z.string(), reason: z.string() }));

/** What the package itself has put together: the checksum vouches for the rest of it, and for what later versions add. */
const epochRecord = z.looseObject({ epoch: count, loss: z.number(), seconds }) as unknown as z.ZodType<EpochRecord>;
const evaluationResult = z.looseObject({
  evaluation: z.looseObject({ images: count, top1: z.number(), loss: z.number() }),
  predictions: z.array(z.looseObject({ file: z.string() })),
  skipped: skippedFiles,
}) as unknown as z.ZodType<EvaluationResult>;

const epochState = z.object({
  index: count,
  position: count,
  stepsBefore: count,
  stepsPerEpoch: count,
  learningRate: z.number(),
  tally: z.object({ steps: count, loss: z.number(), pictures: count, right: count }),
  pace: z.object({ steps: count, secondsOfSteps: seconds, seconds }),
});

/** The JSON document of a checkpoint. */
export const checkpointSchema = z.object({
  formatVersion: z.literal(formatVersion),
  identity: z.record(z.string(), z.json()),
  epoch: epochState,
  steps: count,
  history: z.array(epochRecord),
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
  test: evaluationResult,
});
