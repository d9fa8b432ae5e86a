import { withExternalData } from "../../compiler/onnx/external-data.ts";
import { type OnnxContent, readOnnx } from "../../compiler/onnx/reader.ts";
import { windowGeometry } from "../../graph/layer-shapes.ts";
import type { Network } from "../../graph/network.ts";
import { fromEngineWeights } from "../../graph/weights.ts";
import { countOperators, type GraphFacts } from "../../report/summary.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FileFormat, type FileToRead, metadataKey } from "../format.ts";
import { storedLayersOf } from "../map-weights.ts";
import { networkTensors, onnxSignature, readsBytes } from "./own-file.ts";

/** ONNX: model files, plain graphs that we wrote, and graphs of other tools. */
export const onnxFormat: FileFormat = {
  ...onnxSignature,
  async read(file) {
    const { where } = file;
    const onnx = await wholeOnnx(file);
    const { content } = onnx;
    const metadata = content.metadata.get(metadataKey);
    if (metadata !== undefined) {
      return {
        format: readsBytes(content) ? "model file" : "plain ONNX",
        layers: (network) => ({
          layers: storedLayersOf(network, fromEngineWeights(network, networkTensors(network, content), where)),
        }),
        metadata,
        onnx,
      };
    }
    // Model files, which browsers load most, need neither.
    const [{ matchGraph }, { onnxSteps }] = await Promise.all([import("../match-graph.ts"), import("./steps.ts")]);
    return {
      format: describeOnnx(content),
      layers: (network) => {
        const found = matchGraph(onnxSteps(content), network, where);
        return { ...found, notes: [...(found.notes ?? []), ...differencesOf(content, network)] };
      },
      stored: () => [...content.tensors].map(([name, { shape }]) => ({ name, shape })),
      onnx,
      notes: [
        "Only weights were loaded: epsilons and paddings are those of the network here, not of the file's graph.",
      ],
    };
  },
};

/** Reads an ONNX file, including numbers in files next to it. */
export async function wholeOnnx({ bytes, where, readBeside }: FileToRead) {
  const content = readOnnx(bytes, where);
  if (content.external.length === 0) return { bytes, content };
  const whole = await withExternalData(bytes, content, where, readBeside);
  return { bytes: whole, content: readOnnx(whole, where) };
}

/** Describes the graph in a few words. */
function describeOnnx(content: OnnxContent): string {
  const { outputs, nodes } = content;
  const counts = Object.entries(countOperators(nodes));
  const operators = counts.map(([operator, count]) => `${count} ${operator}`).join(", ");
  return `ONNX graph ${fedInputs(content).join(", ")} → ${outputs.join(", ")} of ${nodes.length} nodes: ${operators}`;
}

/**
 * Lists the inputs, outputs, operators and nodes of a graph.
 * @param resultShapes shapes of its results by name, as far as they are known.
 */
export function graphFacts(
  content: OnnxContent,
  resultShapes?: ReadonlyMap<string, readonly (number | string)[]>,
): GraphFacts {
  const { tensors, shapes, outputs, nodes } = content;
  const fact = (name: string) => ({ name, shape: shapes.get(name) ?? null });
  const results = new Set(nodes.filter(({ operator }) => operator !== "Constant").flatMap((node) => node.outputs));
  const isResult = (name: string) => results.has(name) || content.inputs.includes(name);
  const paramsIn = (names: readonly string[]) =>
    names.reduce((sum, name) => sum + (tensors.has(name) ? sizeOf(tensors.get(name)!.shape) : 0), 0);
  return {
    inputs: fedInputs(content).map(fact),
    outputs: outputs.map(fact),
    operators: countOperators(nodes),
    params: paramsIn([...tensors.keys()]),
    nodes: nodes.flatMap((node) => {
      const [name] = node.outputs;
      if (node.operator === "Constant" || name === undefined) return [];
      return {
        name,
        operator: node.operator,
        outputShape: resultShapes?.get(name) ?? null,
        params: paramsIn(node.inputs),
        inbound: node.inputs.filter((each) => isResult(each) && !tensors.has(each)),
      };
    }),
  };
}

/** Differences between the graph and a network with its weights, in sentences. */
function differencesOf({ nodes }: OnnxContent, network: Network): readonly string[] {
  const of = (operator: string) => nodes.filter((node) => node.operator === operator);
  // The default of ONNX.
  const theirEpsilons = of("BatchNormalization").map(({ floats }) => floats.get("epsilon") ?? Math.fround(1e-5));
  const ourEpsilons = network.layers.flatMap(({ config }) =>
    config.type === "BatchNormalization" ? [config.epsilon] : [],
  );
  const [own] = ourEpsilons;
  const foreign = theirEpsilons.find((each) => !ourEpsilons.some((epsilon) => Math.fround(epsilon) === each));
  const theirPads = of("MaxPool").map(({ lists }) => lists.get("pads"));
  const ourPads = padsOf(network);
  const isPaddedOtherwise =
    theirPads.length === ourPads.length &&
    theirPads.some((pads, index) => pads?.some((size, side) => size !== ourPads[index]![side]));
  const notes: string[] = [];
  if (foreign !== undefined && own !== undefined) {
    const ours = `this network's ${plain(own)}: predictions will differ slightly.`;
    notes.push(`Its normalizations have epsilon ${plain(foreign)}, ${ours}`);
  }
  if (isPaddedOtherwise) {
    const remedy = "--architecture legacy_xception pads as PyTorch does.";
    notes.push(`Its pooling is padded differently: predictions will differ. ${remedy}`);
  }
  return notes;
}

/** The padding of each pooling as in ONNX: top, left, bottom, right. */
function padsOf({ layers }: Network): readonly (readonly number[])[] {
  return layers.flatMap(({ config, inbound: [source] }) => {
    if (config.type !== "MaxPooling2D") return [];
    const { outputShape } = layers.find(({ name }) => name === source)!;
    const axes = ([0, 1] as const).map((axis) => {
      return windowGeometry(outputShape[axis]!, config.poolSize[axis], config.strides[axis], config.padding, axis);
    });
    return [[...axes.map(({ before }) => before), ...axes.map(({ after }) => after)]];
  });
}

/** A float32 with the digits it was written with. */
function plain(value: number): string {
  return String(Number(value.toPrecision(6)));
}

/** Old files list weights among the inputs. */
function fedInputs({ inputs, tensors }: OnnxContent): readonly string[] {
  return inputs.filter((name) => !tensors.has(name));
}
