import { describe, expect, it } from "vitest";
import { gradient } from "../../src/compiler/gradient.ts";
import { lower } from "../../src/compiler/lower.ts";
import { stagesOf } from "../../src/compiler/stages.ts";
import {
  add,
  batchNormalization,
  conv2d,
  dense,
  globalAveragePooling2d,
  input,
  relu,
  separableConv2d,
} from "../../src/graph/builder.ts";
import { network, networkWeights } from "../../src/graph/network.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";
import type { OpGraph } from "../../src/graph/ops.ts";
import { engineShape } from "../../src/graph/weights.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { sizeOf } from "../../src/tensor/shape.ts";
import { interpret } from "../oracles/interpreter.ts";

type Numbers = ReadonlyMap<string, Float64Array>;

/** Runs a graph's stages for several ranks side by side, in float64, and exchanges what they say. */
function interpretStages(graph: OpGraph, feedsOfRanks: readonly Numbers[]): Numbers[] {
  const known = feedsOfRanks.map((feeds) => new Map(feeds));
  for (const { graph: stage, exchanged } of stagesOf(graph)) {
    for (const values of known) for (const [name, data] of interpret(stage, values)) values.set(name, data);
    for (const { local, mean } of exchanged) {
      const sum = new Float64Array(sizeOf(local.shape));
      for (const values of known) for (const [index, value] of values.get(local.name)!.entries()) sum[index]! += value;
      for (const values of known)
        values.set(
          mean.name,
          sum.map((value) => value / known.length),
        );
    }
  }
  return known.map((values) => new Map([...graph.outputs].map(([name, value]) => [name, values.get(value.name)!])));
}

/** Exact in float32, as which graphs hold their constants; so are 1/count for the sizes below. */
const epsilon = 2 ** -10;

/** Convolutions, a residual connection and three batch normalizations, two of which can be exchanged together. */
function smallNetwork() {
  const images = input([4, 4, 3]);
  let x = conv2d(images, { filters: 4, kernelSize: 3, strides: 2, padding: "same", useBias: false, name: "a" });
  x = relu(batchNormalization(x, { epsilon, name: "a_bn" }));
  let y = separableConv2d(x, { filters: 4, kernelSize: 3, padding: "same", useBias: false, name: "b" });
  y = batchNormalization(y, { epsilon, name: "b_bn" });
  const shortcut = conv2d(x, { filters: 4, kernelSize: 1, useBias: false, name: "c" });
  const sum = add([y, batchNormalization(shortcut, { epsilon, name: "c_bn" })]);
  return network("small", dense(globalAveragePooling2d(sum), { units: 2, activation: "softmax", name: "top" }));
}

/** Loss and gradients of all weights; with several ranks, averaged over them. */
function lossGraph(batchSize: number, severalRanks: boolean): OpGraph {
  const net = smallNetwork();
  const lowered = lower(net, { mode: "training", batchSize, outputs: [], synchronizeBatchNormalization: severalRanks });
  const build = new OpGraphBuilder(lowered.graph);
  build.output("loss", softmaxCrossEntropy(build, lowered.logits, build.input("targets", lowered.logits.shape)));
  const trainable = networkWeights(net).filter((spec) => spec.trainable);
  const names = trainable.map((spec) => spec.name);
  const backward = gradient(build.finish(), "loss", names);
  if (!severalRanks) return backward.graph;
  const averaged = new OpGraphBuilder({ ...backward.graph, outputs: new Map() });
  for (const [name, value] of backward.graph.outputs) {
    averaged.output(name, averaged.op({ kind: "allReduceMean" }, [value]));
  }
  return averaged.finish();
}

describe("stagesOf", () => {
  it("leaves a graph without exchange whole", () => {
    const graph = lossGraph(2, false);
    const stages = stagesOf(graph);
    expect(stages).toHaveLength(1);
    expect(stages[0]!.graph.operations).toEqual(graph.operations);
    expect(stages[0]!.exchanged).toEqual([]);
  });

  it("exchanges together what can be, and passes on what later stages read", () => {
    const build = new OpGraphBuilder();
    const [x, y] = [build.input("x", [2]), build.parameter("y", [2])];
    const product = build.op({ kind: "multiply" }, [x, y]);
    const meanOfX = build.op({ kind: "allReduceMean" }, [x], "mean of x");
    const meanOfProduct = build.op({ kind: "allReduceMean" }, [product], "mean of product");
    build.output("difference", build.op({ kind: "subtract" }, [product, meanOfX]));
    build.output("published", meanOfProduct);
    const stages = stagesOf(build.finish());
    const names = stages.map(({ exchanged }) => exchanged.map(({ local, mean }) => `${local.name} → ${mean.name}`));
    expect(names).toEqual([["x → mean of x", "multiply → mean of product"], []]);
    expect(stages.map(({ graph }) => printOpGraph(graph))).toMatchInlineSnapshot(`
      [
        "input x: 2
      parameter y: 2
      multiply: 2 = multiply(x, y)
      output multiply = multiply
      ",
        "input multiply: 2
      input mean of x: 2
      subtract: 2 = subtract(multiply, mean of x)
      output subtract = subtract
      ",
      ]
    `);
  });

  it("gives two ranks with half the batch each the loss and the gradients of one with all of it", () => {
    const random = mulberry32(5);
    const draw = (count: number) => Float64Array.from({ length: count }, () => 2 * random() - 1);
    const weights = networkWeights(smallNetwork()).map((spec) => [spec.name, draw(sizeOf(engineShape(spec)))] as const);
    const images = draw(4 * 48);
    const targets = Float64Array.from([1, 0, 0, 1, 0.3, 0.7, 1, 0]);
    const whole = interpret(lossGraph(4, false), new Map([...weights, ["images", images], ["targets", targets]]));
    const ranks = [0, 1].map((rank) => {
      const share = images.subarray(rank * 96, (rank + 1) * 96);
      return new Map([...weights, ["images", share], ["targets", targets.subarray(rank * 4, (rank + 1) * 4)]]);
    });
    const graph = lossGraph(2, true);
    // Forward: a_bn, then b_bn and c_bn together; backward: the same two; then the gradients.
    expect(stagesOf(graph)).toHaveLength(6);
    const results = interpretStages(graph, ranks);
    expect(whole.size).toBe(13);
    for (const result of results) {
      for (const [name, expected] of whole) {
        const largest = Math.max(...expected.map(Math.abs));
        for (const [index, value] of expected.entries()) {
          expect(result.get(name)![index]! / largest, `${name} ${index}`).toBeCloseTo(value / largest, 11);
        }
      }
    }
  });
});
