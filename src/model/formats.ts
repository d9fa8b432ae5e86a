import { FormatError, UsageError } from "../base/errors.ts";
import type { Engine } from "../base/platform.ts";
import { compile } from "../compiler/compile.ts";
import type { OnnxOptions } from "../compiler/onnx/onnx.ts";
import { type FileContents, type FileFormat, type FileGroup, metadataKey } from "../formats/format.ts";
import type { KerasModelParts } from "../formats/keras/writer.ts";
import { graphFacts, onnxFormat } from "../formats/onnx/format.ts";
import { readsBytes } from "../formats/onnx/own-file.ts";
import { firstBytes, type Signature, signatures } from "../formats/signatures.ts";
import { inputShapeOf, type Network } from "../graph/network.ts";
import type { Weights } from "../graph/weights.ts";
import type { GraphFacts } from "../report/summary.ts";
import type { Shape } from "../tensor/shape.ts";
import { graphShapes } from "./foreign-graph.ts";
import { defaultPreprocessing, type ImagePreprocessing } from "./model.ts";
import { classifierProblem, type ModelDescription, modelIn, networkOf, readMetadata } from "./model-file.ts";
import { encodeModel, writeMetadata } from "./model-writer.ts";
import type { WeightsSource } from "./weights-file.ts";

/**
 * Every format that can be read, in the order of detection: PyTorch's zip archives before Keras's, and the formats with a
 * vague beginning last. A new format is a folder in `formats/` and a line here; to write it, a line in `weightsTargets`.
 */
const weightsFormats: readonly FileFormat[] = [
  onDemand(signatures.torch, async () => (await import("../formats/torch/state-dict.ts")).torchFormat),
  onDemand(signatures.keras, async () => (await import("../formats/keras/network.ts")).kerasFormat),
  onnxFormat,
  onDemand(signatures.safetensors, async () => (await import("../formats/torch/state-dict.ts")).safetensorsFormat),
  onDemand(signatures.tfjs, async () => (await import("../formats/tfjs/file.ts")).tfjsFormat),
];

/** Loads the code that reads a format with the first file of it. */
function onDemand(signature: Signature, load: () => Promise<FileFormat>): FileFormat {
  return { ...signature, read: async (file) => (await load()).read(file) };
}

/** An open file of weights. */
export interface WeightsFile extends Omit<FileContents, "metadata" | "preprocessing" | "onnx" | "graph"> {
  /** The model description in the file: architecture, labels, preprocessing, license, provenance. */
  readonly metadata?: Partial<ModelDescription>;
  /**
   * Describes the graph of another tool, which has no layers.
   * @param engine infers the shapes of its results.
   * @param inputShape shape of the images, if the file leaves it open.
   */
  readonly graph?: (engine: Engine, inputShape?: Shape) => Promise<GraphFacts>;
}

/**
 * Opens a file of weights of any known format; the content decides which it is, not the name.
 * @throws {FormatError} it is in no known format, or damaged.
 * @throws {UsageError} the source was opened before, or has a key but is no PyTorch file.
 */
export async function openWeightsFile(source: WeightsSource): Promise<WeightsFile> {
  const { bytes, where, key } = source;
  assertUnread(source);
  const format = weightsFormats.find(({ detect }) => detect(bytes));
  if (key !== undefined && format !== undefined && format.detect !== signatures.torch.detect) {
    throw new UsageError({ where, what: "only PyTorch checkpoints have keys", received: key, remedy: "Leave it out." });
  }
  if (format) return described(await format.read(source), source);
  throw new FormatError({
    where,
    what: bytes.length === 0 ? "the file is empty" : "unknown file format",
    ...(bytes.length > 0 && { received: firstBytes(bytes) }),
    expected: weightsFormats.map(({ title }) => title).join(", "),
  });
}

/** The bytes of an earlier opening may have moved to another thread. */
function assertUnread({ bytes, where }: WeightsSource): void {
  try {
    new Uint8Array(bytes.buffer);
  } catch (cause) {
    const remedy = "Make another one with weightsSource.";
    throw new UsageError({ where, what: "this source was opened before", remedy, cause });
  }
}

/** Interprets our JSON document in a file, if there is one: it may describe the network, too. */
function described(file: FileContents, { where, published = {} }: WeightsSource): WeightsFile {
  const { metadata: text, preprocessing, preprocessingNote, onnx, graph: facts, ...contents } = file;
  if (text === undefined) {
    const { inputShape, ...about } = published;
    const metadata = {
      ...(preprocessing && { preprocessing: { ...defaultPreprocessing, ...preprocessing } }),
      ...about,
    };
    const { describedNetwork } = contents;
    const graph = onnx ? graphOf(onnx) : facts && (async () => facts());
    const assumed = about.preprocessing ? publishedNote(about.preprocessing) : preprocessingNote;
    return {
      ...contents,
      ...(describedNetwork && { describedNetwork: (shape = inputShape) => describedNetwork(shape) }),
      ...(Object.keys(metadata).length > 0 && { metadata }),
      ...(graph && { graph }),
      notes: [...(contents.notes ?? []), ...(assumed === undefined ? [] : [assumed])],
    };
  }
  const metadata = readMetadata(text, where);
  if (onnx === undefined) {
    return { describedNetwork: () => ({ network: networkOf(metadata.architecture, where) }), ...contents, metadata };
  }
  const network = readsBytes(onnx.content)
    ? modelIn(onnx.content, where).network
    : networkOf(metadata.architecture, where);
  // Only the file's own network knows the layout of its tensors.
  const layers = () => contents.layers(network);
  return { ...contents, layers, describedNetwork: () => ({ network }), metadata };
}

