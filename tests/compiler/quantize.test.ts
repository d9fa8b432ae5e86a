import { describe, expect, it } from "vitest";
import { compile } from "../../src/compiler/compile.ts";
import { foldBatchNorm } from "../../src/compiler/fold-batch-norm.ts";
import { lower } from "../../src/compiler/lower.ts";
import { fakeQuantize } from "../../src/compiler/quantize/fake-quantize.ts";
import { Histogram } from "../../src/compiler/quantize/histogram.ts";
import { limitMethods, scaleFrom } from "../../src/compiler/quantize/limits.ts";
import { byteScaleOf, type Quantization } from "../../src/compiler/quantize/quantization.ts";
import { integerLayers, quantizeGraph, roundedActivations } from "../../src/compiler/quantize/quantize.ts";
import {
  add,
  batchNormalization,
  conv2d,
  dense,
  globalAveragePooling2d,
  input,
  maxPooling2d,
  relu,
  separableConv2d,
} from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { floatTensor, type Tensor } from "../../src/tensor/tensor.ts";
import { interpret } from "../oracles/interpreter.ts";

/** A pixel of two channels, a 1×1 convolution to two filters, and a ReLU. */
const tiny = network(
  "tiny",
  relu(conv2d(input([1, 1, 2]), { name: "conv", filters: 2, kernelSize: 1 }), { name: "act" }),
);
const weights = new Map([
  // In Keras's layout: the first filter is 127/128 and 1/2, the second −127/256 and 1/4.
  ["conv/kernel", floatTensor([1, 1, 2, 2], Float32Array.of(127 / 128, -127 / 256, 0.5, 0.25))],
  ["conv/bias", floatTensor([2], Float32Array.of(0.1, -0.2))],
]);
const quantization: Quantization = {
  weightBits: 8,
  activations: new Map([
    ["transpose", { scale: 2 ** -7, zeroPoint: 128 }],
    ["act", { scale: 2 ** -8, zeroPoint: 0 }],
  ]),
  floatLayers: [],
};

