import { TrainingError } from "../base/errors.ts";
import type { Json } from "../base/json.ts";
import { anyJson, choice, literal, number, onOff, string, wholeNumber } from "../base/kinds.ts";
import type { EpochRecord } from "../base/records.ts";
import { check, fitting, list, nullable, object, optional, orElse, record, type Schema } from "../base/schema.ts";
import { decodeFloats } from "../formats/number-formats.ts";
import type { EvaluationResult } from "../tasks/evaluate/evaluate.ts";
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
  const { steps, bestEpoch, extra, formatVersion: _, ...rest } = fitting(checkpointSchema, json, where);
  return { checkpoint: { ...rest, state: { tensors, steps } }, bestEpoch: bestEpoch ?? undefined, extra };
}

/** Encodes the best weights and their evaluation as a `.safetensors` file. */
export function encodeBest({ weights, ...rest }: BestWeights): Promise<Uint8Array> {
  return encodeSealed(formats.best, { formatVersion: checkpointVersion, ...rest }, weights);
}

/** Decodes a file written by {@link encodeBest}. @throws as {@link decodeCheckpoint}. */
export async function decodeBest(bytes: Uint8Array, where: string): Promise<BestWeights> {
  const { json, tensors } = await decode(formats.best, bytes, where);
  const { formatVersion: _, ...rest } = fitting(bestSchema, json, where);
  return { ...rest, weights: tensors };
}

async function decode(format: string, bytes: Uint8Array, where: string) {
  const file = await decodeSealed(format, bytes, where);
  const version = check(object({ formatVersion: number() }), file.json).value?.formatVersion;
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

const count = wholeNumber({ from: 0 });
const seconds = number({ from: 0 });
const skippedFiles = list(object({ file: string, reason: string }));

const epochRecord = object({ epoch: count, loss: number(), seconds });
const evaluationResult = object({
  evaluation: object({ images: count, top1: number(), loss: number() }),
  predictions: list(object({ file: string })),
  skipped: skippedFiles,
});

/** Data of the package itself: the checksum vouches for fields the schema does not name, and their order is kept. */
function asWritten<T>(schema: Schema<unknown>): Schema<T> {
  const { expected } = schema;
  return { accept: (value) => (check(schema, value).problem ? undefined : (value as T)), expected };
}

const epochState = object({
  index: count,
  position: count,
  positions: optional(list(count)),
  stepsBefore: count,
  stepsPerEpoch: count,
  learningRate: number(),
  tally: object({ steps: count, loss: number(), images: count, right: count }),
  pace: object({ steps: count, secondsOfSteps: seconds, seconds }),
});

/** The JSON document of a checkpoint. */
const checkpointSchema = object({
  formatVersion: literal(checkpointVersion),
  identity: record(anyJson),
  phase: orElse(choice("head", "network"), "network"),
  isOver: onOff(),
  epoch: epochState,
  activations: optional(record(object({ scale: number(), zeroPoint: count }))),
  steps: count,
  history: list(asWritten<EpochRecord>(epochRecord)),
  bestEpoch: nullable(count),
  skipped: skippedFiles,
  validationSkipped: skippedFiles,
  extra: anyJson,
});

/** The JSON document of the best weights. */
const bestSchema = object({
  formatVersion: literal(checkpointVersion),
  epoch: count,
  steps: count,
  test: asWritten<EvaluationResult>(evaluationResult),
});
