import type { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { Operation, OpGraph, OpOf, Value } from "../../graph/ops.ts";
import { foldedBias, foldStructure } from "../fold-batch-norm.ts";
import type { Quantization } from "./quantization.ts";
import { copyOperands, roundLayers } from "./quantize.ts";

/** A graph that computes in float32 with the numbers that integers stand for. */
export interface FakeQuantizedGraph {
  readonly graph: OpGraph;
  /** Values by the name of the one in the given graph that they replace; none for a convolution before its normalization. */
  readonly values: ReadonlyMap<string, Value>;
}

/**
 * Rounds the activations and weights of a network's inference graph exactly where the integer form does, in float32 and with
 * gradients. Its parameters stay the network's: batch normalization is folded into kernels and biases inside the graph. Biases,
 * whose integers have 32 bits, are not rounded.
 * @param graph the network's, lowered in inference mode, not folded.
 * @see Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018
 */
export function fakeQuantize(graph: OpGraph, quantization: Quantization): FakeQuantizedGraph {
  const { graph: folded, normalizations } = foldStructure(graph);
  const largest = 2 ** (quantization.weightBits - 1) - 1;
  return roundLayers(folded, quantization, () => ({
    start: (build) => foldedOperands(build, graph, folded, normalizations),
    roundsMaxima: false,
    activation: (build, value, scale) => build.op({ kind: "fakeQuantize", ...scale }, [value], `${value.name}~rounded`),
    weights: (build, { kernel, bias, axis }, started) => {
      const isWithin = (each: number) => quantization.perTensor || each !== axis;
      const axes = [...kernel.shape.keys()].filter(isWithin);
      const weight = started.get(kernel.name)!;
      const rounded = build.op({ kind: "fakeQuantizeKernel", axes, largest }, [weight], `${kernel.name}~rounded`);
      return bias ? [rounded, started.get(bias.name)!] : [rounded];
    },
  }));
}

/** Adds the operands of a folded graph, with kernels and biases computed from the parameters of the one that is not folded. */
function foldedOperands(
  build: OpGraphBuilder,
  { parameters }: OpGraph,
  folded: OpGraph,
  normalizations: ReadonlyMap<string, Operation>,
): ReadonlyMap<string, Value> {
  const own = new Map(parameters.map(({ name, shape }) => [name, build.parameter(name, shape)]));
  const operands = new Map([...copyOperands(build, folded, () => false), ...own]);
  for (const [kernel, { config, inputs }] of normalizations) {
    const [gamma, beta, mean, variance] = inputs.slice(1).map((value) => {
      return "data" in value ? build.constant(value.data as Float32Array) : own.get(value.name)!;
    }) as [Value, Value, Value, Value];
    const compute = (kind: "add" | "subtract" | "multiply" | "divide", a: Value, b: Value, hint: string) =>
      build.op({ kind }, [a, b], `${kernel}/${hint}`);
    const { epsilon } = config as OpOf<"batchNormalization">;
    const shifted = compute("add", variance, build.constant(epsilon), "shifted");
    const scale = compute("divide", gamma, build.op({ kind: "sqrt" }, [shifted], `${kernel}/deviation`), "scale");
    const weight = own.get(kernel)!;
    const perFilter = build.op({ kind: "reshape", shape: [weight.shape[0]!, 1, 1, 1] }, [scale], `${kernel}/factors`);
    operands.set(kernel, compute("multiply", weight, perFilter, "folded"));
    const moved = compute("multiply", mean, scale, "moved");
    operands.set(foldedBias(kernel), compute("subtract", beta, moved, "shift"));
  }
  return operands;
}
