import { describe, expect, it } from "vitest";
import * as build from "../../src/graph/builder.ts";
import { countParameters, inputShapeOf, network, networkWeights } from "../../src/graph/network.ts";

const input = () => build.input([9, 8, 3]);
const names = (output: build.LayerOutput) => network("net", output).layers.map(({ name }) => name);

describe("the order of layers", () => {
  it("is Keras's: the longest way to the output first, as in a block with a residual convolution", () => {
    const x = input();
    const shortcut = build.batchNormalization(build.conv2d(x, { filters: 3, kernelSize: 1, name: "short" }), {
      name: "short_bn",
    });
    let y = build.relu(x, { name: "act" });
    y = build.separableConv2d(y, { filters: 3, kernelSize: 3, padding: "same", name: "sep" });
    y = build.batchNormalization(y, { name: "sep_bn" });
    // Of equal depth, sep and short stand in the order in which the sum names their branches.
    expect(names(build.add([y, shortcut], { name: "sum" }))).toEqual([
      "input_layer",
      "act",
      "sep",
      "short",
      "sep_bn",
      "short_bn",
      "sum",
    ]);
    expect(names(build.add([shortcut, y], { name: "turned" }))).toEqual([
      "input_layer",
      "act",
      "short",
      "sep",
      "short_bn",
      "sep_bn",
      "turned",
    ]);
  });

  it("puts a layer before all its readers, however far they are", () => {
    const x = build.relu(input(), { name: "shared" });
    const far = build.relu(build.relu(x, { name: "one" }), { name: "two" });
    expect(names(build.add([x, far]))).toEqual(["input_layer", "shared", "one", "two", "add"]);
  });

  it("leaves out layers that the output does not depend on", () => {
    const x = input();
    build.relu(x, { name: "unused" });
    expect(names(build.relu(x, { name: "used" }))).toEqual(["input_layer", "used"]);
  });

  it("holds for a long chain of residual blocks", () => {
    let x = input();
    for (let block = 0; block < 500; block++) x = build.add([build.relu(x), x]);
    expect(network("deep", x).layers).toHaveLength(1001);
  });
});

describe("a network", () => {
  const x = input();
  let y = build.conv2d(x, { filters: 4, kernelSize: [3, 2], name: "conv" });
  y = build.separableConv2d(y, { filters: 5, kernelSize: 3, name: "sep" });
  y = build.batchNormalization(y, { name: "bn" });
  y = build.dense(build.globalAveragePooling2d(y, { name: "pool" }), { units: 2, name: "top" });
  const net = network("small", y, 7);

  it("is plain data", () => {
    expect(net).toMatchObject({ name: "small", output: "top", seed: 7 });
    expect(JSON.parse(JSON.stringify(net))).toEqual(net);
    expect(inputShapeOf(net)).toEqual([9, 8, 3]);
    expect(net.layers.map(({ name, inbound, outputShape }) => [name, inbound, outputShape])).toEqual([
      ["input_layer", [], [9, 8, 3]],
      ["conv", ["input_layer"], [7, 7, 4]],
      ["sep", ["conv"], [5, 5, 5]],
      ["bn", ["sep"], [5, 5, 5]],
      ["pool", ["bn"], [5]],
      ["top", ["pool"], [2]],
    ]);
  });

  it("has its weights in Keras's order and layout", () => {
    expect(networkWeights(net).map(({ name, role, shape }) => [name, role, shape])).toEqual([
      ["conv/kernel", "kernel", [3, 2, 3, 4]],
      ["conv/bias", "bias", [4]],
      ["sep/depthwise_kernel", "depthwiseKernel", [3, 3, 4, 1]],
      ["sep/pointwise_kernel", "pointwiseKernel", [1, 1, 4, 5]],
      ["sep/bias", "bias", [5]],
      ["bn/gamma", "gamma", [5]],
      ["bn/beta", "beta", [5]],
      ["bn/moving_mean", "movingMean", [5]],
      ["bn/moving_variance", "movingVariance", [5]],
      ["top/kernel", "denseKernel", [5, 2]],
      ["top/bias", "bias", [2]],
    ]);
  });

  it("starts kernels with Glorot's rule, scales and variances at 1, the rest at 0; statistics are not trained", () => {
    const starts = Object.fromEntries(networkWeights(net).map(({ role, initializer }) => [role, initializer]));
    expect(starts).toEqual({
      kernel: "glorotUniform",
      depthwiseKernel: "glorotUniform",
      pointwiseKernel: "glorotUniform",
      denseKernel: "glorotUniform",
      bias: "zeros",
      gamma: "ones",
      beta: "zeros",
      movingMean: "zeros",
      movingVariance: "ones",
    });
    const frozen = networkWeights(net).filter(({ trainable }) => !trainable);
    expect(frozen.map(({ role }) => role)).toEqual(["movingMean", "movingVariance"]);
  });

  it("counts its parameters", () => {
    // conv 72 + 4, sep 36 + 20 + 5, bn 10 and 10 not trained, top 10 + 2
    expect(countParameters(networkWeights(net))).toEqual({ total: 169, trainable: 159, nonTrainable: 10 });
    expect(countParameters([])).toEqual({ total: 0, trainable: 0, nonTrainable: 0 });
  });

  it("counts the article's example: 1,728 weights against 27 + 192", () => {
    const weightsOf = (layer: build.LayerOutput) => countParameters(networkWeights(network("n", layer))).total;
    const options = { filters: 64, kernelSize: 3, useBias: false };
    expect(weightsOf(build.conv2d(input(), options))).toBe(1728);
    expect(weightsOf(build.separableConv2d(input(), options))).toBe(219);
  });
});
