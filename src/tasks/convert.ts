import { lower } from "../compiler/lower.ts";
import { toOnnx } from "../compiler/onnx.ts";
import { UsageError } from "../errors.ts";
import { inputShapeOf, type Network } from "../graph/network.ts";
import { kerasPreprocessing } from "../graph/preprocessing.ts";
import { xception } from "../models/xception.ts";
import { completeOptions, type XceptionOptions } from "../models/xception-options.ts";
import type { Shape } from "../tensor/shape.ts";
import { toEngineWeights } from "../weights/engine-weights.ts";
import type { MappingReport } from "../weights/map-weights.ts";
import { encodeModel } from "./model-file.ts";
import { modelFrom, weightsFor } from "./open-weights.ts";
import type { WeightsSource } from "./weights-file.ts";
import { openWeightsFile } from "./weights-formats.ts";

export interface ConvertOptions {
  /** The network that a file of weights alone belongs to; a whole model says itself what it is. */
  readonly network?: XceptionOptions;
  /** Names of the classes, for a file of weights alone; default: their numbers. */
  readonly labels?: readonly string[] | undefined;
  /** As in `loadWeights`; for a file of weights alone. */
  readonly allowMissing?: string | undefined;
}

export interface Conversion {
  /** The ONNX file. */
  readonly bytes: Uint8Array;
  /** What the file was. */
  readonly from: string;
  /** `model`: a model file of this package; `onnx`: a graph for any tool, which reads numbers as Keras's model does. */
  readonly to: "model" | "onnx";
  readonly network: { readonly name: string; readonly layers: number; readonly inputShape: Shape };
  readonly weights: MappingReport;
  /** What the new file does not say, or says without knowing, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Turns a file of weights into an ONNX file: weights of our Xception into a model file, a whole model into a plain graph.
 * @throws {FormatError} it is no such file, damaged, or its network has something that we do not know.
 * @throws {WeightsError} its weights are not those of the network.
 * @throws {UsageError} there are not as many labels as classes, or the options are for another kind of file.
 */
export async function convert(source: WeightsSource, options: ConvertOptions = {}): Promise<Conversion> {
  const { where } = source;
  const file = await openWeightsFile(source);
  const { network: given = {}, labels, allowMissing } = options;
  if (file.describedNetwork === undefined) {
    const network = xception(given);
    const { weights, report } = weightsFor(network, file, { where, allowMissing });
    const numbers = Array.from({ length: completeOptions(given).classes }, (_, index) => String(index));
    const preprocessing = { ...kerasPreprocessing, fit: "fill", background: [255, 255, 255] } as const;
    const model = encodeModel({
      architecture: { family: "xception", options: given },
      weights,
      labels: labels ?? numbers,
      preprocessing,
    });
    const notes = [
      "Weights of Keras do not say how pictures become numbers; pixel/127.5 - 1 was taken, as in keras.applications.",
      ...(labels ? [] : ["They do not name the classes either; these are called by their numbers."]),
    ];
    return { bytes: model, from: file.format, to: "model", network: describe(network), weights: report, notes };
  }
  if (Object.keys(given).length > 0 || labels || allowMissing !== undefined) {
    throw new UsageError({
      where,
      what: "the file holds a whole model, so that options of the network, labels and allowMissing have no place",
    });
  }
  const { network, weights, report } = modelFrom(file, where);
  const { graph } = lower(network, { mode: "inference", batchSize: 1 });
  const onnx = toOnnx(graph, { name: network.name, weights: toEngineWeights(network, weights), dynamicBatch: true });
  const notes = [
    "Whole models become plain ONNX graphs: input images [N, height, width, channels] as float32, prepared as in Keras.",
    "Labels and preprocessing are not in the file; optimizer state and losses were left behind.",
  ];
  return { bytes: onnx, from: file.format, to: "onnx", network: describe(network), weights: report, notes };
}

function describe(network: Network): Conversion["network"] {
  return { name: network.name, layers: network.layers.length, inputShape: inputShapeOf(network) };
}
