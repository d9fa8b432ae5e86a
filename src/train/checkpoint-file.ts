import { z } from "zod";
import { sha256 } from "../base/checksums.ts";
import { FormatError, TrainingError } from "../base/errors.ts";
import { checkDocument, parseJson } from "../base/json.ts";
import type { EpochRecord } from "../base/records.ts";
import { decodeFloats } from "../formats/number-formats.ts";
import { readSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import type { Json } from "../model/model.ts";
import type { EvaluationResult } from "../tasks/evaluate/evaluate.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import type { BestWeights, Checkpoint } from "./checkpoint.ts";

/** Keys of the texts in the header. */
const keys = { format: "format", document: "checkpoint", checksum: "sha256" } as const;
const formats = { checkpoint: "xception-ts checkpoint", best: "xception-ts best weights" } as const;
/** Stands for the checksum while it is computed. */
const blank = "0".repeat(64);

/** A checkpoint as it is in a file: the best weights, which change less often, have a file of their own. */
export interface StoredCheckpoint {
  readonly checkpoint: Omit<Checkpoint, "best">;
  /** The epoch of the best weights; undefined where there are none. */
  readonly bestEpoch: number | undefined;
  /** What else the writer wanted to be kept. */
  readonly extra: Json;
}

/**
 * A checkpoint as the bytes of a `.safetensors` file: the tensors of the training's state under their names, all else as one
 * JSON document in the header, with a checksum of the whole file.
 * @param extra kept along with it.
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
  return encode(formats.checkpoint, document, state.tensors);
}

/**
 * @param where what errors call the file.
 * @throws {FormatError} the bytes are no checkpoint, are damaged, or cut short.
 * @throws {TrainingError} a later version of this package wrote it.
 */
export async function decodeCheckpoint(bytes: Uint8Array, where: string): Promise<StoredCheckpoint> {
  const { json, tensors } = await decode(formats.checkpoint, bytes, where);
  const { steps, bestEpoch, extra, formatVersion: _, ...rest } = checkDocument(checkpointSchema, json, where);
  return { checkpoint: { ...rest, state: { tensors, steps } }, bestEpoch: bestEpoch ?? undefined, extra };
}

/** The best weights and their test as the bytes of a `.safetensors` file. */
export function encodeBest({ weights, ...rest }: BestWeights): Promise<Uint8Array> {
  return encode(formats.best, { formatVersion: checkpointVersion, ...rest }, weights);
}

/** @throws as {@link decodeCheckpoint}. */
export async function decodeBest(bytes: Uint8Array, where: string): Promise<BestWeights> {
  const { json, tensors } = await decode(formats.best, bytes, where);
  const { formatVersion: _, ...rest } = checkDocument(bestSchema, json, where);
  return { ...rest, weights: tensors };
}

async function encode(
  format: string,
  document: object,
  tensors: ReadonlyMap<string, FloatTensor>,
): Promise<Uint8Array> {
  const metadata = new Map([
    [keys.format, format],
    [keys.document, JSON.stringify(document)],
    [keys.checksum, blank],
  ]);
  const bytes = writeSafetensors(tensors, metadata);
  bytes.set(new TextEncoder().encode(await sha256(bytes)), checksumOffset(bytes));
  return bytes;
}

async function decode(
  format: string,
  bytes: Uint8Array,
  where: string,
): Promise<{ json: unknown; tensors: ReadonlyMap<string, FloatTensor> }> {
  const file = readSafetensors(bytes, where);
  const found = file.metadata.get(keys.format);
  if (found !== format) {
    throw new FormatError({ where, what: "this is another kind of file", received: found, expected: `"${format}"` });
  }
  await assertIntact(bytes, file.metadata.get(keys.checksum), where);
  const json = parseJson(file.metadata.get(keys.document) ?? "", where);
  const version = z.object({ formatVersion: z.number() }).safeParse(json).data?.formatVersion;
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
  return { json, tensors: new Map(tensors) };
}

/** The checksum is that of the file with zeros in the checksum's place. */
async function assertIntact(bytes: Uint8Array, stored: string | undefined, where: string): Promise<void> {
  const copy = bytes.slice();
  copy.set(new TextEncoder().encode(blank), checksumOffset(bytes));
  const expected = await sha256(copy);
  if (stored === expected) return;
  throw new FormatError({ where, what: "the file is damaged: its checksum is wrong", received: stored, expected });
}

/** Where the digits of the checksum begin. Texts inside the header have their quotes escaped, so only the key is found. */
function checksumOffset(bytes: Uint8Array): number {
  const key = `"${keys.checksum}":"`;
  const headerEnd = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  // One character for each byte, whatever the text's encoding.
  const header = new TextDecoder("latin1").decode(bytes.subarray(0, headerEnd));
  return header.indexOf(key) + key.length;
}

/** Of the files that this version writes. */
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
const checkpointSchema = z.object({
  formatVersion: z.literal(checkpointVersion),
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
const bestSchema = z.object({
  formatVersion: z.literal(checkpointVersion),
  epoch: count,
  steps: count,
  test: asWritten<EvaluationResult>(evaluationResult),
});