describe("the integer form", () => {
  const { graph } = lower(tiny, { mode: "inference", batchSize: 1 });
  const folded = foldBatchNorm(graph, toEngineWeights(tiny, weights));

  it("rounds kernels, biases and activations as worked out by hand", async () => {
    const rounded = quantizeGraph(folded, quantization);
    const stored = (name: string) => [...(rounded.weights.get(name)!.data as Int8Array)];
    expect(stored("conv/kernel~int8")).toEqual([127, 64, -127, 64]);
    expect(stored("conv/kernel~scale")).toEqual([2 ** -7, 2 ** -8]);
    // 0.1 · 2¹⁴ = 1638.4 and −0.2 · 2¹⁵ = −6553.6
    expect(stored("conv/bias~int32")).toEqual([1638, -6554]);
    // 0.5 and −0.25 are 64 and −32 steps: (64·127 − 32·64 + 1638) / 2¹⁴ is 120.6 steps of 2⁻⁸; the other sum is negative.
    const expected = [121 / 256, 0];
    const session = await createSession(compile(tiny, weights, { form: "int8", quantization }));
    const { act } = await session.run({ images: floatTensor([1, 1, 1, 2], Float32Array.of(0.5, -0.25)) });
    await session.dispose();
    expect([...(act!.data as Float32Array)]).toEqual(expected);
    const feeds = new Map([...rounded.weights].map(([name, { data }]) => [name, Float64Array.from(data as Int8Array)]));
    feeds.set("images", Float64Array.of(0.5, -0.25));
    expect([...interpret(rounded.graph, feeds).get("act")!]).toEqual(expected);
  });

  it("prints as operators", () => {
    expect(printOpGraph(quantizeGraph(folded, quantization).graph)).toMatchInlineSnapshot(`
      "input images: 1×1×1×2
      parameter conv/kernel~int8: int8 2×2×1×1
      parameter conv/kernel~scale: 2
      parameter conv/bias~int32: int32 2
      parameter conv/bias~scale: 2
      constant constant: scalar = 0.0078125
      constant constant.1: scalar = 0.00390625
      transpose: 1×2×1×1 = transpose(images) {permutation: 0 3 1 2}
      transpose~uint8: uint8 1×2×1×1 = quantizeLinear(transpose, constant) {zeroPoint: 128}
      transpose~rounded: 1×2×1×1 = dequantizeLinear(transpose~uint8, constant) {zeroPoint: 128, axis: 0}
      conv/kernel: 2×2×1×1 = dequantizeLinear(conv/kernel~int8, conv/kernel~scale) {zeroPoint: 0, axis: 0}
      conv/bias: 2 = dequantizeLinear(conv/bias~int32, conv/bias~scale) {zeroPoint: 0, axis: 0}
      conv: 1×2×1×1 = conv(transpose~rounded, conv/kernel, conv/bias) {groups: 1, strides: 1 1, pads: 0 0 0 0}
      act: 1×2×1×1 = relu(conv)
      act~uint8: uint8 1×2×1×1 = quantizeLinear(act, constant.1) {zeroPoint: 0}
      act~rounded: 1×2×1×1 = dequantizeLinear(act~uint8, constant.1) {zeroPoint: 0, axis: 0}
      transpose.1: 1×1×1×2 = transpose(act~rounded) {permutation: 0 2 3 1}
      output act = transpose.1
      "
    `);
  });

  it("stores 7 bits on request, and leaves layers in float32", () => {
    const seven = quantizeGraph(folded, { ...quantization, weightBits: 7 }).weights;
    expect([...(seven.get("conv/kernel~int8")!.data as Int8Array)]).toEqual([63, 32, -63, 32]);
    const kept = quantizeGraph(folded, { ...quantization, floatLayers: ["conv"] });
    expect(kept.weights).toEqual(folded.weights);
    expect(printOpGraph(kept.graph)).toBe(printOpGraph(folded.graph));
  });

  it("stores one scale for a kernel on request", async () => {
    const whole = { ...quantization, perTensor: true };
    const { weights: stored } = quantizeGraph(folded, whole);
    // The second filter, of half the size, has half the integers.
    expect([...(stored.get("conv/kernel~int8")!.data as Int8Array)]).toEqual([127, 64, -63, 32]);
    expect(stored.get("conv/kernel~scale")).toEqual(floatTensor([], Float32Array.of(2 ** -7)));
    // −0.2 · 2¹⁴ = −3276.8
    expect([...(stored.get("conv/bias~int32")!.data as Int32Array)]).toEqual([1638, -3277]);
    const session = await createSession(compile(tiny, weights, { form: "int8", quantization: whole }));
    const { act } = await session.run({ images: floatTensor([1, 1, 1, 2], Float32Array.of(0.5, -0.25)) });
    await session.dispose();
    expect([...(act!.data as Float32Array)]).toEqual([121 / 256, 0]);
  });

  it("needs limits, and finite weights", () => {
    expect(() => compile(tiny, weights, { form: "int8" })).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: form "int8": it needs the option quantization; expected limits of activations.]`,
    );
    const strange = new Map(weights).set("conv/bias", floatTensor([2], Float32Array.of(Number.NaN, 0)));
    const attempt = () => compile(tiny, strange, { form: "int8", quantization });
    expect(attempt).toThrowErrorMatchingInlineSnapshot(
      `[WeightsError: weight "conv/bias": a number is NaN or infinite, which no integer stands for; received NaN. Store float32.]`,
    );
  });

  it("agrees with the float64 interpreter in a network with a residual, pooling and a classifier", async () => {
    let x = input([9, 8, 3]);
    x = relu(batchNormalization(conv2d(x, { filters: 6, kernelSize: 3, useBias: false })));
    const shortcut = batchNormalization(conv2d(x, { filters: 7, kernelSize: 1, strides: 2, useBias: false }));
    x = relu(batchNormalization(separableConv2d(x, { filters: 6, kernelSize: 3, padding: "same", useBias: false })));
    x = batchNormalization(separableConv2d(x, { filters: 7, kernelSize: 3, padding: "same", useBias: false }));
    x = add([maxPooling2d(x, { kernelSize: 3, strides: 2, padding: "same" }), shortcut]);
    const net = network("n", dense(globalAveragePooling2d(relu(x)), { units: 4, activation: "softmax" }));
    const known = syntheticWeights(net);
    const { graph } = lower(net, { mode: "inference", batchSize: 1 });
    const plain = foldBatchNorm(graph, toEngineWeights(net, known));
    const random = mulberry32(5);
    const images = floatTensor(
      [1, 9, 8, 3],
      Float32Array.from({ length: 216 }, () => 2 * random() - 1),
    );
    const feedsOf = (tensors: ReadonlyMap<string, Tensor>) => {
      const feeds = [...tensors].map(([name, { data }]) => [name, Float64Array.from(data as Int8Array)] as const);
      return new Map(feeds).set("images", Float64Array.from(images.data));
    };
    // Limits from the interpreter's own numbers.
    const values = roundedActivations(integerLayers(plain.graph));
    const numbers = interpret({ ...plain.graph, outputs: values }, feedsOf(plain.weights));
    const scales = [...numbers].map(
      ([name, data]) => [name, byteScaleOf(Math.min(...data), Math.max(...data))] as const,
    );
    const limits = { weightBits: 7, activations: new Map(scales), floatLayers: [] } as const;
    const integer = quantizeGraph(plain, limits);
    const expected = interpret(integer.graph, feedsOf(integer.weights)).get(net.output)!;
    const float = interpret(plain.graph, feedsOf(plain.weights)).get(net.output)!;
    const session = await createSession(compile(net, known, { form: "int8", quantization: limits }));
    const { [net.output]: actual } = await session.run({ images });
    await session.dispose();
    for (const [index, value] of expected.entries()) {
      expect(actual!.data[index]).toBeCloseTo(value, 4);
      expect(Math.abs(value - float[index]!)).toBeLessThan(0.02);
    }
    expect(expected).not.toEqual(float);
    // The same rounding in float32, but for biases of 32 bits and scales of 16 binary digits.
    const { graph: fake } = fakeQuantize(graph, limits);
    const rounded = interpret(fake, feedsOf(toEngineWeights(net, known))).get(net.output)!;
    for (const [index, value] of expected.entries()) expect(rounded[index]).toBeCloseTo(value, 4);
  });
});

describe("limits of an activation", () => {
  const random = mulberry32(1);
  /** Nearly normal: the sum of twelve uniform numbers has variance 1. */
  const normal = () => Array.from({ length: 12 }, random).reduce((sum, each) => sum + each, -6);
  const numbers = Float32Array.from({ length: 60_000 }, normal);

  it("minmax are the extremes, and zero is always exact", () => {
    const histogram = new Histogram();
    for (const values of [[-1, 0.5], [3], [0]]) histogram.add(Float32Array.from(values));
    expect(scaleFrom(histogram, "minmax")).toEqual({ scale: Math.fround(4 / 255), zeroPoint: 64 });
    const positive = new Histogram();
    positive.add(Float32Array.of(2, 5.1));
    expect(scaleFrom(positive, "minmax")).toEqual({ scale: Math.fround(Math.fround(5.1) / 255), zeroPoint: 0 });
    expect(scaleFrom(new Histogram(), "mse")).toEqual({ scale: 1, zeroPoint: 0 });
  });

  it.each(limitMethods)("%s cuts off outliers as it should", (method) => {
    const histogram = new Histogram();
    for (let copy = 0; copy < 10; copy++) histogram.add(numbers);
    histogram.add(Float32Array.of(12));
    const { scale, zeroPoint } = scaleFrom(histogram, method);
    const high = (255 - zeroPoint) * scale;
    if (method === "minmax") expect(high).toBeCloseTo(12, 1);
    // 0.01 % of a normal distribution lie beyond 3.72.
    else expect(high, `${high}`).toBeLessThan(method === "percentile" ? 3.8 : 8);
    expect(-zeroPoint * scale).toBeGreaterThan(-5);
  });

  it("mse has the smallest squared error of rounding all numbers", () => {
    const histogram = new Histogram();
    histogram.add(numbers);
    const errorOf = ({ scale, zeroPoint }: { scale: number; zeroPoint: number }) =>
      numbers.reduce((sum, value) => {
        const byte = Math.min(Math.max(Math.round(value / scale) + zeroPoint, 0), 255);
        return sum + (value - (byte - zeroPoint) * scale) ** 2;
      }, 0);
    const least = errorOf(scaleFrom(histogram, "mse"));
    for (const size of [2.5, 3, 3.5, 4, 4.5, 5]) expect(least).toBeLessThan(1.03 * errorOf(byteScaleOf(-size, size)));
  });

  it("a histogram is the same whatever the order of its sizes", () => {
    const [growing, shrinking] = [new Histogram(), new Histogram()];
    for (const size of [0.01, 1, 30]) growing.add(numbers.map((value) => value * size));
    for (const size of [30, 1, 0.01]) shrinking.add(numbers.map((value) => value * size));
    expect(growing.counts).toEqual(shrinking.counts);
    expect(growing).toMatchObject({ low: shrinking.low, high: shrinking.high, range: shrinking.range });
  });
});
