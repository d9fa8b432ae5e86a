import { FormatError, UsageError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { choice, wholeNumber } from "../base/kinds.ts";
import { type Described, exact, fitting, list, tuple } from "../base/schema.ts";
import type { DataType, Tensor } from "../tensor/tensor.ts";
import { bytesPerNumber, type EncodedTensor, type NumberFormat, numberFormats } from "./number-formats.ts";
import { safetensorsHeaderLength, safetensorsLengthBytes } from "./signatures.ts";

/** Contents of a `.safetensors` file. */
export interface SafetensorsFile {
  /** In the order of the header; `decodeFloats` converts each to float32. */
  readonly tensors: ReadonlyMap<string, EncodedTensor>;
  /** The strings in the header's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

const headerMetadata = "__metadata__";
/** Headers of weights have some hundred bytes for each tensor; those of embeddings list the images. */
const largestHeader = 2 ** 25;
/** Enough for 100,000 tensors. */
const mostHeaderValues = 2 ** 20;

const count = wholeNumber({ from: 0 });
const entrySchema = exact({
  dtype: choice(...numberFormats),
  shape: list(count, 0, 32),
  data_offsets: tuple(count, count),
});
type Entry = Described<typeof entrySchema>;

/**
 * Reads a `.safetensors` file: a header of names, types and offsets, then the numbers without gaps.
 * @param where the file's name in errors.
 * @throws {FormatError} it is no such file, damaged or truncated; the message names the byte offset or the field.
 * @see https://github.com/huggingface/safetensors#format
 */
export function readSafetensors(bytes: Uint8Array, where: string): SafetensorsFile {
  const { header, dataOffset } = readHeader(bytes, where);
  const { [headerMetadata]: stored, ...others } = header;
  const metadata = stored === undefined ? [] : metadataOf(stored, where);
  const entries = Object.entries(others).map(
    ([name, value]) => [name, fitting(entrySchema, value, `${where}, tensor "${name}"`)] as const,
  );
  assertNoGaps(entries, bytes.length - dataOffset, dataOffset, where);
  const tensors = entries.map(([name, entry]): [string, EncodedTensor] => {
    const { dtype: format, shape, data_offsets } = entry;
    const [begin, end] = data_offsets;
    const size = shape.reduce((product, each) => product * each, bytesPerNumber(format));
    if (end - begin !== size) {
      throw new FormatError({
        where: `${where}, tensor "${name}" at byte ${dataOffset + begin}`,
        what: "its data does not match its shape",
        received: `${end - begin} bytes for ${format} [${shape.join(", ")}]`,
        expected: `${size} bytes`,
      });
    }
    return [name, { format, shape, bytes: bytes.subarray(dataOffset + begin, dataOffset + end) }];
  });
  return { tensors: new Map(tensors), metadata: new Map(metadata) };
}

function readHeader(bytes: Uint8Array, where: string): { header: Record<string, unknown>; dataOffset: number } {
  const length = bytes.length < safetensorsLengthBytes ? 0 : safetensorsHeaderLength(bytes);
  const dataOffset = safetensorsLengthBytes + length;
  if (!(length >= 2 && length <= largestHeader && dataOffset <= bytes.length)) {
    throw new FormatError({
      where: `${where}, byte 0`,
      what: "invalid header length",
      received: `${length} in a file of ${bytes.length} bytes`,
      expected: `from 2 to ${largestHeader}, and no more than the file has`,
      remedy: "Is the file truncated? Copy or download it again.",
    });
  }
  const place = `${where}, header at byte ${safetensorsLengthBytes}`;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      bytes.subarray(safetensorsLengthBytes, dataOffset),
    );
  } catch (cause) {
    throw new FormatError({ where: place, what: "the header is not UTF-8", cause });
  }
  const header = parseJson(text, place, { most: mostHeaderValues, uniqueKeys: true });
  if (!text.startsWith("{"))
    throw new FormatError({ where: place, what: "the header is not an object", expected: "{" });
  return { header: header as Record<string, unknown>, dataOffset };
}

/** @throws {FormatError} tensors overlap, extend beyond the file, or leave gaps. */
function assertNoGaps(
  entries: readonly (readonly [string, Entry])[],
  dataLength: number,
  dataOffset: number,
  where: string,
): void {
  const ordered = entries
    .map(([name, { data_offsets }]) => ({ name, begin: data_offsets[0], end: data_offsets[1] }))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let reached = 0;
  for (const { name, begin, end } of ordered) {
    if (begin === reached && end >= begin && end <= dataLength) {
      reached = end;
      continue;
    }
    throw new FormatError({
      where: `${where}, tensor "${name}", field data_offsets`,
      what: begin < reached ? "it overlaps another tensor" : "it is out of place",
      received: [begin, end],
      expected: `bytes starting at ${reached}, of ${dataLength} after byte ${dataOffset}`,
    });
  }
  if (reached === dataLength) return;
  throw new FormatError({
    where: `${where}, byte ${dataOffset + reached}`,
    what: "trailing bytes that belong to no tensor",
    received: dataLength - reached,
    expected: "the end of the file",
  });
}

function metadataOf(value: unknown, where: string): readonly [string, string][] {
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [["", value] as const];
  return entries.map(([name, text]): [string, string] => {
    if (typeof text === "string" && !Array.isArray(value)) return [name, text];
    throw new FormatError({
      where: `${where}, header entry "${headerMetadata}"`,
      what: "its values are not strings",
      received: text,
      expected: "an object of strings",
    });
  });
}

const formatOf: Readonly<Record<DataType, NumberFormat>> = {
  float32: "F32",
  uint8: "U8",
  int8: "I8",
  int32: "I32",
  int64: "I64",
};

/**
 * Writes a `.safetensors` file; wide numbers come first, so that all are aligned.
 * @param metadata strings for the header's `__metadata__`.
 * @throws {UsageError} a tensor is named `__metadata__`, or names and metadata take more than 32 MiB.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  if (tensors.has(headerMetadata)) {
    throw new UsageError({ where: "writeSafetensors", what: "reserved tensor name", received: headerMetadata });
  }
  const sorted = [...tensors].sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  const header = new Map<string, unknown>();
  if (metadata.size > 0) header.set(headerMetadata, Object.fromEntries(metadata));
  let size = 0;
  for (const [name, { type, shape, data }] of sorted) {
    header.set(name, { dtype: formatOf[type], shape, data_offsets: [size, size + data.byteLength] });
    size += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const dataOffset = Math.ceil((safetensorsLengthBytes + json.length) / 8) * 8;
  if (dataOffset - safetensorsLengthBytes > largestHeader) {
    const expected = `at most ${largestHeader} bytes`;
    throw new UsageError({
      where: "writeSafetensors",
      what: "the header is too long",
      received: json.length,
      expected,
    });
  }
  const bytes = new Uint8Array(dataOffset + size).fill(0x20, safetensorsLengthBytes + json.length, dataOffset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(dataOffset - safetensorsLengthBytes), true);
  bytes.set(json, safetensorsLengthBytes);
  let offset = dataOffset;
  for (const [, { data }] of sorted) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return bytes;
}
