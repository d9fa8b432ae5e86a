import { withExternalData } from "../../compiler/onnx/external-data.ts";
import { readOnnx } from "../../compiler/onnx/reader.ts";
import { fromEngineWeights } from "../../graph/weights.ts";
import { storedLayersOf } from "../../weights/map-weights.ts";
import { metadataKey } from "../../weights/metadata-key.ts";
import { graphShapes } from "../model/foreign-graph.ts";
import { modelIn, networkOf, readsBytes } from "../model/model-file.ts";
import { readMetadata } from "../model/model-metadata.ts";
import { layersOfGraph } from "./graph-layers.ts";
import { describeOnnx, differencesOf, graphOfOnnx } from "./onnx-facts.ts";
import { onnxSteps } from "./onnx-steps.ts";
import type { WeightsFile, WeightsFormat, WeightsSource } from "./weights-file.ts";

/** ONNX: model files, plain graphs that we wrote, and weights in graphs of others. */
export const onnxFormat: WeightsFormat = {
  title: "ONNX (.onnx)",
  // A protobuf message: field 1, the version of the format, is a small number; a field with a length follows.
  recognizes: ([first = 0, version = 0, next = 0]) => first === 0x08 && version < 0x40 && (next & 7) === 2,
  async open(source): Promise<WeightsFile> {
    const { where } = source;
    const { bytes, content } = await wholeOnnx(source);
    const text = content.metadata.get(metadataKey);
    if (text === undefined) {
      return {
        format: describeOnnx(content),
        layers: (network) => {
          const found = layersOfGraph(onnxSteps(content), network, where);
          return { ...found, notes: [...(found.notes ?? []), ...differencesOf(content, network)] };
        },
        graph: async (platform, inputShape) =>
          graphOfOnnx(content, await graphShapes(bytes, content, platform, inputShape)),
        notes: [
          "Only weights were taken: epsilons and paddings are those of the network here, not of the file's graph.",
        ],
      };
    }
    const metadata = readMetadata(text, where);
    const isModel = readsBytes(content);
    const network = isModel ? modelIn(content, where).network : networkOf(metadata.architecture, where);
    return {
      format: isModel ? "model file" : "plain ONNX",
      layers: () => ({ layers: storedLayersOf(network, fromEngineWeights(network, content.tensors, where)) }),
      describedNetwork: () => ({ network }),
      metadata,
    };
  },
};

/** Reads an ONNX file, with the numbers that it has in files beside it. */
export async function wholeOnnx({ bytes, where, readBeside }: WeightsSource) {
  const content = readOnnx(bytes, where);
  if (content.external.length === 0) return { bytes, content };
  const whole = await withExternalData(bytes, content, where, readBeside);
  return { bytes: whole, content: readOnnx(whole, where) };
}
