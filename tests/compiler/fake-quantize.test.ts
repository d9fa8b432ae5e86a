import { describe, expect, it } from "vitest";
import { gradient } from "../../src/compiler/gradient.ts";
import { lower } from "../../src/compiler/lower.ts";
import { type OnnxOptions, toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { fakeQuantize } from "../../src/compiler/quantize/fake-quantize.ts";
import type { Quantization } from "../../src/compiler/quantize/quantization.ts";
import {
  add,
  batchNormalization,
  conv2d,
  dense,
  depthwiseConv2d,
  globalAveragePooling2d,
  input,
  type LayerOutput,
  maxPooling2d,
  relu,
  separableConv2d,
} from "../../src/graph/builder.ts";
import { network, networkWeights } from "../../src/graph/network.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";
import type { OpGraph } from "../../src/graph/ops.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { sizeOf } from "../../src/tensor/shape.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { channelBlock } from "../../src/train/step/step-program.ts";
import { evaluate, interpret } from "../oracles/interpreter.ts";

/** Folded and plain convolutions, a residual, a pooling and a depthwise convolution with a normalization. */
function smallNetwork() {
  let x: LayerOutput = input([9, 8, 3]);
  x = relu(batchNormalization(conv2d(x, { filters: 8, kernelSize: 3, useBias: false })));
  const shortcut = batchNormalization(conv2d(x, { filters: 12, kernelSize: 1, strides: 2, useBias: false }));
  x = batchNormalization(separableConv2d(x, { filters: 12, kernelSize: 3, padding: "same", useBias: false }));
  x = relu(add([maxPooling2d(x, { kernelSize: 3, strides: 2, padding: "same" }), shortcut]));
  x = relu(batchNormalization(depthwiseConv2d(x, { kernelSize: 3, padding: "same", useBias: false })));
  return network("small", dense(globalAveragePooling2d(x), { units: 3, activation: "softmax" }));
}

const net = smallNetwork();
const batchSize = 2;

/** Loss and gradients of a training step, and the numbers that are fed to it. */
function trainingStep(perTensor: boolean) {
  const lowered = lower(net, { mode: "inference", batchSize, outputs: [] });
  // Numbers beyond −2 … 2 are clipped.
  const rounding = { scale: 2 ** -6, zeroPoint: 128 };
  const names = lowered.graph.operations.flatMap(({ outputs }) => outputs.map(({ name }) => [name, rounding] as const));
  const quantization: Quantization = { weightBits: 7, perTensor, activations: new Map(names), floatLayers: [] };
  const { graph: rounded, values } = fakeQuantize(lowered.graph, quantization);
  const build = new OpGraphBuilder(rounded);
  const logits = values.get(lowered.logits.name)!;
  const targets = build.input("targets", logits.shape);
  build.output("loss", softmaxCrossEntropy(build, logits, targets));
  const trained = networkWeights(net).filter(({ trainable }) => trainable);
  return gradient(
    build.finish(),
    "loss",
    trained.map(({ name }) => name),
  ).graph;
}

function feedsOf(graph: OpGraph, seed: number): Map<string, Float64Array> {
  const random = mulberry32(seed);
  const numbers = (name: string, count: number) =>
    Float64Array.from({ length: count }, (_, index) => {
      if (name === "targets") return Number(index % 4 === 0);
      return Math.fround(/gamma|variance/.test(name) ? 1 + random() : 2 * random() - 1);
    });
  return new Map([...graph.inputs, ...graph.parameters].map(({ name, shape }) => [name, numbers(name, sizeOf(shape))]));
}

/** Smallest distance of a rounded number from the middle between two integers, where float32 may round otherwise. */
function closestCall(graph: OpGraph, feeds: ReadonlyMap<string, Float64Array>): number {
  const values = evaluate(graph, feeds);
  let closest = 1;
  for (const { config, inputs } of graph.operations) {
    if (config.kind !== "fakeQuantize" && config.kind !== "fakeQuantizeKernel") continue;
    const { data, shape } = values.get(inputs[0]!.name)!;
    const largest = (row: number) => {
      const size = config.kind === "fakeQuantizeKernel" && config.axes[0] === 1 ? data.length / shape[0]! : data.length;
      const start = Math.floor(row / size) * size;
      return data.subarray(start, start + size).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    };
    for (const [index, value] of data.entries()) {
      const steps = config.kind === "fakeQuantize" ? value / config.scale : (value / largest(index)) * config.largest;
      closest = Math.min(closest, Math.abs(steps - Math.floor(steps) - 0.5));
    }
  }
  return closest;
}

const blockSize = await channelBlock(nodePlatform);
const single = { wholeBytes: 0, partBytes: 1 };

describe("a training step with rounded weights and activations", () => {
  it.for<readonly [layout: string, perTensor: boolean, options: OnnxOptions]>([
    ["channels first", false, {}],
    ["channels first, one scale for each kernel", true, {}],
    ["in channel blocks", false, { blockSize }],
    ["in channel blocks, image by image", false, { blockSize, batchLimits: single }],
    ["with maxima by comparison, as on GPUs", false, { comparesMaxima: true }],
  ])("agrees with the interpreter %s", async ([, perTensor, options], { skip }) => {
    skip("blockSize" in options && blockSize === undefined, "the engine has no channel blocks on this machine");
    const graph = trainingStep(perTensor);
    const seeds = Array.from({ length: 100 }, (_, seed) => seed);
    const seed = seeds.find((each) => closestCall(graph, feedsOf(graph, each)) > 5e-5)!;
    const feeds = feedsOf(graph, seed);
    const expected = interpret(graph, feeds);
    const tensors = [...graph.inputs, ...graph.parameters].map(({ name, shape }) => {
      return [name, floatTensor(shape, Float32Array.from(feeds.get(name)!))] as const;
    });
    const session = await createSession(toOnnx(graph, options), { threads: 1 });
    const results = await session.run(Object.fromEntries(tensors));
    await session.dispose();
    for (const [name, values] of expected) {
      const size = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-3);
      const actual = results[name]!.data as Float32Array;
      const worst = values.reduce((most, value, index) => Math.max(most, Math.abs(actual[index]! - value)), 0);
      expect(worst / size, name).toBeLessThan(1e-4);
    }
  });
});

