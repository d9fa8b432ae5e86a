import type { OnnxContent, OnnxNode } from "../../compiler/onnx/reader.ts";
import { type FloatTensor, floatTensor, transpose } from "../../tensor/tensor.ts";
import type { GraphStep, StepKind } from "../graph-parts.ts";
import type { StoredWeight } from "../map-weights.ts";

const kinds: Readonly<Record<string, StepKind>> = {
  Conv: "convolution",
  Gemm: "dense",
  MatMul: "dense",
  BatchNormalization: "normalization",
  Mul: "scale",
  Add: "offset",
  Identity: "view",
  Transpose: "view",
  Cast: "view",
};

/** The operations of an ONNX graph, with kernels in Keras's layout. */
export function onnxSteps({ nodes, tensors }: OnnxContent): readonly GraphStep<StoredWeight>[] {
  const stored = new Map(
    [...tensors].map(([path, tensor]): [string, StoredWeight] => [path, { path, tensor: tensor.read() }]),
  );
  for (const { operator, inputs, outputs, lists } of nodes) {
    // Constant operations that exporters leave in the graph.
    const source = stored.get(inputs[0] ?? "");
    const [output = ""] = outputs;
    if (operator === "Identity" && source) stored.set(output, source);
    if (operator === "Transpose" && source) stored.set(output, permuted(source, lists.get("perm")));
  }
  return nodes.map((node) => stepOf(node, stored));
}

function stepOf(node: OnnxNode, stored: ReadonlyMap<string, StoredWeight>): GraphStep<StoredWeight> {
  const inputs = node.inputs.filter((name) => !stored.has(name));
  const weights = node.inputs.flatMap((name) => stored.get(name) ?? []);
  const step = { inputs, outputs: node.outputs, weights };
  const kind = kinds[node.operator] ?? "other";
  const [first] = weights;
  if (kind === "view") return { ...step, kind };
  // A product of two results, in attention for instance, has no weights.
  if (first === undefined || inputs.length === 0) return { ...step, kind: "other" };
  switch (kind) {
    case "convolution": {
      const isDepthwise = (node.integers.get("group") ?? 1) > 1 && first.tensor?.shape[1] === 1;
      const kernel = permuted(first, isDepthwise ? [2, 3, 0, 1] : [2, 3, 1, 0]);
      return { ...step, kind: isDepthwise ? "depthwise" : kind, weights: [kernel, ...weights.slice(1)] };
    }
    case "dense": {
      if (first.tensor?.shape.length !== 2) return { ...step, kind: "other" };
      const kernel = node.integers.get("transB") === 1 ? permuted(first, [1, 0]) : first;
      return { ...step, kind, weights: [kernel, ...weights.slice(1).map(flat)] };
    }
    case "scale":
    case "offset":
      return isVector(first) ? { ...step, kind, weights: [flat(first)] } : { ...step, kind: "other" };
    default:
      return { ...step, kind };
  }
}

/** Returns whether it has a number for each channel, in any axis: `[C]`, `[C, 1, 1]`, `[1, C, 1, 1]`; not a scalar. */
function isVector({ tensor }: StoredWeight): boolean {
  return tensor !== undefined && tensor.data.length > 1 && tensor.shape.filter((size) => size !== 1).length <= 1;
}

function flat({ path, tensor }: StoredWeight): StoredWeight {
  return { path, ...(tensor && { tensor: floatTensor([tensor.data.length], tensor.data) }) };
}

/** Tensors with other axes stay as they are; their shape is then an error. */
function permuted(weight: StoredWeight, permutation: readonly number[] = []): StoredWeight {
  const tensor = weight.tensor && permutedTensor(weight.tensor, permutation);
  return { path: weight.path, ...(tensor && { tensor }) };
}

function permutedTensor(tensor: FloatTensor, permutation: readonly number[]): FloatTensor {
  const axes = [...permutation].sort();
  const fits = axes.length === tensor.shape.length && axes.every((axis, index) => axis === index);
  return fits ? transpose(tensor, permutation) : tensor;
}
