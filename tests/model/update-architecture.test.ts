import { expect, test } from "vitest";
import { globalAveragePooling2d, input, separableConv2d } from "../../src/graph/builder.ts";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { network, networkWeights } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { updateArchitecture } from "../../src/model/update-architecture.ts";
import { type Architecture, architectureOf, buildNetwork } from "../../src/models/registry.ts";
import { smallModel } from "./small-model.ts";

const model = smallModel();

test.each<[string, Architecture]>([
  ["our Xception", model.architecture],
  ["a list of layers", architectureOf(model.network)],
  ["an aligned Xception", { family: "aligned-xception", options: { variant: "41p", width: 0.05, classes: 3 } }],
])("another number of classes keeps the body of %s and draws a classifier from the seed", (_, architecture) => {
  const before = buildNetwork(architecture);
  const weights = syntheticWeights(before);
  const updated = updateArchitecture({ architecture, weights }, { classes: 5, seed: 8 });
  expect(buildNetwork(updated.architecture)).toEqual(updated.network);
  const fresh = initializeWeights(updated.network);
  const names = networkWeights(before).map(({ name }) => name);
  expect([...updated.weights.keys()]).toEqual(names);
  for (const name of names.slice(0, -2)) expect(updated.weights.get(name)).toBe(weights.get(name));
  for (const name of names.slice(-2)) {
    expect(updated.weights.get(name)).toEqual(fresh.get(name));
    expect(updated.weights.get(name)!.shape.at(-1)).toBe(5);
  }
  expect(updated.network.seed).toBe(8);
});

test("gray images get the sum of the channels", () => {
  const { architecture, weights } = model;
  const gray = updateArchitecture({ architecture, weights }, { inputShape: [71, 80, 1] });
  const kernel = weights.get("block1_conv1/kernel")!.data;
  const sums = gray.weights.get("block1_conv1/kernel")!;
  expect(sums.shape).toEqual([3, 3, 1, 8]);
  for (let filter = 0; filter < 8; filter++) {
    expect(sums.data[filter]).toBeCloseTo(kernel[filter]! + kernel[8 + filter]! + kernel[16 + filter]!, 6);
  }
  for (const [name, tensor] of gray.weights) if (name !== "block1_conv1/kernel") expect(tensor).toBe(weights.get(name));
});

test("images of another size go through the same weights", () => {
  const { architecture, weights } = model;
  const larger = updateArchitecture({ architecture, weights }, { inputShape: [120, 97, 3] });
  expect(larger.network.layers[0]!.outputShape).toEqual([120, 97, 3]);
  expect([...larger.weights]).toEqual([...weights]);
});

test("the same numbers change nothing", () => {
  const { architecture, weights } = model;
  expect([...updateArchitecture({ architecture, weights }, { classes: 3 }).weights]).toEqual([...weights]);
});

test("refuses what it cannot change", () => {
  const { weights } = model;
  const architecture: Architecture = { family: "xception", options: { width: 0.05, includeTop: false } };
  const body = syntheticWeights(buildNetwork(architecture));
  expect(() => updateArchitecture({ architecture, weights: body }, { classes: 4 })).toThrow(
    'option classes: network "xception" has no classifier; received 4. Leave the option out.',
  );
  expect(() => updateArchitecture({ architecture, weights }, {})).toThrow("they are not the weights of this network");
  expect(() => updateArchitecture(model, { inputShape: [20, 20, 3] })).toThrow("71");

  const depthwise = network(
    "dw",
    globalAveragePooling2d(separableConv2d(input([8, 8, 3]), { filters: 2, kernelSize: 3, name: "first" })),
  );
  expect(() =>
    updateArchitecture(
      { architecture: architectureOf(depthwise), weights: syntheticWeights(depthwise) },
      { inputShape: [8, 8, 1] },
    ),
  ).toThrow(
    'option inputShape: the network cannot be adapted: "first/depthwise_kernel" is no kernel of a first convolution, and would need another shape; received "3×3×1×1"; expected 3×3×3×1.',
  );
});
