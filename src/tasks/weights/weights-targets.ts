import { compile } from "../../compiler/compile.ts";
import { inputShapeOf } from "../../graph/network.ts";
import {
  type KerasModelParts,
  writeKerasArchive,
  writeKerasWeights,
  writeLegacyModel,
  writeLegacyWeights,
} from "../../weights/keras/writer.ts";
import { metadataKey } from "../../weights/metadata-key.ts";
import { writeTfjsModel } from "../../weights/tfjs/writer.ts";
import { classifierProblem, encodeModel } from "../model/model-file.ts";
import { writeMetadata } from "../model/model-metadata.ts";
import { writeTimm } from "./timm-writer.ts";
import type { ModelToWrite, WeightsTarget, WriteOptions, Written } from "./weights-target.ts";

/** Every kind of file that is written. A new one is a line here; the first whose extension fits a name is meant by it. */
export const weightsTargets = {
  "weights-h5": kerasTarget("weights of Keras 3", ".weights.h5", "weights.h5", writeKerasWeights),
  h5: kerasTarget("a whole model of Keras 2", ".h5", "h5", writeLegacyModel),
  "h5-weights": kerasTarget("weights of Keras 2", ".h5", "h5 weights", writeLegacyWeights),
  keras: kerasTarget("a whole model of Keras 3", ".keras", "keras", (model, { savedAt }) =>
    writeKerasArchive(model, savedAt),
  ),
  tfjs: {
    title: "a layers model of TensorFlow.js",
    extension: ".json",
    half: false,
    write: async (model) => ({ ...writeTfjsModel(withMetadata(model)), format: "TF.js layers model", notes: [] }),
  },
  safetensors: {
    title: "weights of timm",
    extension: ".safetensors",
    half: false,
    write: async (model) => writeTimm(model),
  },
  onnx: { title: "ONNX", extension: ".onnx", half: true, write: writeModelFile },
  "onnx-graph": { title: "ONNX", extension: ".onnx", half: true, write: writeGraph },
} as const satisfies Readonly<Record<string, WeightsTarget>>;

export type TargetName = keyof typeof weightsTargets;

/** What a name for a file stands for, by its end; undefined if that is no format's. */
export function targetOf(path: string): TargetName | undefined {
  const names = Object.keys(weightsTargets) as TargetName[];
  return names.find((name) => path.toLowerCase().endsWith(weightsTargets[name].extension));
}

function kerasTarget(
  title: string,
  extension: string,
  format: string,
  write: (model: KerasModelParts, options: WriteOptions) => Promise<Uint8Array>,
): WeightsTarget {
  return {
    title,
    extension,
    half: false,
    write: async (model, options) => ({
      bytes: await write(withMetadata(model), options),
      beside: new Map(),
      format,
      notes: [],
    }),
  };
}

function withMetadata(model: ModelToWrite): KerasModelParts {
  return { network: model.network, weights: model.weights, metadata: writeMetadata(model) };
}

/** A model file if the network tells classes of RGB images apart; else its graph alone. */
async function writeModelFile(model: ModelToWrite, options: WriteOptions): Promise<Written> {
  const { network, labels, preprocessing } = model;
  if (labels !== undefined && preprocessing !== undefined) {
    const bytes = encodeModel({ ...model, labels, preprocessing }, { storedAs: options.storedAs });
    return { bytes, beside: new Map(), format: "model file", notes: [] };
  }
  const written = await writeGraph(model, options);
  const reason = classifierProblem(network, { labels: labels ?? [] })?.what;
  const note = `This is no model file for images${reason === undefined ? "" : `: ${reason}`}.`;
  return { ...written, notes: [note, ...written.notes] };
}

/** A graph for any tool, fed with floats; the file says what else is known all the same. */
async function writeGraph(model: ModelToWrite, { storedAs }: WriteOptions): Promise<Written> {
  const { network, weights } = model;
  const metadata = { [metadataKey]: writeMetadata(model) };
  const bytes = compile(network, weights, { form: "exact", storedAs, metadata });
  const shape = inputShapeOf(network).join(", ");
  const notes = [`Its input "images" is float32 [N, ${shape}], prepared as the network expects it.`];
  return { bytes, beside: new Map(), format: "plain ONNX", notes };
}
