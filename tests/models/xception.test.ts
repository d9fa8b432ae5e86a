import { describe, expect, it } from "vitest";
import { input } from "../../src/graph/builder.ts";
import { countParameters, type Network, networkWeights } from "../../src/graph/network.ts";
import type { XceptionOptions, XceptionVariant } from "../../src/models/xception/options.ts";
import { entryFlow, exitFlow, middleFlow, xception } from "../../src/models/xception/paper.ts";
import { tutorialEntryFlow, tutorialExitFlow, tutorialMiddleFlow } from "../../src/models/xception/tutorial.ts";
import paperGolden from "../golden/xception-paper-299.layers.json" with { type: "json" };
import tutorialGolden from "../golden/xception-tutorial-299.layers.json" with { type: "json" };

const variants: readonly XceptionVariant[] = ["paper", "tutorial"];
const goldens = { paper: paperGolden, tutorial: tutorialGolden };

const parametersOf = (net: Network) => countParameters(networkWeights(net));
const layerOf = (net: Network, name: string) => net.layers.find((layer) => layer.name === name);
const outputOf = (net: Network) => layerOf(net, net.output)!;
const countOf = (net: Network, type: string) => net.layers.filter(({ config }) => config.type === type).length;

/** A network in the form of the golden files, which Keras wrote. */
function asGolden(net: Network) {
  const { total, trainable } = parametersOf(net);
  return {
    total,
    trainable,
    layers: net.layers.map(({ name, config, inbound, outputShape, weights }) => ({
      name,
      type: config.type,
      output: [null, ...outputShape],
      params: countParameters(weights).total,
      inbound,
      weights: weights.map((weight) => [weight.name, weight.shape, weight.trainable]),
    })),
  };
}

describe.each(variants)("the %s variant", (variant) => {
  const net = xception({ variant });

  it("is layer by layer the network that Keras builds", () => {
    expect(asGolden(net)).toEqual(goldens[variant]);
  });

  it("has 22,855,952 trainable parameters and 54,528 others", () => {
    expect(parametersOf(net)).toEqual({ total: 22_910_480, trainable: 22_855_952, nonTrainable: 54_528 });
  });

  it("normalizes with Keras's momentum and epsilon, and has no bias but the classifier's", () => {
    for (const { config } of net.layers) {
      if (config.type === "BatchNormalization") expect(config).toMatchObject({ momentum: 0.99, epsilon: 1e-3 });
    }
    const biases = networkWeights(net).filter(({ role }) => role === "bias");
    expect(biases.map(({ shape }) => shape)).toEqual([[1000]]);
  });

  it("slides 3×3 windows of Keras's padding and activates with ReLU", () => {
    const separable = { kernelSize: [3, 3], strides: [1, 1], padding: "same", useBias: false };
    const stem = { kernelSize: [3, 3], padding: variant === "paper" ? "valid" : "same", useBias: false };
    const shortcut = { kernelSize: [1, 1], strides: [2, 2], padding: "same", useBias: false };
    const convolutions = net.layers.map(({ config }) => config).filter(({ type }) => type === "Conv2D");
    expect(convolutions).toMatchObject([
      { ...stem, strides: [2, 2] },
      { ...stem, strides: [1, 1] },
      ...new Array(4).fill(shortcut),
    ]);
    for (const { config } of net.layers) {
      if (config.type === "SeparableConv2D") expect(config).toMatchObject(separable);
      if (config.type === "MaxPooling2D") {
        expect(config).toMatchObject({ poolSize: [3, 3], strides: [2, 2], padding: "same" });
      }
      if (config.type === "Activation") expect(config.activation).toBe("relu");
    }
  });

  it("ends in a softmax over the classes", () => {
    expect(outputOf(net).config).toEqual({ type: "Dense", units: 1000, activation: "softmax", useBias: true });
  });
});

describe("the feature maps", () => {
  it("of the paper variant shrink as Keras's: 149, 147, 74, 37, 19, 19, 10", () => {
    const net = xception();
    const names = ["block1_conv1", "block1_conv2", "add", "add_1", "add_2", "add_10", "block14_sepconv2_act"];
    expect(names.map((name) => layerOf(net, name)!.outputShape)).toEqual([
      [149, 149, 32],
      [147, 147, 64],
      [74, 74, 128],
      [37, 37, 256],
      [19, 19, 728],
      [19, 19, 728],
      [10, 10, 2048],
    ]);
  });

  it("of each flow can be asked for alone, in both variants", () => {
    const tutorial = {
      entryFlow: tutorialEntryFlow,
      middleFlow: tutorialMiddleFlow,
      exitFlow: tutorialExitFlow,
    };
    for (const flows of [{ entryFlow, middleFlow, exitFlow }, tutorial]) {
      const entry = flows.entryFlow(input([299, 299, 3]));
      expect(entry.shape).toEqual([19, 19, 728]);
      const middle = flows.middleFlow(entry, { repeats: 1 });
      expect(middle.shape).toEqual([19, 19, 728]);
      expect(flows.exitFlow(middle).shape).toEqual([10, 10, 2048]);
    }
  });

  it.each([
    [
      [71, 71, 3],
      [3, 3, 2048],
    ],
    [
      [150, 150, 3],
      [5, 5, 2048],
    ],
    [
      [96, 133, 1],
      [3, 4, 2048],
    ],
  ] as const)("of an image of %j end at %j", (inputShape, expected) => {
    expect(outputOf(xception({ inputShape, includeTop: false })).outputShape).toEqual(expected);
  });
});

