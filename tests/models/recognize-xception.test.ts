import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Network } from "../../src/graph/network.ts";
import { sameLayers } from "../../src/models/layer-list.ts";
import { architectureOf, buildNetwork, recognizeArchitecture } from "../../src/models/registry.ts";
import type { XceptionOptions } from "../../src/models/xception/options.ts";
import { xception } from "../../src/models/xception/paper.ts";

/** The same network under other names, with ReLU layers for activations. */
function renamed(network: Network): Network {
  const names = new Map(network.layers.map(({ name }, index) => [name, `layer_${index}`]));
  const list = architectureOf(network);
  if (list.family !== "layers") throw new Error("no list");
  const layers = list.layers.map(({ name, config, inbound }) => ({
    name: names.get(name)!,
    config: config.type === "Activation" && config.activation === "relu" ? ({ type: "ReLU" } as const) : config,
    inbound: inbound.map((source) => names.get(source)!),
  }));
  return buildNetwork({ ...list, layers, output: names.get(list.output)! });
}

const top = fc.oneof(
  fc.record({
    classes: fc.integer({ min: 1, max: 20 }),
    classifierActivation: fc.constantFrom("softmax", "sigmoid", "none"),
    dropout: fc.constantFrom(0, 0.5),
    fcUnits: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 2 }),
  }),
  fc.record({ includeTop: fc.constant(false), pooling: fc.constantFrom("none", "avg", "max") }),
);
const body = fc.record({
  variant: fc.constantFrom("paper", "tutorial"),
  inputShape: fc.tuple(fc.integer({ min: 71, max: 200 }), fc.integer({ min: 71, max: 200 }), fc.constantFrom(1, 3)),
  width: fc.constantFrom(1, 0.25, 0.05, 0.5, 0.33, 2, 0.0625),
  residual: fc.boolean(),
  intermediateActivation: fc.constantFrom("none", "relu", "elu"),
  middleFlowRepeats: fc.integer({ min: 0, max: 9 }),
  batchNormEpsilon: fc.constantFrom(1e-3, 1e-5),
  poolPadding: fc.constantFrom("same", "symmetric"),
});
const anyOptions = fc.tuple(body, top).map(([flow, rest]) => ({ ...flow, ...rest }) as XceptionOptions);

test("every Xception is recognized under any names, as one with the same layers", () => {
  fc.assert(
    fc.property(anyOptions, (options) => {
      const network = renamed(xception(options));
      const found = recognizeArchitecture(network);
      expect(found?.family).toBe("xception");
      expect(sameLayers(network, buildNetwork(found!))).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test("the options are those that somebody would have given", () => {
  expect(recognizeArchitecture(xception())).toEqual({
    family: "xception",
    options: {
      variant: "paper",
      inputShape: [299, 299, 3],
      classes: 1000,
      classifierActivation: "softmax",
      width: 1,
      fcUnits: [],
      residual: true,
      intermediateActivation: "none",
      middleFlowRepeats: 8,
    },
  });
  expect(recognizeArchitecture(xception({ width: 0.25, variant: "tutorial" }))).toMatchObject({
    options: { width: 0.25, variant: "tutorial" },
  });
});

describe("a network that differs in one layer is none of ours", () => {
  const list = architectureOf(xception({ width: 0.0625, middleFlowRepeats: 1, classes: 2 }));
  if (list.family !== "layers") throw new Error("no list");
  const changed = (position: number, change: object) =>
    buildNetwork({
      ...list,
      layers: list.layers.map((layer, index) =>
        index === position ? { ...layer, config: { ...layer.config, ...change } as typeof layer.config } : layer,
      ),
    });
  test.each([
    ["block1_conv2_bn", { epsilon: 1e-5 }],
    ["block1_conv2_act", { activation: "elu" }],
    ["block5_sepconv2", { kernelSize: [5, 5] }],
    ["avg_pool", { type: "GlobalMaxPooling2D" }],
  ])("%s", (name, change) => {
    const position = list.layers.findIndex((layer) => layer.name === name);
    expect(recognizeArchitecture(changed(position, change))).toBeUndefined();
  });
});

test("one with an epsilon that no option allows is a list of layers", () => {
  const list = architectureOf(xception({ inputShape: [71, 71, 3], width: 0.05, middleFlowRepeats: 0 }));
  if (list.family !== "layers") throw new Error("no list");
  for (const epsilon of [0, 2]) {
    const layers = list.layers.map(({ config, ...layer }) => ({
      ...layer,
      config: config.type === "BatchNormalization" ? { ...config, epsilon } : config,
    }));
    expect(recognizeArchitecture(buildNetwork({ ...list, layers }))).toBeUndefined();
  }
});
