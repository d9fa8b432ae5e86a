import { OpGraphBuilder } from "../../graph/op-builder.ts";
import { type Operation, type OpGraph, readersOf, type Value } from "../../graph/ops.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { FoldedGraph } from "../fold-batch-norm.ts";
import type { ByteScale, Quantization } from "./quantization.ts";
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
  return { graph: rounded, weights: integerWeights(weights, kernels, quantization.weightBits) };
}

/** As {@link quantizeGraph} without the numbers: the graph, and the kernels that it stores as integers. */
export function quantizeStructure(
  graph: OpGraph,
  { activations, floatLayers }: Quantization,
): { readonly graph: OpGraph; readonly kernels: readonly IntegerKernel[] } {
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
  const rewriter = new Rewriter(graph, activations, integers);
  for (const operation of graph.operations) {
    const { config, inputs, outputs } = operation;
    const y = layers.has(operation) ? rewriter.integerLayer(operation) : rewriter.copy(operation);
    const pooled = config.kind === "maxPool" ? rewriter.scaleOf(inputs[0]!) : undefined;
    // The largest of some bytes is one of them, so that pooling can be computed with bytes.
    const scale = results.has(outputs[0]!.name) ? activations.get(outputs[0]!.name)! : pooled;
    if (scale) rewriter.roundForAll(outputs[0]!, y, scale);
  }
  return rewriter.finish();
}

/** Rebuilds a graph with some of its values rounded. */
class Rewriter {
  readonly #graph: OpGraph;
  readonly #activations: ReadonlyMap<string, ByteScale>;
  readonly #build = new OpGraphBuilder();
  readonly #kernels: IntegerKernel[] = [];
  /** Values by their name in the old graph. */
  readonly #renamed = new Map<string, Value>();
  /** Scales of values whose readers all read the rounded one. */
  readonly #scales = new Map<string, ByteScale>();
  /** Rounded copies of values whose other readers read floats. */
  readonly #copies = new Map<string, Value>();

  /** @param integers names of the parameters that are stored as integers. */
  constructor(graph: OpGraph, activations: ReadonlyMap<string, ByteScale>, integers: ReadonlySet<string>) {
    this.#graph = graph;
    this.#activations = activations;
    const build = this.#build;
    for (const each of graph.inputs) this.#renamed.set(each.name, build.input(each.name, each.shape, each.type));
    for (const each of graph.constants) this.#renamed.set(each.name, build.constant(each.data, each.shape));
    for (const { name, shape } of graph.parameters)
      if (!integers.has(name)) this.#renamed.set(name, build.parameter(name, shape));
  }

  scaleOf({ name }: Value): ByteScale | undefined {
    return this.#scales.get(name);
  }

  /** Copies an operation; returns its first result. */
  copy({ config, inputs, outputs }: Operation): Value {
    const hints = outputs.map(({ name }) => name);
    const results = this.#build.ops(
      config,
      inputs.map(({ name }) => this.#renamed.get(name)!),
      hints,
    );
    for (const [index, { name }] of outputs.entries()) this.#renamed.set(name, results[index]!);
    return results[0]!;
  }

  integerLayer({ config, inputs: [x, kernel, bias], outputs: [y] }: Operation): Value {
    const axis = config.kind === "matMul" ? 1 : 0;
    const inputScale = this.#scales.get(x!.name) ?? this.#activations.get(x!.name)!;
    this.#kernels.push({ kernel: kernel!.name, axis, bias: bias?.name, inputScale: inputScale.scale });
    const operands = [this.#rounded(x!), this.#stored(kernel!, "int8", axis)];
    if (bias) operands.push(this.#stored(bias, "int32", 0));
    const result = this.#build.op(config, operands, y!.name);
    this.#renamed.set(y!.name, result);
    return result;
  }

  /** Rounds a computed value for all its readers. */
  roundForAll({ name }: Value, computed: Value, scale: ByteScale): void {
    this.#scales.set(name, scale);
    this.#renamed.set(name, this.#round(computed, scale));
  }

  finish() {
    for (const [name, value] of this.#graph.outputs) this.#build.output(name, this.#renamed.get(value.name)!);
    return { graph: this.#build.finish(), kernels: this.#kernels };
  }

  /** A value, rounded. */
  #rounded({ name }: Value): Value {
    const value = this.#renamed.get(name)!;
    if (this.#scales.has(name)) return value;
    const known = this.#copies.get(name) ?? this.#round(value, this.#activations.get(name)!);
    this.#copies.set(name, known);
    return known;
  }

  #round(value: Value, { scale, zeroPoint }: ByteScale): Value {
    const factor = this.#build.constant(scale);
    const bytes = this.#build.op({ kind: "quantizeLinear", zeroPoint }, [value, factor], `${value.name}~uint8`);
    return this.#build.op({ kind: "dequantizeLinear", zeroPoint, axis: 0 }, [bytes, factor], `${value.name}~rounded`);
  }

  /** Stored integers, under the name of the parameter that they are. */
  #stored({ name, shape }: Value, type: "int8" | "int32", axis: number): Value {
    const names = integerNames(name, type);
    const integers = this.#build.parameter(names.integers, shape, type);
    const scale = this.#build.parameter(names.scale, [shape[axis]!]);
    return this.#build.op({ kind: "dequantizeLinear", zeroPoint: 0, axis }, [integers, scale], name);
  }
}
