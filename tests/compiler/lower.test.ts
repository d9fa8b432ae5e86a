import { describe, expect, it } from "vitest";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import {
  dense,
  dropout,
  globalAveragePooling2d,
  globalMaxPooling2d,
  input,
  maxPooling2d,
  separableConv2d,
} from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
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
