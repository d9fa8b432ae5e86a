import * as z from "zod";
import { checkDocument } from "../base/document.ts";
import { TrainingError } from "../base/errors.ts";
import type { EpochRecord } from "../base/records.ts";
import { decodeFloats } from "../formats/number-formats.ts";
import type { Json } from "../model/model.ts";
import type { EvaluationResult } from "../tasks/evaluate/evaluate.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import type { BestWeights, Checkpoint } from "./checkpoint.ts";
import { decodeSealed, encodeSealed } from "./sealed-tensors.ts";

const formats = { checkpoint: "xception-ts checkpoint", best: "xception-ts best weights" } as const;

/** A checkpoint as read from a file; the best weights, which change less often, are in another one. */
export interface StoredCheckpoint {
  readonly checkpoint: Omit<Checkpoint, "best">;
  /** The epoch of the best weights; undefined if there are none. */
  readonly bestEpoch: number | undefined;
  /** The writer's own data. */
  readonly extra: Json;
}

/**
 * Encodes a checkpoint as a `.safetensors` file: the tensors of the training state by name, everything else as one JSON
 * document in the header, and a checksum of the whole file.
 * @param extra the writer's own data.
 */
export function encodeCheckpoint(checkpoint: Checkpoint, extra: Json = null): Promise<Uint8Array> {
  const { best, state, ...rest } = checkpoint;
  const document = {
    ...rest,
    formatVersion: checkpointVersion,
    steps: state.steps,
    bestEpoch: best?.epoch ?? null,
    extra,
  };
  return encodeSealed(formats.checkpoint, document, state.tensors);
}

/**
 * Decodes a file written by {@link encodeCheckpoint}.
 * @param where the file's name in errors.
 * @throws {FormatError} the bytes are not a checkpoint, damaged or truncated.
 * @throws {TrainingError} a later version of this package wrote it.
 */
export async function decodeCheckpoint(bytes: Uint8Array, where: string): Promise<StoredCheckpoint> {
  const { json, tensors } = await decode(formats.checkpoint, bytes, where);
  const { steps, bestEpoch, extra, formatVersion: _, ...rest } = checkDocument(checkpointSchema, json, where);
  return { checkpoint: { ...rest, state: { tensors, steps } }, bestEpoch: bestEpoch ?? undefined, extra };
}

/** Encodes the best weights and their evaluation as a `.safetensors` file. */
export function encodeBest({ weights, ...rest }: BestWeights): Promise<Uint8Array> {
  return encodeSealed(formats.best, { formatVersion: checkpointVersion, ...rest }, weights);
}

/** Decodes a file written by {@link encodeBest}. @throws as {@link decodeCheckpoint}. */
export async function decodeBest(bytes: Uint8Array, where: string): Promise<BestWeights> {
  const { json, tensors } = await decode(formats.best, bytes, where);
  const { formatVersion: _, ...rest } = checkDocument(bestSchema, json, where);
  return { ...rest, weights: tensors };
}

async function decode(
  format: string,
  bytes: Uint8Array,
  where: string,
): Promise<{ json: unknown; tensors: ReadonlyMap<string, FloatTensor> }> {
  const file = await decodeSealed(format, bytes, where);
  const version = z.object({ formatVersion: z.number() }).safeParse(file.json).data?.formatVersion;
  if (version !== undefined && version > checkpointVersion) {
    throw new TrainingError({
      where,
      what: "a later version of xception-ts wrote this checkpoint",
      received: `format ${version}`,
      expected: `format ${checkpointVersion}`,
      remedy: "Update xception-ts.",
    });
  }
  const tensors = [...file.tensors].map(([name, tensor]) => [name, decodeFloats(tensor)] as const);
  return { json: file.json, tensors: new Map(tensors) };
}

/** Version of the files that this package writes. */
export const checkpointVersion = 1;

const count = z.int().min(0);
const seconds = z.number().min(0);
const skippedFiles = z.array(z.object({ file: z.string(), reason: z.string() }));

const epochRecord = z.looseObject({ epoch: count, loss: z.number(), seconds });
const evaluationResult = z.looseObject({
  evaluation: z.looseObject({ images: count, top1: z.number(), loss: z.number() }),
  predictions: z.array(z.looseObject({ file: z.string() })),
  skipped: skippedFiles,
});

/** Data of the package itself: the checksum vouches for fields the schema does not name, and their order is kept. */
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
const checkpointSchema = z.object({
  formatVersion: z.literal(checkpointVersion),
  identity: z.record(z.string(), z.json()),
  phase: z.enum(["head", "network"]).default("network"),
  isOver: z.boolean(),
  epoch: epochState,
  activations: z.record(z.string(), z.object({ scale: z.number(), zeroPoint: count })).optional(),
  steps: count,
  history: z.array(asWritten<EpochRecord>(epochRecord)),
  bestEpoch: count.nullable(),
  skipped: skippedFiles,
  validationSkipped: skippedFiles,
  extra: z.json(),
});

/** The JSON document of the best weights. */
const bestSchema = z.object({
  formatVersion: z.literal(checkpointVersion),
  epoch: count,
  steps: count,
  test: asWritten<EvaluationResult>(evaluationResult),
});
