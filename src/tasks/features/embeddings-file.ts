import { z } from "zod";
import { csvText, parseCsv } from "../../base/csv.ts";
import { FormatError, UsageError } from "../../base/errors.ts";
import { checkDocument, parseJson } from "../../base/json.ts";
import { metadataKey } from "../../formats/format.ts";
import { decodeFloats } from "../../formats/number-formats.ts";
import { isSafetensors, readSafetensors, writeSafetensors } from "../../formats/safetensors.ts";
import { floatTensor } from "../../tensor/tensor.ts";
import { checkedEmbeddings, documentSchema, type Embeddings, embeddingsVersion, imageSchema } from "./embeddings.ts";

/** Writers of embeddings by file extension. */
const writers: Readonly<Record<string, (embeddings: Embeddings) => Uint8Array>> = {
  ".safetensors": toSafetensors,
  ".csv": (embeddings) => new TextEncoder().encode(toCsv(embeddings)),
  ".json": (embeddings) => new TextEncoder().encode(toJson(embeddings)),
};

const tensorName = "embeddings";

/**
 * Selects the format for embeddings by file extension: `.safetensors` stores float32 exactly, `.csv` and `.json` the
 * shortest decimals that round-trip. CSV does not record the model.
 * @throws {UsageError} the name has another extension.
 */
export function embeddingsWriter(path: string): (embeddings: Embeddings) => Uint8Array {
  const found = Object.entries(writers).find(([extension]) => path.toLowerCase().endsWith(extension));
  if (found) return found[1];
  throw new UsageError({
    where: "embeddings file",
    what: "the extension does not identify a format",
    received: path,
    expected: Object.keys(writers).join(", "),
  });
}

/**
 * Reads embeddings written by {@link embeddingsWriter}; the content decides the format, not the name.
 * @param where name of the file in errors.
 * @throws {FormatError} it contains no embeddings, or is damaged.
 */
export function readEmbeddings(bytes: Uint8Array, where: string): Embeddings {
  if (isSafetensors(bytes)) return fromSafetensors(bytes, where);
  const text = textOf(bytes, where);
  return text.startsWith("{") ? fromJson(text, where) : fromCsv(text, where);
}

function toSafetensors({ images, values, origin }: Embeddings): Uint8Array {
  const metadata = new Map([[metadataKey, JSON.stringify({ formatVersion: embeddingsVersion, origin, images })]]);
  return writeSafetensors(new Map([[tensorName, values]]), metadata);
}

function fromSafetensors(bytes: Uint8Array, where: string): Embeddings {
  const { tensors, metadata } = readSafetensors(bytes, where);
  const values = tensors.get(tensorName);
  const text = metadata.get(metadataKey);
  if (values === undefined || text === undefined) {
    throw new FormatError({
      where,
      what: "it contains no embeddings",
      received: `tensors ${[...tensors.keys()].slice(0, 5).join(", ")}`,
      expected: `tensor "${tensorName}", and "${metadataKey}" in the header's metadata`,
      remedy: "Write them with `xception embed`.",
    });
  }
  const place = `${where}, metadata "${metadataKey}"`;
  const document = checkDocument(documentSchema, parseJson(text, place), place);
  return checkedEmbeddings(document, decodeFloats(values), where);
}

/** One line for each image. */
function toJson({ images, values, origin }: Embeddings): string {
  const lines = images.map((image, row) =>
    JSON.stringify({ ...image, values: decimalsOf(values.data, row, values.shape[1]!) }),
  );
  const head = JSON.stringify({ formatVersion: embeddingsVersion, origin }).slice(0, -1);
  return `${head},"images":[\n${lines.join(",\n")}\n]}\n`;
}

const jsonSchema = documentSchema.extend({
  images: z.array(imageSchema.extend({ values: z.array(z.number()) })),
});

function fromJson(text: string, where: string): Embeddings {
  const { images: stored, ...rest } = checkDocument(jsonSchema, parseJson(text, where), where);
  const rows = stored.map(({ file, values }) => ({ place: `image "${file}"`, values }));
  const images = stored.map(({ values: _, ...image }) => image);
  return checkedEmbeddings({ ...rest, images }, tensorOf(rows, where), where);
}

const firstColumns = ["file", "label"];

function toCsv({ images, values }: Embeddings): string {
  const dimensions = values.shape[1]!;
  const numbered = Array.from({ length: dimensions }, (_, index) => `e${index}`);
  const rows = images.map(({ file, label }, row) => [file, label, ...decimalsOf(values.data, row, dimensions)]);
  return csvText([[...firstColumns, ...numbered], ...rows]);
}

function fromCsv(text: string, where: string): Embeddings {
  const [header = [], ...lines] = [...parseCsv(text, where)].map(({ fields }) => fields);
  if (firstColumns.some((name, index) => header[index] !== name)) {
    throw new FormatError({
      where,
      what: "it contains no embeddings",
      received: header.slice(0, 4).join(",").slice(0, 60),
      expected: "a safetensors file, a JSON object, or CSV that begins with file,label,e0",
      remedy: "Write them with `xception embed`.",
    });
  }
  const rows = lines.map(([file = "", , ...fields]) => {
    const place = `image "${file}"`;
    return { place, values: fields.map((field) => numberIn(field, `${where}, ${place}`)) };
  });
  const images = lines.map(([file = "", label]) => ({ file, ...(label && { label }) }));
  return checkedEmbeddings({ formatVersion: embeddingsVersion, images }, tensorOf(rows, where), where);
}

function numberIn(field: string, where: string): number {
  const value = Number(field);
  if (field.trim() !== "" && Number.isFinite(value)) return value;
  throw new FormatError({ where, what: "this is not a finite number", received: field });
}

/** @throws {FormatError} rows differ in length. */
function tensorOf(rows: readonly { readonly place: string; readonly values: readonly number[] }[], where: string) {
  const dimensions = rows[0]?.values.length ?? 0;
  const odd = rows.find(({ values }) => values.length !== dimensions);
  if (odd) {
    throw new FormatError({
      where: `${where}, ${odd.place}`,
      what: "it has another number of values than the first one",
      received: odd.values.length,
      expected: String(dimensions),
    });
  }
  return floatTensor([rows.length, dimensions], Float32Array.from(rows.flatMap(({ values }) => values)));
}

function decimalsOf(data: Float32Array, row: number, dimensions: number): number[] {
  return Array.from(data.subarray(row * dimensions, (row + 1) * dimensions), shortestDecimal);
}

/** The shortest decimal that round-trips to the same float32; nine digits are always enough. */
function shortestDecimal(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === value) return decimal;
  }
  return Number(value.toPrecision(9));
}

function textOf(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError({
      where,
      what: "it contains no embeddings",
      expected: "a safetensors file, or a text",
      cause,
    });
  }
}
