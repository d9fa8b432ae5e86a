import { FileError, FormatError } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { anyJson, choice, matching, number, string, wholeNumber } from "../../base/kinds.ts";
import { type Described, fitting, list, nullish, object, record, selected } from "../../base/schema.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import type { StoredWeight } from "../map-weights.ts";
import { bytesPerNumber, decodeFloats, type NumberFormat } from "../number-formats.ts";

const half = object({ dtype: choice("float16") });
const affine = object({ dtype: choice("uint8", "uint16"), min: number(), scale: number() });
const quantizations = { uint8: affine, uint16: affine, float16: half };

const weightSchema = object({
  name: matching(/./s, "a name"),
  shape: list(wholeNumber({ from: 1 }), 0, 8),
  // Networks have no weights of the types `string` and `complex64`.
  dtype: choice("float32", "float16", "int32", "bool"),
  quantization: nullish(selected<Described<typeof half | typeof affine>>("dtype", quantizations)),
});

/** Enough for 40 GB in the converter's shards of 4 MiB. */
const mostFiles = 10_000;

/** Weights whose bytes are concatenated in a sequence of files. */
const groupSchema = object({ paths: list(string, 1), weights: list(weightSchema) });

const modelSchema = object({
  format: nullish(string),
  userDefinedMetadata: nullish(record(anyJson)),
  modelTopology: nullish(record(anyJson)),
  weightsManifest: list(groupSchema, 1),
});

type TfjsWeight = Described<typeof weightSchema>;
type TfjsGroup = Described<typeof groupSchema>;

/** The `model.json` of a TensorFlow.js model. */
export type TfjsManifest = Described<typeof modelSchema>;

/**
 * Reads a file next to a `model.json`.
 * @throws {FileError} it does not exist.
 */
export type ReadShard = (path: string) => Promise<Uint8Array>;

/**
 * Reads a `model.json`, or a `weights_manifest.json`.
 * @param where the file's name in errors.
 * @throws {FormatError} it is no such file; the message names the field.
 * @see https://www.tensorflow.org/js/guide/save_load
 */
export function readTfjsManifest(json: Uint8Array, where: string): TfjsManifest {
  const value = parseJson(new TextDecoder().decode(json), where);
  // The older `weights_manifest.json`, which face-api.js still has, is only the list of groups.
  const document = Array.isArray(value) ? { weightsManifest: value } : value;
  const manifest = fitting(modelSchema, document, where);
  const files = manifest.weightsManifest.reduce((sum, { paths }) => sum + paths.length, 0);
  if (files > mostFiles) {
    const expected = `at most ${mostFiles}`;
    throw new FormatError({ where, what: "its weights are in too many files", received: files, expected });
  }
  const seen = new Set<string>();
  for (const [group, { paths }] of manifest.weightsManifest.entries()) {
    for (const [index, path] of paths.entries()) {
      const field = `${where}, field weightsManifest.${group}.paths.${index}`;
      if (seen.has(path)) throw new FormatError({ where: field, what: "duplicate file", received: path });
      seen.add(path);
    }
  }
  return manifest;
}

/** Names of the files next to a `model.json` that it refers to; none if it is something else. */
export function shardNames(content: Uint8Array): readonly string[] {
  try {
    const { weightsManifest } = readTfjsManifest(content, "");
    return weightsManifest.flatMap(({ paths }) => paths).filter((path) => /^\w[\w.-]*$/.test(path));
  } catch (cause) {
    if (cause instanceof FormatError) return [];
    throw cause;
  }
}

/**
 * Reads the weights of a group from its files. A missing file makes only the weights that are partly in it `absent`.
 * @param where the model's name in errors.
 * @throws {FormatError} the files hold more or fewer bytes than the group's weights.
 */
