import { describe, expect, it } from "vitest";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import {
  averagePooling2d,
  batchNormalization,
  concatenate,
  dense,
  dropout,
  flatten,
  globalAveragePooling2d,
  globalMaxPooling2d,
  input,
  type LayerOutput,
  leakyRelu,
  maxPooling2d,
  separableConv2d,
  zeroPadding2d,
} from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { toEngineWeights, type Weights } from "../../src/graph/weights.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

describe("lower", () => {
  it("writes a separable convolution as two and preprocessing into the graph", () => {
    const x = separableConv2d(input([5, 4, 3]), { filters: 8, kernelSize: 3, padding: "same", useBias: false });
    const net = network("n", dense(globalAveragePooling2d(x), { units: 2, activation: "softmax" }));
    const { graph } = lower(net, { mode: "inference", batchSize: 2, preprocessing: kerasPreprocessing });
    expect(printOpGraph(graph)).toMatchInlineSnapshot(`
      "input images: uint8 2×5×4×3
      parameter separable_conv2d/depthwise_kernel: 3×1×3×3
      parameter separable_conv2d/pointwise_kernel: 8×3×1×1
      parameter dense/kernel: 8×2
      parameter dense/bias: 2
      constant constant: scalar = 0.007843138
      constant constant.1: scalar = -1
      transpose: uint8 2×3×5×4 = transpose(images) {permutation: 0 3 1 2}
      cast: 2×3×5×4 = cast(transpose) {to: float32}
      multiply: 2×3×5×4 = multiply(cast, constant)
      add: 2×3×5×4 = add(multiply, constant.1)
      separable_conv2d/depthwise: 2×3×5×4 = conv(add, separable_conv2d/depthwise_kernel) {groups: 3, strides: 1 1, pads: 1 1 1 1}
      separable_conv2d: 2×8×5×4 = conv(separable_conv2d/depthwise, separable_conv2d/pointwise_kernel) {groups: 1, strides: 1 1, pads: 0 0 0 0}
      global_average_pooling2d: 2×8 = reduceMean(separable_conv2d) {axes: 2 3, keepDims: false}
      dense/product: 2×2 = matMul(global_average_pooling2d, dense/kernel) {transposeA: false, transposeB: false}
      dense/logits: 2×2 = add(dense/product, dense/bias)
      dense: 2×2 = softmax(dense/logits)
      output dense = dense
      "
    `);
  });

  it("feeds dropout's mask in training and leaves dropout out of inference", () => {
    const net = network("n", dense(dropout(globalAveragePooling2d(input([3, 3, 4])), 0.25), { units: 2 }));
    const training = lower(net, { mode: "training", batchSize: 3 });
    expect(training.dropoutMasks).toEqual([
      { mask: { name: "dropout/mask", type: "float32", shape: [3, 4] }, rate: 0.25 },
    ]);
    expect(training.graph.operations.map(({ config }) => config.kind)).toContain("multiply");
    const inference = lower(net, { mode: "inference", batchSize: 3 });
    expect(inference.dropoutMasks).toEqual([]);
    expect(inference.graph.operations.map(({ config }) => config.kind)).not.toContain("multiply");
  });

  it("keeps the batch open through global max pooling", async () => {
    const net = network("n", globalMaxPooling2d(input([2, 2, 2])));
    const { graph } = lower(net, { mode: "inference", batchSize: 1 });
    const session = await createSession(toOnnx(graph, { dynamicBatch: true }), { threads: 1 });
    const images = floatTensor([2, 2, 2, 2], Float32Array.of(1, -5, 3, -2, 2, -9, 0, -4, 8, 7, 6, 5, 4, 3, 2, 9));
    const { global_max_pooling2d: maxima } = await session.run({ images });
    await session.dispose();
    expect(maxima!.shape).toEqual([2, 2]);
    expect([...(maxima!.data as Float32Array)]).toEqual([3, -2, 8, 9]);
  });

  /** Two images of two channels through one layer; the batch size is left open. */
  async function valuesOf(layer: (x: LayerOutput) => LayerOutput, weights: Weights = new Map()) {
    const net = network("n", layer(input([2, 2, 2])));
    const { graph } = lower(net, { mode: "inference", batchSize: 1 });
    const onnx = toOnnx(graph, { dynamicBatch: true, weights: toEngineWeights(net, weights) });
    const session = await createSession(onnx, { threads: 1 });
    const pixels = Float32Array.of(1, 10, 2, 20, 3, 30, 4, 40, -1, 5, -2, 6, -3, 7, -4, 8);
    const results = await session.run({ images: floatTensor([2, 2, 2, 2], pixels) });
    await session.dispose();
    return [results[net.output]!.shape, [...(results[net.output]!.data as Float32Array)]];
  }

  it("averages the pixels inside the image, and no padding", async () => {
    expect(await valuesOf((x) => averagePooling2d(x, { kernelSize: 2, strides: 1, padding: "same" }))).toEqual([
      [2, 2, 2, 2],
      [2.5, 25, 3, 30, 3.5, 35, 4, 40, -2.5, 6.5, -3, 7, -3.5, 7.5, -4, 8],
    ]);
  });

  it("flattens images channels last, as Keras does", async () => {
    const pixels = [1, 10, 2, 20, 3, 30, 4, 40, -1, 5, -2, 6, -3, 7, -4, 8];
    expect(await valuesOf((x) => flatten(x))).toEqual([[2, 8], pixels]);
    expect(await valuesOf((x) => flatten(flatten(x)))).toEqual([[2, 8], pixels]);
  });

  it("joins feature maps along their channels, rows or columns, and vectors", async () => {
    expect((await valuesOf((x) => concatenate([x, leakyRelu(x, 0.5)])))[1]!.slice(8)).toEqual([
      3, 30, 3, 30, 4, 40, 4, 40, -1, 5, -0.5, 5, -2, 6, -1, 6, -3, 7, -1.5, 7, -4, 8, -2, 8,
    ]);
    const rows = await valuesOf((x) => concatenate([x, x], { axis: 1 }));
    expect(rows[0]).toEqual([2, 4, 2, 2]);
    expect(rows[1]!.slice(0, 16)).toEqual([1, 10, 2, 20, 3, 30, 4, 40, 1, 10, 2, 20, 3, 30, 4, 40]);
    const columns = await valuesOf((x) => concatenate([x, x], { axis: 2 }));
    expect(columns[0]).toEqual([2, 2, 4, 2]);
    expect(columns[1]!.slice(0, 8)).toEqual([1, 10, 2, 20, 1, 10, 2, 20]);
    const vectors = await valuesOf((x) => concatenate([globalMaxPooling2d(x), globalMaxPooling2d(x)]));
    expect(vectors).toEqual([
      [2, 4],
      [4, 40, 4, 40, -1, 8, -1, 8],
    ]);
  });

  it("puts zeros around an image, another number on each side", async () => {
    const margins = [
      [0, 1],
      [1, 0],
    ] as const;
    const [shape, values] = await valuesOf((x) => zeroPadding2d(x, margins));
    expect(shape).toEqual([2, 3, 3, 2]);
    expect(values!.slice(0, 18)).toEqual([0, 0, 1, 10, 2, 20, 0, 0, 3, 30, 4, 40, 0, 0, 0, 0, 0, 0]);
  });

  it("normalizes without gamma and beta", async () => {
    const statistics = new Map([
      ["bn/moving_mean", floatTensor([2], Float32Array.of(1, 2))],
      ["bn/moving_variance", floatTensor([2], Float32Array.of(3, 15))],
    ]);
    const normalized = { name: "bn", epsilon: 1, scale: false, center: false };
    expect((await valuesOf((x) => batchNormalization(x, normalized), statistics))[1]).toEqual([
      0, 2, 0.5, 4.5, 1, 7, 1.5, 9.5, -1, 0.75, -1.5, 1, -2, 1.25, -2.5, 1.5,
    ]);
  });

  it("puts out layers channels last, under their names", async () => {
    const net = network("n", maxPooling2d(input([2, 4, 2]), { kernelSize: 2, name: "pool" }));
    const { graph } = lower(net, { mode: "inference", batchSize: 1, outputs: ["pool", "input_layer"] });
    const session = await createSession(toOnnx(graph), { threads: 1 });
    const pixels = Float32Array.from({ length: 16 }, (_, index) => index);
    const results = await session.run({ images: floatTensor([1, 2, 4, 2], pixels) });
    await session.dispose();
    expect(results.pool).toEqual(floatTensor([1, 1, 2, 2], Float32Array.of(10, 11, 14, 15)));
    expect(results.input_layer!.data).toEqual(pixels);
  });

  it("refuses an output that is no layer", () => {
    const net = network("small", input([2, 2, 1]));
    expect(() => lower(net, { mode: "inference", batchSize: 1, outputs: ["blocks9"] })).toThrow(
      'output "blocks9": network "small" has no layer of this name.',
    );
  });
});