/** Remark on the preprocessing of a repository's `config.json`. */
export function publishedNote({ scale, offset, interpolation, fit, cropRatio = 1 }: ImagePreprocessing): string {
  const crop = cropRatio === 1 ? "" : `, ${100 * cropRatio} % of each side`;
  return `Images are prepared as in config.json: resized (${interpolation}, ${fit}${crop}), pixel · ${scale} + ${offset}.`;
}

function graphOf({ bytes, content }: NonNullable<FileContents["onnx"]>): NonNullable<WeightsFile["graph"]> {
  return async (engine, inputShape) => graphFacts(content, await graphShapes(bytes, content, engine, inputShape));
}

/** A model to write into a file. */
export interface ModelToWrite extends ModelDescription {
  readonly network: Network;
  readonly weights: Weights;
}

interface WriteOptions {
  /** For files that store a date. */
  readonly savedAt: Date;
  /** Format of stored numbers. */
  readonly storedAs: NonNullable<OnnxOptions["storedAs"]>;
}

export interface Written extends FileGroup {
  /** The exact format, in a word or two. */
  readonly format: string;
  /** Remarks for the user, in sentences. */
  readonly notes: readonly string[];
}

/** A format to write a model in. */
interface WeightsTarget {
  /** Its name, for messages. */
  readonly title: string;
  /** The file extension that selects it. */
  readonly extension: string;
  /** True if it can store float16. */
  readonly half: boolean;
  readonly write: (model: ModelToWrite, options: WriteOptions) => Promise<Written>;
}

/** Every format that can be written; a file name selects the first one with its extension. */
export const weightsTargets = {
  "weights-h5": kerasTarget("weights of Keras 3", ".weights.h5", "weights.h5", async (model) =>
    (await kerasWriter()).writeKerasWeights(model),
  ),
  h5: kerasTarget("a whole model of Keras 2", ".h5", "h5", async (model) =>
    (await kerasWriter()).writeLegacyModel(model),
  ),
  "h5-weights": kerasTarget("weights of Keras 2", ".h5", "h5 weights", async (model) =>
    (await kerasWriter()).writeLegacyWeights(model),
  ),
  keras: kerasTarget("a whole model of Keras 3", ".keras", "keras", async (model, { savedAt }) =>
    (await kerasWriter()).writeKerasArchive(model, savedAt),
  ),
  tfjs: {
    title: "a layers model of TensorFlow.js",
    extension: ".json",
    half: false,
    write: async (model) => {
      const { writeTfjsModel } = await import("../formats/tfjs/writer.ts");
      return { ...writeTfjsModel(withDocument(model)), format: "TF.js layers model", notes: [] };
    },
  },
  safetensors: {
    title: "weights of timm",
    extension: ".safetensors",
    half: false,
    write: async (model) => {
      const { timmNotes, writeTimm } = await import("../formats/torch/state-dict.ts");
      return {
        ...alone(writeTimm(model.architecture, model.weights, writeMetadata(model))),
        format: "safetensors of timm",
        notes: timmNotes(model.architecture),
      };
    },
  },
  onnx: { title: "ONNX", extension: ".onnx", half: true, write: writeModelFile },
  "onnx-graph": { title: "ONNX", extension: ".onnx", half: true, write: writeGraph },
} as const satisfies Readonly<Record<string, WeightsTarget>>;

/** Name of an output format, as for `convert --to`. */
export type TargetName = keyof typeof weightsTargets;

/** Returns the format that the extension of a file name selects, if any. */
export function targetOf(path: string): TargetName | undefined {
  const names = Object.keys(weightsTargets) as TargetName[];
  return names.find((name) => path.toLowerCase().endsWith(weightsTargets[name].extension));
}

function kerasWriter() {
  return import("../formats/keras/writer.ts");
}

function kerasTarget(
  title: string,
  extension: string,
  format: string,
  write: (model: KerasModelParts, options: WriteOptions) => Promise<Uint8Array>,
): WeightsTarget {
  const writeAlone: WeightsTarget["write"] = async (model, options) => {
    return { ...alone(await write(withDocument(model), options)), format, notes: [] };
  };
  return { title, extension, half: false, write: writeAlone };
}

/** A file that refers to no others. */
function alone(bytes: Uint8Array): FileGroup {
  return { bytes, beside: new Map() };
}

function withDocument(model: ModelToWrite): KerasModelParts {
  return { network: model.network, weights: model.weights, metadata: writeMetadata(model) };
}

/** Writes a model file if the network is a classifier of images, else only its graph. */
async function writeModelFile(model: ModelToWrite, options: WriteOptions): Promise<Written> {
  const { network, labels, preprocessing } = model;
  if (labels !== undefined && preprocessing !== undefined) {
    const bytes = encodeModel({ ...model, labels, preprocessing }, { storedAs: options.storedAs });
    return { ...alone(bytes), format: "model file", notes: [] };
  }
  const written = await writeGraph(model, options);
  const reason = classifierProblem(network, { labels: labels ?? [] })?.what;
  const note = `This is not a model file for images${reason === undefined ? "" : `: ${reason}`}.`;
  return { ...written, notes: [note, ...written.notes] };
}

/** Writes a graph with float inputs for any tool, including our JSON document. */
async function writeGraph(model: ModelToWrite, { storedAs }: WriteOptions): Promise<Written> {
  const { network, weights } = model;
  const metadata = { [metadataKey]: writeMetadata(model) };
  const { quantization } = model;
  const form = quantization ? "int8" : "exact";
  const bytes = compile(network, weights, { form, quantization, storedAs, metadata });
  const shape = inputShapeOf(network).join(", ");
  const notes = [`Its input "images" is float32 [N, ${shape}], preprocessed as the network expects.`];
  return { ...alone(bytes), format: "plain ONNX", notes };
}
