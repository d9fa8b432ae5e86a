import { FormatError, XceptionError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { anyJson, choice, literal, number, onOff, string, wholeNumber } from "../base/kinds.ts";
import { either, fitting, list, object, optional, record, tuple } from "../base/schema.ts";
import { imageInput } from "../compiler/lower.ts";
import { type OnnxContent, readOnnx } from "../compiler/onnx/reader.ts";
import { type FileToRead, metadataKey } from "../formats/format.ts";
import { networkTensors, onnxSignature, readsBytes } from "../formats/onnx/own-file.ts";
import { inputShapeOf, type Network, networkWeights, outputLayer } from "../graph/network.ts";
import { fits, interpolations } from "../graph/preprocessing.ts";
import { checkEngineWeights, fromEngineWeights } from "../graph/weights.ts";
import { architectureSchema } from "../models/architecture-schema.ts";
import { type Architecture, buildNetwork } from "../models/registry.ts";
import type { Model, ModelParts } from "./model.ts";

/**
 * Version 2: the graph takes images of any size, and channels may be scaled each on its own. Version 3: channels in order BGR.
 * Version 4: integer weights.
 */
const formatVersions = [1, 2, 3, 4] as const;
const formatVersion = formatVersions[3];
/** A version of the document in model files. */
export type FormatVersion = (typeof formatVersions)[number];

/** Everything in a model file besides its graph and its weights. */
export type ModelMetadata = Omit<ModelParts, "weights">;

/** Description of a model in a file of any kind; only image classifiers have labels and preprocessing. */
export type ModelDescription = Pick<ModelMetadata, "architecture"> & Partial<Omit<ModelMetadata, "architecture">>;

const byte = wholeNumber({ from: 0, to: 255 });
/** A number, or one for each channel. */
const perChannel = either(number(), tuple(number(), number(), number()));

/** Preprocessing in a model file. */
export const preprocessingSchema = object({
  scale: perChannel,
  offset: perChannel,
  order: optional(choice("rgb", "bgr")),
  interpolation: optional(choice(...interpolations)),
  fit: choice(...fits),
  cropRatio: optional(number({ from: 0.01, to: 1 })),
  background: tuple(byte, byte, byte),
});

const quantizationSchema = object({
  weightBits: literal(7, 8),
  perTensor: optional(onOff()),
  activations: record(object({ scale: number({ above: 0 }), zeroPoint: byte })),
  floatLayers: list(string),
});

const documentSchema = object({
  formatVersion: literal(...formatVersions),
  architecture: architectureSchema,
  labels: optional(list(string)),
  preprocessing: optional(preprocessingSchema),
  license: optional(string),
  provenance: optional(record(anyJson)),
  quantization: optional(quantizationSchema),
});

/**
 * Parses metadata written by `writeMetadata`.
 * @param where name of the file in errors.
 * @throws {FormatError} it is not such a document, or of a later version of the format.
 */
export function readMetadata(text: string, where: string): ModelDescription {
  const json = parseJson(text, `${where}, metadata`);
  const version = (json as { readonly formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version === "number" && version > formatVersion) {
    throw new FormatError({
      where,
      what: "a later version of xception-ts wrote this file",
      received: `format ${version}`,
      expected: `format ${formatVersion}`,
      remedy: "Update xception-ts.",
    });
  }
  const { formatVersion: _, quantization, ...description } = fitting(documentSchema, json, `${where}, metadata`);
  const activations = new Map(Object.entries(quantization?.activations ?? {}));
  return {
    ...description,
    ...(quantization && { quantization: { ...quantization, activations } }),
  } as ModelDescription;
}

/**
 * Decodes a model written by `encodeModel`. The network is rebuilt from its architecture.
 * @param file its name, for messages.
 * @throws {FormatError} the bytes are not an ONNX file, are damaged, or are not a model of this package.
 * @throws {WeightsError} a weight of the network is missing or has another shape.
 */
export function decodeModel(bytes: Uint8Array, file?: string): Model {
  const { tensors, where, ...described } = readModel(bytes, file);
  return { ...described, weights: fromEngineWeights(described.network, tensors, where) };
}

/**
 * Reads everything but the weights, whose presence is checked: what is needed to run the file's own graph.
 * @throws as {@link decodeModel}.
 */
export function describeModel(bytes: Uint8Array, file?: string): Omit<Model, "weights"> {
  const { tensors, where, ...described } = readModel(bytes, file);
  checkEngineWeights(described.network, tensors, where);
  return described;
}

/**
 * Decodes a model without changing the layout of its weights, which are read by each call of `engineWeights`.
 * @throws as {@link decodeModel}.
 */
export function decodeForEngine(bytes: Uint8Array, file?: string) {
  const { tensors, where, ...described } = readModel(bytes, file);
  const { network } = described;
  checkEngineWeights(network, tensors, where);
  const engineWeights = () => new Map(networkWeights(network).map(({ name }) => [name, tensors.get(name)!.read()]));
  return { ...described, engineWeights };
}

/** Returns whether a file is one of our model files, used as it is: no option changes it. */
export function isOwnModel({ bytes, where }: Pick<FileToRead, "bytes" | "where">, options: object): boolean {
  if (Object.values(options).some((value) => value !== undefined) || !onnxSignature.detect(bytes)) return false;
  const content = readOnnx(bytes, where);
  return content.metadata.has(metadataKey) && readsBytes(content);
}

function readModel(bytes: Uint8Array, file: string | undefined) {
  const where = file === undefined ? `model of ${bytes.length} bytes` : `model ${JSON.stringify(file)}`;
  return { where, ...modelIn(readOnnx(bytes, where), where) };
}

/**
 * Reads everything in a model file; its tensors stay in the engine's layout and are not yet checked against the
 * network.
 * @throws {FormatError} as {@link decodeModel}.
 */
export function modelIn(content: OnnxContent, where: string) {
  const { metadata, inputs, outputs } = content;
  const described = metadataIn(metadata.get(metadataKey), where);
  const network = networkOf(described.architecture, where);
  const problem = classifierProblem(network, described);
  if (problem) throw new FormatError({ where: `${where}, metadata`, ...problem });
  if (`${inputs}` !== imageInput || `${outputs}` !== network.output) {
    throw new FormatError({
      where,
      what: "its graph is not that of the network it describes",
      received: `inputs ${inputs} and outputs ${outputs}`,
      expected: `input ${imageInput} and output ${network.output}`,
    });
  }
  if (!readsBytes(content)) {
    throw new FormatError({
      where,
      what: "its graph is fed with floats that are prepared already",
      expected: "a model file, whose graph takes the bytes of images",
      remedy: "Convert it to one: xception convert IN OUT --to onnx.",
    });
  }
  return { ...described, network, tensors: networkTensors(network, content) };
}

function metadataIn(text: string | undefined, where: string): ModelMetadata {
  if (text === undefined) {
    throw new FormatError({
      where,
      what: `the ONNX file has no "${metadataKey}" metadata: labels and preprocessing of its network are unknown`,
      expected: "a model that xception-ts wrote",
    });
  }
  const { labels, preprocessing, ...described } = readMetadata(text, where);
  if (labels !== undefined && preprocessing !== undefined) return { ...described, labels, preprocessing };
  throw new FormatError({
    where: `${where}, metadata`,
    what: "the network is not an image classifier",
    received: labels === undefined ? "no labels" : "no preprocessing",
    expected: "labels and preprocessing",
  });
}

/**
 * Builds the network of an architecture from a file.
 * @throws {FormatError} it cannot be built.
 */
export function networkOf(architecture: Architecture, where: string): Network {
  try {
    return buildNetwork(architecture);
  } catch (cause) {
    if (!(cause instanceof XceptionError || cause instanceof RangeError)) throw cause;
    const { message } = cause as Error;
    const what = cause instanceof RangeError ? `the network has too many layers (${message})` : message;
    throw new FormatError({ where: `${where}, metadata`, what, cause });
  }
}

/** Returns why a network does not read images, or undefined if it does. */
export function imageProblem(network: Network) {
  const shape = inputShapeOf(network);
  if (shape.length === 3 && (shape[2] === 3 || shape[2] === 1)) return undefined;
  return { what: "a model must read images", received: shape, expected: "3 channels (RGB) or 1 (grayscale)" };
}

/** Returns why a network is not a classifier of images, or undefined if it is one. */
export function classifierProblem(network: Network, { labels }: Pick<ModelMetadata, "labels">) {
  const { config, outputShape } = outputLayer(network);
  const [classes, ...otherAxes] = outputShape;
  if (otherAxes.length > 0 || (config.type !== "Dense" && config.type !== "Activation")) {
    return {
      what: "a model needs a classifier",
      received: `${config.type} "${network.output}" at the network's end`,
      expected: "a Dense or Activation layer that gives one number for each class",
    };
  }
  if (config.activation !== "softmax" && config.activation !== "sigmoid") {
    return {
      what: "a model must give probabilities",
      received: `activation "${config.activation}" at the network's end`,
      expected: '"softmax" or "sigmoid"',
    };
  }
  const problem = imageProblem(network);
  if (problem) return problem;
  if (labels.length !== classes) {
    return { what: "there must be one label for each class", received: labels.length, expected: `${classes} labels` };
  }
  return undefined;
}
