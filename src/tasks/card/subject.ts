import { sha256 } from "../../base/checksums.ts";
import type { Platform, Source } from "../../base/platform.ts";
import { nameOfSource } from "../../base/source.ts";
import { imageInput } from "../../compiler/lower.ts";
import type { FileGroup } from "../../formats/format.ts";
import { wholeOnnx } from "../../formats/onnx/format.ts";
import {
  countParameters,
  imageSizeOf,
  inputShapeOf,
  type Network,
  networkWeights,
  outputActivation,
} from "../../graph/network.ts";
import { type GraphImages, graphImages } from "../../model/foreign-graph.ts";
import type { ModelToWrite } from "../../model/formats.ts";
import { completeModel, isGraphToRun, type LoadModelOptions, loadGraph } from "../../model/load-model.ts";
import type { ModelDescription } from "../../model/model-file.ts";
import { type OpenedModel, openAs, withProbabilities } from "../../model/open-weights.ts";
import { type WeightsSource, weightsSource } from "../../model/weights-file.ts";
import { type Shape, sizeOf } from "../../tensor/shape.ts";

/** A file of a model: its name without the folder, its size, and its checksum. */
export interface CardFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A model in a file, for its card. */
export interface CardSubject extends Partial<ModelDescription> {
  /** The model's file, then those that it refers to. */
  readonly files: readonly [CardFile, ...CardFile[]];
  /** Format of the file, in a word or two. */
  readonly format: string;
  /** Undefined for the graph of another tool. */
  readonly network?: Network;
  /** Number of float32 values in it. */
  readonly parameters: number;
  /** `[height, width, channels]`. */
  readonly inputShape: Shape;
  /** Input and output of an ONNX graph that is fed with floats. */
  readonly graph?: GraphImages | undefined;
  /** Assumptions about the file, in sentences. */
  readonly notes: readonly string[];
}

/** Describes a file of a model. */
async function cardFile(name: string, bytes: Uint8Array): Promise<CardFile> {
  return { name, bytes: bytes.length, sha256: await sha256(bytes) };
}

/**
 * Opens a model in a file of any known format.
 * @throws as {@link Verbs.loadModel}.
 */
export async function openSubject(
  source: Source,
  platform: Platform,
  options: LoadModelOptions = {},
): Promise<CardSubject> {
  const opened = await weightsSource(source, platform, { key: options.key });
  const name = (nameOfSource(source) ?? "model").replace(/[?#].*$/, "").replace(/^.*[/\\](?=.)/, "");
  // Before the bytes move to another thread.
  const file = await cardFile(name, opened.bytes);
  const beside = new Map<string, CardFile>();
  const recorded: WeightsSource = {
    ...opened,
    readBeside: async (part) => {
      const bytes = await opened.readBeside(part);
      beside.set(part, await cardFile(part, bytes));
      return bytes;
    },
  };
  const subject = isGraphToRun(recorded, options)
    ? await foreignSubject(recorded, platform, options)
    : await networkSubject(recorded, options);
  return { ...subject, files: [file, ...beside.values()] };
}

async function networkSubject(source: WeightsSource, options: LoadModelOptions): Promise<Omit<CardSubject, "files">> {
  const opened = await openAs(source, options);
  const ended = withProbabilities(opened);
  const { model, notes } = await completeModel(ended, options);
  const { weights: _, ...described } = model;
  const { format } = opened;
  return {
    ...describeNetwork(described),
    ...{ format, graph: graphImagesOf(opened), notes: [...ended.notes, ...notes] },
  };
}

/** The facts about a network of layers. */
function describeNetwork(model: Omit<ModelToWrite, "weights">) {
  const { network } = model;
  return { ...model, parameters: countParameters(networkWeights(network)).total, inputShape: inputShapeOf(network) };
}

/** The input and output of a graph of ours without preprocessing. */
function graphImagesOf({ format, network }: Pick<OpenedModel, "format" | "network">): GraphImages | undefined {
  if (format !== "plain ONNX" || inputShapeOf(network).length !== 3) return undefined;
  return {
    input: imageInput,
    size: imageSizeOf(network),
    channelsFirst: false,
    channels: inputShapeOf(network)[2] === 1 ? 1 : 3,
    output: network.output,
    givesProbabilities: outputActivation(network) !== "linear",
  };
}

async function foreignSubject(
  source: WeightsSource,
  { engine }: Platform,
  options: LoadModelOptions,
): Promise<Omit<CardSubject, "files">> {
  const { content } = await wholeOnnx(source);
  const graph = graphImages(content, source.where, options.network?.inputShape ?? source.published?.inputShape);
  const { session, labels, preprocessing, notes, license, provenance } = await loadGraph(source, options, engine);
  await session.dispose();
  const inputShape = [...graph.size, graph.channels];
  const parameters = [...content.tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const format = "ONNX graph of another tool";
  return { format, parameters, inputShape, labels, preprocessing, notes, license, provenance, graph };
}

/** A model that was written into a file. */
export interface WrittenModel extends FileGroup {
  /** The format, in a word or two. */
  readonly to: string;
  readonly model: Omit<ModelToWrite, "weights">;
  /** Remarks of a conversion, in sentences. */
  readonly notes: readonly string[];
}

/** Describes a model that was written into a file of this name. */
export async function writtenSubject(
  name: string,
  { bytes, beside, to, model, notes }: WrittenModel,
): Promise<CardSubject> {
  const shards = await Promise.all([...beside].map(([part, content]) => cardFile(part, content)));
  const graph = graphImagesOf({ format: to, network: model.network });
  return { ...describeNetwork(model), files: [await cardFile(name, bytes), ...shards], format: to, graph, notes };
}