export async function readGroup(
  { paths, weights }: TfjsGroup,
  read: ReadShard,
  where: string,
): Promise<readonly StoredWeight[]> {
  const files: (Uint8Array | undefined)[] = [];
  for (const path of paths) files.push(await readIfThere(path, read));
  const absent = paths.filter((_, index) => files[index] === undefined);

  const expected = weights.reduce((sum, weight) => sum + byteLengthOf(weight), 0);
  const received = files.reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0);
  const possible = absent.length === 0 ? received === expected : received < expected;
  if (!possible || !Number.isSafeInteger(expected)) {
    throw new FormatError({
      where: `${where}, ${paths.length === 1 ? paths[0] : `${paths[0]} … ${paths.at(-1)}`}`,
      what: "the number of bytes does not match the weights",
      received,
      expected: `${absent.length === 0 ? "" : "less than "}${expected}`,
      remedy: "Are files truncated, or from another model?",
    });
  }
  const placed = placedFiles(files, expected);
  let end = 0;
  return weights.map((weight) => {
    const begin = end;
    end += byteLengthOf(weight);
    const bytes = cut(placed, begin, end);
    return { path: weight.name, ...(bytes ? { tensor: decode(weight, bytes) } : { absent }) };
  });
}

async function readIfThere(path: string, read: ReadShard): Promise<Uint8Array | undefined> {
  try {
    return await read(path);
  } catch (error) {
    if (error instanceof FileError) return undefined;
    throw error;
  }
}

/** An existing file and its offset in its group. */
interface PlacedFile {
  readonly begin: number;
  readonly bytes: Uint8Array;
}

/** Offsets follow from file sizes alone: from the front up to the first missing file, from the end back to the last. */
function placedFiles(files: readonly (Uint8Array | undefined)[], size: number): PlacedFile[] {
  const placed: PlacedFile[] = [];
  let begin = 0;
  for (const bytes of files) {
    if (!bytes) break;
    placed.push({ begin, bytes });
    begin += bytes.length;
  }
  if (placed.length === files.length) return placed;
  let end = size;
  for (const bytes of files.toReversed()) {
    if (!bytes) break;
    end -= bytes.length;
    placed.push({ begin: end, bytes });
  }
  return placed.sort((a, b) => a.begin - b.begin);
}

/** The bytes from `begin` to `end` of a group; undefined if some are missing. A copy only where they span files. */
function cut(files: readonly PlacedFile[], begin: number, end: number): Uint8Array | undefined {
  const pieces: Uint8Array[] = [];
  let position = begin;
  for (const file of files) {
    if (position < file.begin || position >= Math.min(end, file.begin + file.bytes.length)) continue;
    const piece = file.bytes.subarray(position - file.begin, end - file.begin);
    pieces.push(piece);
    position += piece.length;
  }
  if (position < end) return undefined;
  return pieces.length === 1 ? pieces[0] : concatenated(pieces);
}

export function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

const formats = {
  float32: "F32",
  float16: "F16",
  int32: "I32",
  bool: "BOOL",
  uint8: "U8",
  uint16: "U16",
} as const satisfies Record<string, NumberFormat>;

function formatOf({ dtype, quantization }: TfjsWeight): NumberFormat {
  return formats[quantization?.dtype ?? dtype];
}

function byteLengthOf(weight: TfjsWeight): number {
  return sizeOf(weight.shape) * bytesPerNumber(formatOf(weight));
}

/**
 * Decodes a weight; quantized values are `value · scale + min`.
 * @see https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/io_utils.ts, `decodeWeights`
 */
function decode(weight: TfjsWeight, bytes: Uint8Array): FloatTensor {
  const { shape, dtype, quantization } = weight;
  const tensor = decodeFloats({ format: formatOf(weight), shape, bytes });
  if (!quantization || quantization.dtype === "float16") return tensor;
  const { min, scale } = quantization;
  const round = dtype === "int32" ? Math.round : (value: number) => value;
  return { ...tensor, data: tensor.data.map((value) => round(value * scale + min)) };
}