describe("option", () => {
  it.each(variants)("width multiplies every channel count, in eights (%s)", (variant) => {
    const net = xception({ variant, width: 0.25 });
    const filters = net.layers.flatMap(({ config }) => ("filters" in config ? [config.filters] : []));
    // A quarter of 728 is 182, of 1536 is 384; 182 is nearer to 184 than to 176.
    expect(new Set(filters)).toEqual(new Set([8, 16, 32, 64, 184, 256, 384, 512]));
    expect(outputOf(net).outputShape).toEqual([1000]);
    const tiny = xception({ variant, width: 0.001, includeTop: false });
    expect(outputOf(tiny).outputShape.at(-1)).toBe(8);
  });

  it.each(variants)("residual: false leaves out every sum and shortcut (%s)", (variant) => {
    const net = xception({ variant, residual: false });
    expect(countOf(xception({ variant }), "Add")).toBe(12);
    expect(countOf(net, "Add")).toBe(0);
    expect(countOf(net, "Conv2D")).toBe(2);
    expect(net.layers.every(({ inbound }) => inbound.length <= 1)).toBe(true);
    expect(layerOf(net, net.layers.at(-1)!.name)!.outputShape).toEqual([1000]);
  });

  it.each(variants)("intermediateActivation reaches every separable convolution (%s)", (variant) => {
    for (const [given, expected] of [
      ["none", "linear"],
      ["relu", "relu"],
      ["elu", "elu"],
    ] as const) {
      const net = xception({ variant, intermediateActivation: given });
      const activations = net.layers.flatMap(({ config }) =>
        config.type === "SeparableConv2D" ? [config.intermediateActivation] : [],
      );
      expect(activations).toEqual(new Array(34).fill(expected));
    }
  });

  it.each(variants)("fcUnits puts fully connected layers before the classifier (%s)", (variant) => {
    const net = xception({ variant, fcUnits: [4096, 2048], classes: 17 });
    const top = net.layers.slice(-3);
    expect(top.map(({ name, outputShape }) => [name, outputShape])).toEqual([
      ["fc1", [4096]],
      ["fc2", [2048]],
      [variant === "paper" ? "predictions" : "dense", [17]],
    ]);
    expect(top[0]!.config).toMatchObject({ type: "Dense", activation: "relu", useBias: true });
    expect(top.map(({ weights }) => countParameters(weights).total)).toEqual([
      2048 * 4096 + 4096,
      4096 * 2048 + 2048,
      2048 * 17 + 17,
    ]);
  });

  it.each(variants)("dropout stands between the features and the classifier (%s)", (variant) => {
    const net = xception({ variant, dropout: 0.5, fcUnits: [64] });
    expect(layerOf(net, "dropout")).toMatchObject({ config: { type: "Dropout", rate: 0.5 }, inbound: ["fc1"] });
    expect(outputOf(net).inbound).toEqual(["dropout"]);
    expect(countOf(xception({ variant }), "Dropout")).toBe(0);
  });

  it.each(variants)("includeTop: false ends with the feature maps, pooled if asked for (%s)", (variant) => {
    const withoutTop: XceptionOptions = { variant, includeTop: false };
    expect(outputOf(xception(withoutTop)).outputShape).toEqual([10, 10, 2048]);
    const average = outputOf(xception({ ...withoutTop, pooling: "avg" }));
    expect(average).toMatchObject({ config: { type: "GlobalAveragePooling2D" }, outputShape: [2048] });
    const maximum = outputOf(xception({ ...withoutTop, pooling: "max" }));
    expect(maximum).toMatchObject({ config: { type: "GlobalMaxPooling2D" }, outputShape: [2048] });
    // Keras says 20,861,480 for the network without its top.
    expect(parametersOf(xception(withoutTop)).total).toBe(20_861_480);
  });

  it.each(variants)("classes and classifierActivation shape the classifier (%s)", (variant) => {
    const configOf = (options: XceptionOptions) => outputOf(xception({ variant, ...options })).config;
    expect(configOf({ classes: 5, classifierActivation: "none" })).toMatchObject({ units: 5, activation: "linear" });
    expect(configOf({ classes: 1, classifierActivation: "sigmoid" })).toMatchObject({
      units: 1,
      activation: "sigmoid",
    });
  });

  it.each(variants)("middleFlowRepeats sets the number of middle blocks (%s)", (variant) => {
    for (const repeats of [0, 1, 12]) {
      const net = xception({ variant, middleFlowRepeats: repeats });
      expect(countOf(net, "Add")).toBe(4 + repeats);
      expect(countOf(net, "SeparableConv2D")).toBe(10 + 3 * repeats);
      expect(outputOf(net).outputShape).toEqual([1000]);
    }
  });

  it("middleFlowRepeats numbers the paper's exit blocks after the middle ones", () => {
    const names = xception({ middleFlowRepeats: 2 }).layers.map(({ name }) => name);
    expect(names).toContain("block7_pool");
    expect(names).toContain("block8_sepconv2_act");
    expect(names).not.toContain("block9_sepconv1");
  });

  it("seed is kept with the network", () => {
    expect(xception().seed).toBe(0);
    expect(xception({ seed: 42 }).seed).toBe(42);
  });
});
