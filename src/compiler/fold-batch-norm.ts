import { OpGraphBuilder } from "../graph/op-builder.ts";
import type { Operation, OpGraph, OpOf, Value } from "../graph/ops.ts";
import { readersOf } from "../graph/ops.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";

/** A graph whose batch normalizations are folded into its weights. */
export interface FoldedGraph {
  readonly graph: OpGraph;
  /** Weights of the folded graph's parameters. */
  readonly weights: ReadonlyMap<string, FloatTensor>;
}

/**
 * Inference pass: multiplies each batch normalization into the convolution before it, which then has a bias.
 * gamma·(conv(x, w) − mean)·s + beta = conv(x, w·gamma·s) + (beta − mean·gamma·s) with s = 1/√(variance + ε).
 * A convolution with other readers, or whose weights are not in `weights`, is not folded.
 */
export function foldBatchNorm(graph: OpGraph, weights: ReadonlyMap<string, FloatTensor>): FoldedGraph {
  const known = new Map<string, { readonly data: Float32Array }>(weights);
  for (const constant of graph.constants) known.set(constant.name, constant);
  const pairs = foldablePairs(graph, known);
  const normalizations = new Set(pairs.values());
  const gone = new Set([...normalizations].flatMap(({ inputs }) => inputs.slice(1).map((value) => value.name)));
  const folded = new Map<string, FloatTensor>();
  const build = new OpGraphBuilder();
  const renamed = new Map<string, Value>();
  const now = (value: Value): Value => renamed.get(value.name)!;

  for (const each of graph.inputs) renamed.set(each.name, build.input(each.name, each.shape, each.type));
  for (const each of graph.constants)
    if (!gone.has(each.name)) renamed.set(each.name, build.constant(each.data, each.shape));
  for (const each of graph.parameters) {
    if (gone.has(each.name)) continue;
    renamed.set(each.name, build.parameter(each.name, each.shape));
    const tensor = weights.get(each.name);
    if (tensor) folded.set(each.name, tensor);
  }
  for (const operation of graph.operations) {
    if (normalizations.has(operation)) continue;
    const normalization = pairs.get(operation);
    if (!normalization) {
      const hints = operation.outputs.map((value) => value.name);
      const outputs = build.ops(operation.config, operation.inputs.map(now), hints);
      for (const [index, value] of operation.outputs.entries()) renamed.set(value.name, outputs[index]!);
      continue;
    }
    const [x, kernel] = operation.inputs as [Value, Value];
    const { scaledKernel, bias } = fold(normalization, weights.get(kernel.name)!, known);
    const biasName = `${kernel.name}/folded_bias`;
    folded.set(kernel.name, scaledKernel);
    folded.set(biasName, bias);
    const output = normalization.outputs[0]!;
    const operands = [now(x), now(kernel), build.parameter(biasName, bias.shape)];
    renamed.set(output.name, build.op(operation.config, operands, output.name));
  }
  for (const [name, value] of graph.outputs) build.output(name, now(value));
  return { graph: build.finish(), weights: folded };
}

/** Convolution → its only reader, a batch normalization. */
function foldablePairs(graph: OpGraph, known: ReadonlyMap<string, unknown>): ReadonlyMap<Operation, Operation> {
  const published = new Set([...graph.outputs.values()].map((value) => value.name));
  const readers = readersOf(graph);
  const pairs = new Map<Operation, Operation>();
  for (const conv of graph.operations) {
    const [next, ...others] = readers.get(conv.outputs[0]!.name) ?? [];
    const isPair = conv.config.kind === "conv" && next?.config.kind === "batchNormalization" && others.length === 0;
    if (!isPair || published.has(conv.outputs[0]!.name)) continue;
    const operands = [...conv.inputs.slice(1), ...next.inputs.slice(1)];
    const areStored = operands.every(({ name }) => known.has(name) && readers.get(name)!.length === 1);
    if (areStored && conv.inputs.length === 2) pairs.set(conv, next);
  }
  return pairs;
}

function fold(
  normalization: Operation,
  kernel: FloatTensor,
  known: ReadonlyMap<string, { readonly data: Float32Array }>,
) {
  const { epsilon } = normalization.config as OpOf<"batchNormalization">;
  const numbers = normalization.inputs.slice(1).map((value) => known.get(value.name)!.data);
  const [gamma, beta, mean, variance] = numbers as [Float32Array, Float32Array, Float32Array, Float32Array];
  const perFilter = kernel.data.length / gamma.length;
  const scale = Float64Array.from(gamma, (value, filter) => value / Math.sqrt(variance[filter]! + epsilon));
  const scaled = kernel.data.map((value, index) => value * scale[Math.floor(index / perFilter)]!);
  const bias = beta.map((value, filter) => value - mean[filter]! * scale[filter]!);
  return { scaledKernel: floatTensor(kernel.shape, scaled), bias: floatTensor([bias.length], bias) };
}
