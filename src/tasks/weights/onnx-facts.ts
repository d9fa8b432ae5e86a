import type { OnnxContent } from "../../compiler/onnx/reader.ts";
import { windowGeometry } from "../../graph/layer-shapes.ts";
import type { Network } from "../../graph/network.ts";
import type { GraphFacts } from "../../report/summary.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { OpenShape } from "../model/foreign-graph.ts";

/** What kind of file it is, and what its graph is made of, in a few words. */
export function describeOnnx(content: OnnxContent): string {
  const operators = [...operatorCounts(content)].map(([operator, count]) => `${count} ${operator}`).join(", ");
  const { outputs, nodes } = content;
  return `ONNX graph ${fedInputs(content).join(", ")} → ${outputs.join(", ")} of ${nodes.length} nodes: ${operators}`;
}

/**
 * What its graph computes from what, and is made of.
 * @param resultShapes of what it computes, by name, as far as they are known.
 */
export function graphOfOnnx(content: OnnxContent, resultShapes?: ReadonlyMap<string, OpenShape>): GraphFacts {
  const { tensors, shapes, outputs, nodes } = content;
  const fact = (name: string) => ({ name, shape: shapes.get(name) ?? null });
  const operators = [...operatorCounts(content)].sort(([, a], [, b]) => b - a);
  const results = new Set(nodes.filter(({ operator }) => operator !== "Constant").flatMap((node) => node.outputs));
  const isResult = (name: string) => results.has(name) || content.inputs.includes(name);
  const paramsIn = (names: readonly string[]) =>
    names.reduce((sum, name) => sum + (tensors.has(name) ? sizeOf(tensors.get(name)!.shape) : 0), 0);
  return {
    inputs: fedInputs(content).map(fact),
    outputs: outputs.map(fact),
    operators: Object.fromEntries(operators),
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

/** What its graph computes otherwise than a network with its weights, in sentences. */
export function differencesOf({ nodes }: OnnxContent, network: Network): readonly string[] {
  const of = (operator: string) => nodes.filter((node) => node.operator === operator);
  // What ONNX means where a file says nothing.
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
  return [
    ...(foreign === undefined || own === undefined
      ? []
      : [
          `Its normalizations add ${plain(foreign)} to variances, this network's ${plain(own)}: answers will differ somewhat.`,
        ]),
    ...(isPaddedOtherwise
      ? [
          "Its pooling is padded otherwise than this network's: answers will differ. PyTorch's way is that of --architecture legacy_xception.",
        ]
      : []),
  ];
}

/** Of each pooling what ONNX says of it: top, left, bottom, right. */
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

/** A float32 with the digits that somebody gave it. */
function plain(value: number): string {
  return String(Number(value.toPrecision(6)));
}

/** Old files list what is stored among the inputs. */
function fedInputs({ inputs, tensors }: OnnxContent): readonly string[] {
  return inputs.filter((name) => !tensors.has(name));
}

function operatorCounts({ nodes }: OnnxContent): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { operator } of nodes) counts.set(operator, (counts.get(operator) ?? 0) + 1);
  return counts;
}
