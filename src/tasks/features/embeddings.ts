import { csvText, parseCsv } from "../../base/csv.ts";
import { DataError, FormatError, ShapeError, UsageError } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { anyJson, assertOption, choice, literal, matching, number, string, wholeNumber } from "../../base/kinds.ts";
import type { Described, Schema } from "../../base/schema.ts";
import { either, fitting, list, object, optional, record, tuple } from "../../base/schema.ts";
import { metadataKey } from "../../formats/format.ts";
import { decodeFloats } from "../../formats/number-formats.ts";
import { readSafetensors, writeSafetensors } from "../../formats/safetensors.ts";
import { isSafetensors } from "../../formats/signatures.ts";
import { fits, interpolations } from "../../graph/preprocessing.ts";
import { preprocessNames } from "../../model/preprocessing.ts";
import { architectureNames, type NetworkOptions } from "../../models/registry.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";

const name = matching(/./s, "a name");

const imageFields = {
  /** Its path inside the images' folder, with `/` as the separator. */
  file: name,
  /** Its class. */
  label: optional(name),
};
const imageSchema = object(imageFields);

/** An image with an embedding. */
export type EmbeddedImage = Described<typeof imageSchema>;

/** Embeddings of images: one vector each; similar images have similar directions. */
export interface Embeddings {
  readonly images: readonly EmbeddedImage[];
  /** `[images, dimensions]` */
  readonly values: FloatTensor;
  /** Origin of the embeddings, for embedding another image in the same way; CSV cannot store it. */
  readonly origin?: EmbeddingsOrigin | undefined;
}

const perChannel = either(number(), tuple(number(), number(), number()));

const originSchema = object({
  /** Path or URL of the model file, or `imagenet`. */
  model: name,
  /** Digest of the model, see `FeatureExtractor.digest`. */
  digest: matching(/^[0-9a-f]{64}$/, "64 hexadecimal digits"),
  /** As in `openAs`, if the model file holds only weights; validated when the network is built. */
  network: optional(record(anyJson) as Schema<NetworkOptions>),
  architecture: optional(choice(...architectureNames)),
  allowMissing: optional(string),
  key: optional(string),
  preprocess: optional(either(choice(...preprocessNames), object({ scale: perChannel, offset: perChannel }))),
  interpolation: optional(choice(...interpolations)),
  fit: optional(choice(...fits)),
  layer: name,
  pooling: choice("avg", "max"),
  folder: name,
});

/** The model of the embeddings, and the folder of the images; paths are relative to the embeddings' file. */
export type EmbeddingsOrigin = Described<typeof originSchema>;

const embeddingsVersion = 1;

/** Contents of a file besides the values. */
const documentFields = {
  formatVersion: literal(embeddingsVersion),
  origin: optional(originSchema),
  images: list(imageSchema),
};
const documentSchema = object(documentFields);

/**
 * Builds embeddings from the parsed parts of a file.
 * @throws {FormatError} the number of rows differs from the images, there are none, or a value is NaN or infinite.
 */
function checkedEmbeddings(
  { images, origin }: Described<typeof documentSchema>,
  values: FloatTensor,
  where: string,
): Embeddings {
  const [rows, dimensions] = values.shape;
  if (values.shape.length !== 2 || rows !== images.length || rows === 0 || dimensions === 0) {
    throw new FormatError({
      where,
      what: "its values do not match its images",
      received: `values ${JSON.stringify(values.shape)} for ${images.length} images`,
      expected: "[images, dimensions], one image at least",
    });
  }
  const bad = values.data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const { file } = images[Math.floor(bad / dimensions!)]!;
    throw new FormatError({
      where: `${where}, image "${file}", dimension ${bad % dimensions!}`,
      what: "the value is not finite",
      received: values.data[bad],
    });
  }
  return { images, values, origin };
}

/** A similar image. */
export interface Neighbor extends EmbeddedImage {
  /** Its row among the embeddings, from 0. */
  readonly row: number;
  /** Cosine similarity of the two embeddings: 1 is the same direction, 0 orthogonal. */
  readonly similarity: number;
}

/** Options of {@link nearest}. */
export interface NearestOptions {
  /** Number of neighbors; default 12. */
  readonly top?: number | undefined;
  /** Row to exclude: that of the query itself. */
  readonly except?: number | undefined;
}

/**
 * Finds the images with the most similar embeddings, most similar first; ties in row order.
 * @param query `[dimensions]`
 * @throws {ShapeError} the query has another number of dimensions.
 * @throws {DataError} the query or an embedding is a zero vector.
 * @throws {UsageError} `top` is not a positive integer.
 */
export function nearest(
  query: Float32Array,
  { images, values }: Pick<Embeddings, "images" | "values">,
  { top = 12, except }: NearestOptions = {},
): readonly Neighbor[] {
  assertOption("option top", top, wholeNumber({ from: 1 }));
  const dimensions = values.shape[1]!;
  if (query.length !== dimensions) {
    throw new ShapeError({
      where: "search",
      what: "the query has another number of dimensions than the embeddings",
      received: query.length,
      expected: String(dimensions),
      remedy: "Embed it with the same model, layer and pooling.",
    });
  }
  const length = lengthOf(query);
  const found = images.map((image, row): Neighbor => {
    const embedding = values.data.subarray(row * dimensions, (row + 1) * dimensions);
    return { ...image, row, similarity: dot(query, embedding) / (length * lengthOf(embedding, image.file)) };
  });
  return found
    .filter(({ row }) => row !== except)
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, top);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (const [index, value] of a.entries()) sum += value * b[index]!;
  return sum;
}

function lengthOf(embedding: Float32Array, image?: string): number {
  const length = Math.sqrt(dot(embedding, embedding));
  if (length > 0) return length;
  throw new DataError({
    where: `embedding of ${image === undefined ? "the query" : JSON.stringify(image)}`,
    what: "it is a zero vector, which has no direction",
    remedy: "Leave the image out, or choose another layer.",
  });
}

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
  const document = fitting(documentSchema, parseJson(text, place), place);
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

const jsonSchema = object({
  ...documentFields,
  images: list(object({ ...imageFields, values: list(number()) })),
});

function fromJson(text: string, where: string): Embeddings {
  const { images: stored, ...rest } = fitting(jsonSchema, parseJson(text, where), where);
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
      expected: "a safetensors file, a JSON object, or CSV with the columns file,label,e0",
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
      expected: "a safetensors file, or text",
      cause,
    });
  }
}
