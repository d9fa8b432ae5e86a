import { OpGraphBuilder } from "../graph/op-builder.ts";
import { type Operation, type OpGraph, type OpOf, readersOf, type Value } from "../graph/ops.ts";
import { type FloatTensor, filledTensor, floatTensor, type LazyTensor } from "../tensor/tensor.ts";
import { isPadded, resized } from "./padding.ts";

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
  const { graph: folded, normalizations } = foldStructure(graph, known);
  const stored = new Map<string, FloatTensor>();
  for (const { name } of folded.parameters) if (weights.has(name)) stored.set(name, weights.get(name)!);
  for (const [kernel, normalization] of normalizations) {
    const { scaledKernel, bias } = fold(normalization, weights.get(kernel)!, known);
    stored.set(kernel, scaledKernel);
    stored.set(foldedBias(kernel), bias);
  }
  return { graph: folded, weights: stored };
}

/** Name of the bias that the convolution of a kernel gets from its batch normalization. */
export function foldedBias(kernel: string): string {
  return `${kernel}/folded_bias`;
}

/**
 * As {@link foldBatchNorm} without the numbers: the folded graph, and the normalization of each kernel by its name.
 * @param known names of the stored numbers; default: all parameters and constants.
 */
export function foldStructure(
  graph: OpGraph,
  known: { has(name: string): boolean } = new Set([...graph.parameters, ...graph.constants].map(({ name }) => name)),
): { readonly graph: OpGraph; readonly normalizations: ReadonlyMap<string, Operation> } {
  const pairs = foldablePairs(graph, known);
  const normalizations = new Set(pairs.values());
  const gone = new Set([...normalizations].flatMap(({ inputs }) => inputs.slice(1).map((value) => value.name)));
  const build = new OpGraphBuilder();
  const renamed = new Map<string, Value>();
  const now = (value: Value): Value => renamed.get(value.name)!;

  for (const each of graph.inputs) renamed.set(each.name, build.input(each.name, each.shape, each.type));
  for (const each of graph.constants)
    if (!gone.has(each.name)) renamed.set(each.name, build.constant(each.data, each.shape));
  for (const each of graph.parameters)
    if (!gone.has(each.name)) renamed.set(each.name, build.parameter(each.name, each.shape));
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
    const output = normalization.outputs[0]!;
    const bias = build.parameter(foldedBias(kernel.name), [kernel.shape[0]!]);
    renamed.set(output.name, build.op(operation.config, [now(x), now(kernel), bias], output.name));
  }
  for (const [name, value] of graph.outputs) build.output(name, now(value));
  const byKernel = [...pairs].map(([conv, normalization]) => [conv.inputs[1]!.name, normalization] as const);
  return { graph: build.finish(), normalizations: new Map(byKernel) };
}

/**
 * Adds batch normalizations that fold into exactly the kernels and biases of a folded graph: gamma 1, beta 0, variance 1 − ε, and
 * the negative bias as the mean. Channels of zeros that the integer form adds are removed. Tensors of a graph that is not folded stay
 * the same.
 * @param graph the network's, not folded.
 */
export function withNormalizations(
  graph: OpGraph,
  tensors: ReadonlyMap<string, LazyTensor>,
): ReadonlyMap<string, LazyTensor> {
  const parameters = new Set(graph.parameters.map(({ name }) => name));
  const all = new Map(tensors);
  const folded = foldStructure(graph);
  for (const { name, shape } of folded.graph.parameters) {
    const stored = all.get(name);
    if (stored && isPadded(stored.shape, shape)) all.set(name, { shape, read: () => resized(stored.read(), shape) });
  }
  for (const [kernel, normalization] of folded.normalizations) {
    const bias = all.get(foldedBias(kernel));
    if (bias === undefined) continue;
    const { epsilon } = normalization.config as OpOf<"batchNormalization">;
    const [gamma, beta, mean, variance] = normalization.inputs.slice(1).map(({ name }) => name);
    const { shape } = bias;
    const filled = (value: number) => ({ shape, read: () => filledTensor(shape, value) });
    const negated = () =>
      floatTensor(
        shape,
        bias.read().data.map((value) => -value),
      );
    const numbers: [name: string | undefined, tensor: LazyTensor][] = [
      [gamma, filled(1)],
      [beta, filled(0)],
      [mean, { shape, read: negated }],
      [variance, filled(1 - epsilon)],
    ];
    // A gamma or beta that the layer lacks is a constant of the graph, with these values.
    for (const [name, tensor] of numbers) if (parameters.has(name!)) all.set(name!, tensor);
  }
  return all;
}

/** Convolution → its only reader, a batch normalization. */
function foldablePairs(graph: OpGraph, known: { has(name: string): boolean }): ReadonlyMap<Operation, Operation> {
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
  const scaled = new Float32Array(kernel.data.length);
  for (const [filter, factor] of scale.entries()) {
    const end = (filter + 1) * perFilter;
    for (let at = filter * perFilter; at < end; at++) scaled[at] = kernel.data[at]! * factor;
  }
  const bias = beta.map((value, filter) => value - mean[filter]! * scale[filter]!);
  return { scaledKernel: floatTensor(kernel.shape, scaled), bias: floatTensor([bias.length], bias) };
}
