import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldBatchNorm } from "../../src/compiler/fold-batch-norm.ts";
import { lower } from "../../src/compiler/lower.ts";
import { add, batchNormalization, conv2d, input, relu, separableConv2d } from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import type { OpGraph } from "../../src/graph/ops.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { sizeOf } from "../../src/tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor/tensor.ts";
import { interpret } from "../oracles/interpreter.ts";

const pixels = Float64Array.from({ length: 2 * 6 * 5 * 3 }, (_, index) => Math.sin(index));

/** Two foldable pairs, and a convolution that is read twice. */
function graphWithNormalizations(): OpGraph {
  let x = input([6, 5, 3]);
  x = relu(batchNormalization(conv2d(x, { filters: 4, kernelSize: 3, padding: "same", useBias: false })));
  const shared = separableConv2d(x, { filters: 4, kernelSize: 3, padding: "same", useBias: false });
  x = add([shared, batchNormalization(shared)]);
  x = batchNormalization(separableConv2d(x, { filters: 5, kernelSize: 3, useBias: false }));
  return lower(network("n", x), { mode: "inference", batchSize: 2 }).graph;
}

function randomWeights(graph: OpGraph, seed: number): Map<string, FloatTensor> {
  const random = mulberry32(seed);
  return new Map(
    graph.parameters.map(({ name, shape }) => {
      const low = name.endsWith("moving_variance") ? 0.1 : -1;
      const values = Float32Array.from({ length: sizeOf(shape) }, () => low + (1.5 - low) * random());
      return [name, floatTensor(shape, values)];
    }),
  );
}

function outputs(graph: OpGraph, weights: ReadonlyMap<string, FloatTensor>): Float64Array {
  const feeds = new Map([...weights].map(([name, { data }]) => [name, Float64Array.from(data)]));
  const [[, values]] = interpret(graph, feeds.set("images", pixels)) as unknown as [[string, Float64Array]];
  return values;
}

function kinds(graph: OpGraph): string[] {
  return graph.operations.map(({ config }) => config.kind);
}

describe("foldBatchNorm", () => {
  it("keeps the outputs, whatever the weights", () => {
    const graph = graphWithNormalizations();
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const weights = randomWeights(graph, seed);
        const folded = foldBatchNorm(graph, weights);
        const before = outputs(graph, weights);
        const after = outputs(folded.graph, folded.weights);
        const scale = before.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
        // The folded weights are rounded to float32 once more.
        for (const [index, value] of before.entries())
          expect(Math.abs(after[index]! - value)).toBeLessThan(1e-6 * scale);
      }),
      { numRuns: 20 },
    );
  });

  it("folds what only the normalization reads, and leaves the rest", () => {
    const graph = graphWithNormalizations();
    const folded = foldBatchNorm(graph, randomWeights(graph, 1));
    expect(kinds(graph).filter((kind) => kind === "batchNormalization")).toHaveLength(3);
    expect(kinds(folded.graph).filter((kind) => kind === "batchNormalization")).toHaveLength(1);
    expect([...folded.weights.keys()].filter((name) => name.endsWith("folded_bias"))).toEqual([
      "conv2d/kernel/folded_bias",
      "separable_conv2d_1/pointwise_kernel/folded_bias",
    ]);
    expect(folded.graph.parameters.map(({ name }) => name)).not.toContain("batch_normalization/gamma");
    expect(folded.graph.parameters.map(({ name }) => name)).toContain("batch_normalization_1/gamma");
  });

  it("works out a single channel by hand", () => {
    const x = batchNormalization(conv2d(input([1, 1, 1]), { filters: 1, kernelSize: 1, useBias: false }), {
      epsilon: 0,
    });
    const { graph } = lower(network("n", x), { mode: "inference", batchSize: 1 });
    const values = { kernel: 3, gamma: 2, beta: 5, moving_mean: 7, moving_variance: 16 };
    const weights = new Map(
      graph.parameters.map(({ name, shape }) => {
        const value = values[name.split("/")[1] as keyof typeof values];
        return [name, floatTensor(shape, Float32Array.of(value))];
      }),
    );
    const folded = foldBatchNorm(graph, weights).weights;
    // 2·(3x − 7)/4 + 5 = 1.5x + 1.5
    expect(folded.get("conv2d/kernel")!.data).toEqual(Float32Array.of(1.5));
    expect(folded.get("conv2d/kernel/folded_bias")!.data).toEqual(Float32Array.of(1.5));
  });

  it("leaves everything where the weights are not known", () => {
    const graph = graphWithNormalizations();
    const folded = foldBatchNorm(graph, new Map());
    expect(kinds(folded.graph)).toEqual(kinds(graph));
  });
});
