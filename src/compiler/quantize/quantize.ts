import type { OpGraphBuilder } from "../../graph/op-builder.ts";
import { type Operation, type OpGraph, readersOf, type Value } from "../../graph/ops.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { FoldedGraph } from "../fold-batch-norm.ts";
import { fusable } from "./fusable.ts";
import type { Quantization } from "./quantization.ts";
import { type Rounding, RoundingRewriter } from "./rewriter.ts";
import { type IntegerKernel, integerNames, integerWeights } from "./weights.ts";

/** A convolution or dense layer whose kernel is stored, and which can be computed with integers. */
export interface IntegerLayer {
  /** Its name in the layer graph. */
  readonly layer: string;
  readonly operation: Operation;
  /** The activation that it reads. */
  readonly input: Value;
  /** Its rounded result: of the convolution, or of the ReLU that alone reads it; undefined if it stays float32, as logits. */
  readonly result: Value | undefined;
}

/** A graph with integer weights. */
export interface IntegerGraph {
  readonly graph: OpGraph;
  readonly weights: ReadonlyMap<string, Tensor>;
}

/**
 * Lists the layers of a folded inference graph that can be computed with integers, in the order of computation.
 * @param graph its parameters are the network's weights.
 */
export function integerLayers(graph: OpGraph): readonly IntegerLayer[] {
  const parameters = new Set(graph.parameters.map(({ name }) => name));
  const readers = readersOf(graph);
  const published = new Set([...graph.outputs.values()].map(({ name }) => name));
  return graph.operations.flatMap((operation): IntegerLayer[] => {
    const { config, inputs, outputs } = operation;
    const isKernel = config.kind === "conv" || (config.kind === "matMul" && !config.transposeA && !config.transposeB);
    const [input, ...stored] = inputs;
    if (!isKernel || !stored.every(({ name }) => parameters.has(name))) return [];
    const kernel = stored[0]!.name;
    const about = { layer: kernel.slice(0, kernel.lastIndexOf("/")), operation, input: input! };
    if (config.kind === "matMul") return [{ ...about, result: undefined }];
    const [y] = outputs;
    const [reader, ...others] = readers.get(y!.name) ?? [];
    const isRectified = reader?.config.kind === "relu" && others.length === 0 && !published.has(y!.name);
    return [{ ...about, result: isRectified ? reader.outputs[0]! : y! }];
  });
}

/** The activations that the integer form rounds, by name: the inputs and results of its layers. */
export function roundedActivations(layers: readonly IntegerLayer[]): ReadonlyMap<string, Value> {
  const values = layers.flatMap(({ input, result }) => (result ? [input, result] : [input]));
  return new Map(values.map((value) => [value.name, value]));
}

/**
 * Writes layers with integers: int8 kernels with a scale for each filter, int32 biases, and activations rounded to bytes. Each
 * layer reads and writes rounded values, as the engine's integer kernels do; sums of residuals stay float32.
 * Layers without limits, and those of `floatLayers`, are left as they are.
 */
export function quantizeGraph({ graph, weights }: FoldedGraph, quantization: Quantization): IntegerGraph {
  const { graph: rounded, kernels } = quantizeStructure(graph, quantization);
  return { graph: rounded, weights: integerWeights(weights, kernels, quantization) };
}

/** As {@link quantizeGraph} without the numbers: the graph, and the kernels that it stores as integers. */
export function quantizeStructure(
  graph: OpGraph,
  quantization: Quantization,
): { readonly graph: OpGraph; readonly kernels: readonly IntegerKernel[] } {
  const kernels: IntegerKernel[] = [];
  /** Stored integers, under the name of the parameter that they are. */
  const stored = (build: OpGraphBuilder, { name, shape }: Value, type: "int8" | "int32", axis: number): Value => {
    const names = integerNames(name, type);
    const integers = build.parameter(names.integers, shape, type);
    const scale = build.parameter(names.scale, quantization.perTensor ? [] : [shape[axis]!]);
    return build.op({ kind: "dequantizeLinear", zeroPoint: 0, axis }, [integers, scale], name);
  };
  const rewritten = roundLayers(graph, quantization, (integers) => ({
    start: (build) => new Map(copyOperands(build, graph, ({ name }) => !integers.has(name))),
    roundsMaxima: true,
    activation: (build, value, { scale, zeroPoint }) => {
      const factor = build.constant(scale);
      const bytes = build.op({ kind: "quantizeLinear", zeroPoint }, [value, factor], `${value.name}~uint8`);
      return build.op({ kind: "dequantizeLinear", zeroPoint, axis: 0 }, [bytes, factor], `${value.name}~rounded`);
    },
    weights: (build, { kernel, bias, axis, inputScale }) => {
      kernels.push({ kernel: kernel.name, axis, bias: bias?.name, inputScale });
      const integer = stored(build, kernel, "int8", axis);
      return bias ? [integer, stored(build, bias, "int32", 0)] : [integer];
    },
  }));
  return { graph: fusable(rewritten.graph), kernels };
}

/** Adds a graph's inputs and constants, and some of its parameters; yields them by their name there. */
export function* copyOperands(
  build: OpGraphBuilder,
  graph: OpGraph,
  isKept: (parameter: Value) => boolean,
): Generator<readonly [string, Value]> {
  for (const each of graph.inputs) yield [each.name, build.input(each.name, each.shape, each.type)];
  for (const each of graph.constants) yield [each.name, build.constant(each.data, each.shape)];
  for (const each of graph.parameters) if (isKept(each)) yield [each.name, build.parameter(each.name, each.shape)];
}

/**
 * Rounds the activations and weights of a folded graph wherever the integer form does.
 * @param roundingOf makes the rounding, from the names of the rounded weights.
 */
export function roundLayers(
  graph: OpGraph,
  { activations, floatLayers }: Quantization,
  roundingOf: (integers: ReadonlySet<string>) => Rounding,
) {
  const isFloat = new Set(floatLayers);
  const layers = new Map<Operation, IntegerLayer>();
  const results = new Set<string>();
  for (const each of integerLayers(graph)) {
    const { layer, operation, input, result } = each;
    const isLimited = activations.has(input.name) && (result === undefined || activations.has(result.name));
    if (isFloat.has(layer) || !isLimited) continue;
    layers.set(operation, each);
    if (result) results.add(result.name);
  }
  const integers = new Set([...layers.keys()].flatMap(({ inputs }) => inputs.slice(1).map(({ name }) => name)));
  const rewriter = new RoundingRewriter(activations, roundingOf(integers));
  for (const operation of graph.operations) {
    const { config, inputs, outputs } = operation;
    const y = layers.has(operation) ? rewriter.integerLayer(operation) : rewriter.copy(operation);
    const pooled = config.kind === "maxPool" ? rewriter.scaleOf(inputs[0]!) : undefined;
    if (results.has(outputs[0]!.name)) {
      rewriter.roundForAll(outputs[0]!, y, activations.get(outputs[0]!.name)!);
    } else if (pooled) rewriter.keepRounded(outputs[0]!, y, pooled);
  }
  return rewriter.finish(graph.outputs);
}