it("rounds what the integer form rounds, with batch normalization folded by the graph itself", () => {
  const x = relu(batchNormalization(conv2d(input([2, 2, 3]), { filters: 4, kernelSize: 1, useBias: false })));
  const tiny = network("tiny", dense(globalAveragePooling2d(x), { units: 2, useBias: false }));
  const { graph } = lower(tiny, { mode: "inference", batchSize: 1 });
  const scales = ["transpose", "re_lu", "global_average_pooling2d"].map((name, index) => {
    return [name, { scale: 2 ** -index, zeroPoint: index }] as const;
  });
  const quantization: Quantization = { weightBits: 8, activations: new Map(scales), floatLayers: [] };
  expect(printOpGraph(fakeQuantize(graph, quantization).graph)).toMatchInlineSnapshot(`
    "input images: 1×2×2×3
    parameter conv2d/kernel: 4×3×1×1
    parameter batch_normalization/gamma: 4
    parameter batch_normalization/beta: 4
    parameter batch_normalization/moving_mean: 4
    parameter batch_normalization/moving_variance: 4
    parameter dense/kernel: 4×2
    constant constant: scalar = 0.001
    conv2d/kernel/shifted: 4 = add(batch_normalization/moving_variance, constant)
    conv2d/kernel/deviation: 4 = sqrt(conv2d/kernel/shifted)
    conv2d/kernel/scale: 4 = divide(batch_normalization/gamma, conv2d/kernel/deviation)
    conv2d/kernel/factors: 4×1×1×1 = reshape(conv2d/kernel/scale) {shape: 4 1 1 1}
    conv2d/kernel/folded: 4×3×1×1 = multiply(conv2d/kernel, conv2d/kernel/factors)
    conv2d/kernel/moved: 4 = multiply(batch_normalization/moving_mean, conv2d/kernel/scale)
    conv2d/kernel/shift: 4 = subtract(batch_normalization/beta, conv2d/kernel/moved)
    transpose: 1×3×2×2 = transpose(images) {permutation: 0 3 1 2}
    transpose~rounded: 1×3×2×2 = fakeQuantize(transpose) {scale: 1, zeroPoint: 0}
    conv2d/kernel~rounded: 4×3×1×1 = fakeQuantizeKernel(conv2d/kernel/folded) {axes: 1 2 3, largest: 127}
    batch_normalization: 1×4×2×2 = conv(transpose~rounded, conv2d/kernel~rounded, conv2d/kernel/shift) {groups: 1, strides: 1 1, pads: 0 0 0 0}
    re_lu: 1×4×2×2 = relu(batch_normalization)
    re_lu~rounded: 1×4×2×2 = fakeQuantize(re_lu) {scale: 0.5, zeroPoint: 1}
    global_average_pooling2d: 1×4 = reduceMean(re_lu~rounded) {axes: 2 3, keepDims: false}
    global_average_pooling2d~rounded: 1×4 = fakeQuantize(global_average_pooling2d) {scale: 0.25, zeroPoint: 2}
    dense/kernel~rounded: 4×2 = fakeQuantizeKernel(dense/kernel) {axes: 0, largest: 127}
    dense/product: 1×2 = matMul(global_average_pooling2d~rounded, dense/kernel~rounded) {transposeA: false, transposeB: false}
    output dense = dense/product
    "
  `);
});
