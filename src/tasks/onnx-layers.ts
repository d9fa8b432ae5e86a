import type { OnnxContent, OnnxNode } from "../compiler/onnx-reader.ts";
import { FormatError } from "../errors.ts";
import { fromEngineLayout } from "../graph/engine-layout.ts";
import type { LayerType } from "../graph/layers.ts";
import type { Layer, Network } from "../graph/network.ts";
import type { GraphFacts } from "../report/graph-summary.ts";
import { type FloatTensor, transpose } from "../tensor/tensor.ts";
import type { StoredLayer } from "../weights/stored-layers.ts";

/** A layer as its nodes in an ONNX graph show it. */
interface FoundLayer {
  readonly type: "Conv2D" | "SeparableConv2D" | "Dense";
  /** Kernels, then a bias if there is one; in ONNX's layout, a dense kernel as `[in, out]`. */
  readonly weights: readonly { readonly path: string; readonly tensor: FloatTensor }[];
  /** Output of its last node. */
  readonly output: string;
}

/**
 * The weights of somebody else's ONNX file as layers of a network: the first convolution there is the network's first
 * convolution, and so on for each class of layers, and a normalization is that of the convolution before it. So shortcuts
 * are never taken for pointwise convolutions of the same size.
 * @throws {FormatError} the normalizations are multiplied into the convolutions, or the graph has other layers.
 */
export function layersOfOnnx(content: OnnxContent, network: Network, where: string): readonly StoredLayer[] {
  const found = foundLayers(content);
  const norms = new Map(content.nodes.filter(isNorm).map((node) => [node.inputs[0]!, node]));
  const weighted = network.layers.filter(({ weights }) => weights.length > 0);
  if (norms.size === 0 && weighted.some(({ config }) => config.type === "BatchNormalization")) {
    throw new FormatError({
      where,
      what: "its batch normalizations are folded into the convolutions, whose own weights are lost",
      expected: "a graph with BatchNormalization nodes",
      remedy: "Export it again without constant folding, as for training; or convert the file that it was made from.",
    });
  }
  refuseOtherLayers(found, weighted, where);
  const partners = new Map<string, FoundLayer>();
  return weighted.map((layer): StoredLayer => {
    const { name, config, inbound, weights } = layer;
    if (config.type === "BatchNormalization") {
      const node = norms.get(partners.get(inbound[0]!)?.output ?? "");
      const paths = node?.inputs.slice(1, 5) ?? [];
      return { name, weights: paths.flatMap((path) => stored(path, content)) };
    }
    const partner = found.filter(({ type }) => type === config.type)[indexWithin(weighted, layer)]!;
    partners.set(name, partner);
    return {
      name,
      weights: partner.weights.map(({ path, tensor }, index) => {
        const spec = weights[index];
        return { path, tensor: spec ? fromEngineLayout(spec, tensor) : tensor };
      }),
    };
  });
}

/** What kind of file it is, and what its graph is made of, in a few words. */
export function describeOnnx(content: OnnxContent): string {
  const operators = [...operatorCounts(content)].map(([operator, count]) => `${count} ${operator}`).join(", ");
  const { outputs, nodes } = content;
  return `ONNX graph ${fedInputs(content).join(", ")} → ${outputs.join(", ")} of ${nodes.length} nodes: ${operators}`;
}

/** What its graph computes from what, and is made of. */
export function graphOfOnnx(content: OnnxContent): GraphFacts {
  const fact = (name: string) => ({ name, shape: content.shapes.get(name) ?? null });
  const operators = [...operatorCounts(content)].sort(([, a], [, b]) => b - a);
  return {
    inputs: fedInputs(content).map(fact),
    outputs: content.outputs.map(fact),
    operators: Object.fromEntries(operators),
    params: [...content.tensors.values()].reduce((sum, { data }) => sum + data.length, 0),
  };
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

function foundLayers(content: OnnxContent): readonly FoundLayer[] {
  const { nodes } = content;
  const readers = new Map<string, OnnxNode>();
  for (const node of nodes) for (const name of node.inputs) if (!readers.has(name)) readers.set(name, node);
  const found: FoundLayer[] = [];
  const pointwise = new Set<OnnxNode>();
  for (const node of nodes) {
    if (pointwise.has(node)) continue;
    const [, kernel = "", bias = ""] = node.inputs;
    const weights = stored(kernel, content);
    const reader = readers.get(node.outputs[0] ?? "");
    if (node.operator === "Conv" && weights.length > 0) {
      const depthwise = (node.integers.get("group") ?? 1) > 1;
      const last = depthwise && reader?.operator === "Conv" ? reader : node;
      if (last !== node) pointwise.add(last);
      const second = last === node ? [] : stored(last.inputs[1] ?? "", content);
      const biases = stored(last === node ? bias : (last.inputs[2] ?? ""), content);
      const type = depthwise ? "SeparableConv2D" : "Conv2D";
      found.push(layerOf(type, [...weights, ...second], biases, last));
    }
    if (node.operator === "Gemm" && weights.length > 0) {
      const kernels = node.integers.get("transB") === 1 ? weights.map(transposed) : weights;
      found.push(layerOf("Dense", kernels, stored(bias, content), node));
    }
    if (node.operator === "MatMul" && weights[0]?.tensor.shape.length === 2) {
      const biases = reader?.operator === "Add" ? reader.inputs.flatMap((name) => stored(name, content)) : [];
      found.push(layerOf("Dense", weights, biases, node));
    }
  }
  return found;
}

function layerOf(
  type: FoundLayer["type"],
  kernels: FoundLayer["weights"],
  biases: FoundLayer["weights"],
  last: OnnxNode,
): FoundLayer {
  return { type, weights: [...kernels, ...biases], output: last.outputs[0] ?? "" };
}

function isNorm({ operator }: OnnxNode): boolean {
  return operator === "BatchNormalization";
}

function stored(path: string, { tensors }: OnnxContent): FoundLayer["weights"] {
  const tensor = tensors.get(path);
  return tensor ? [{ path, tensor }] : [];
}

function transposed({ path, tensor }: FoundLayer["weights"][number]) {
  return { path, tensor: transpose(tensor, [1, 0]) };
}

function indexWithin(layers: readonly Layer[], layer: Layer): number {
  return layers.filter(({ config }) => config.type === layer.config.type).indexOf(layer);
}

/** @throws {FormatError} the graph has other numbers of layers than the network, or the network has some that are not told apart. */
function refuseOtherLayers(found: readonly FoundLayer[], weighted: readonly Layer[], where: string): void {
  const counted = (list: readonly { readonly type: LayerType }[]): string =>
    (["Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Dense"] as const)
      .map((type) => `${list.filter((each) => each.type === type).length} ${type}`)
      .join(", ");
  const expected = counted(weighted.map(({ config }) => config));
  const received = counted(found);
  if (received === expected) return;
  throw new FormatError({ where, what: "its graph has other layers than the network", received, expected });
}
