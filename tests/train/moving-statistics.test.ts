import { expect, it } from "vitest";
import { networkWeights } from "../../src/graph/network.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { statisticsMomentum, train, withStatisticsFor } from "../../src/train/train.ts";
import { coloredImages, smallNetwork } from "./train-fixtures.ts";

it.each([
  [0.99, 1, 0.8],
  [0.99, 15, 0.8],
  [0.99, 30, 0.9],
  [0.99, 150, 0.98],
  [0.99, 3000, 0.99],
  [0.5, 30, 0.5],
])("a momentum of %f becomes, with %i steps in an epoch, %f", (own, steps, expected) => {
  expect(statisticsMomentum(own, steps)).toBeCloseTo(expected, 12);
});

it("changes the batch normalizations of a network and nothing else", () => {
  const network = smallNetwork();
  const changed = withStatisticsFor(network, 30);
  expect(networkWeights(changed)).toEqual(networkWeights(network));
  for (const [index, layer] of network.layers.entries()) {
    const { config } = layer;
    const expected = config.type === "BatchNormalization" ? { ...config, momentum: 0.9 } : config;
    expect(changed.layers[index]).toEqual({ ...layer, config: expected });
  }
});

it("is what training uses, and a lower momentum of the network's own is kept", async () => {
  const quick = smallNetwork();
  const layers = quick.layers.map((layer) =>
    layer.config.type === "BatchNormalization" ? { ...layer, config: { ...layer.config, momentum: 0.5 } } : layer,
  );
  const dataset = coloredImages(6, 1);
  const options = { platform: nodePlatform, epochs: 1 };
  const kept = await train(dataset, { ...options, network: { ...quick, layers } });
  const adapted = await train(dataset, { ...options, network: quick });
  expect(adapted.network).toEqual(quick);
  // After one step of momentum μ the statistics are μ·0 + (1 − μ)·mean and μ·1 + (1 − μ)·variance.
  const shares = (result: typeof kept, name: string, initial: number, momentum: number) =>
    [...result.weights.get(name)!.data].map((value) => (value - initial * momentum) / (1 - momentum));
  for (const [name, initial] of [
    ["conv_bn/moving_mean", 0],
    ["sepconv_bn/moving_variance", 1],
  ] as const) {
    const batch = shares(kept, name, initial, 0.5);
    expect(Math.max(...batch.map(Math.abs))).toBeGreaterThan(0.01);
    for (const [index, value] of shares(adapted, name, initial, 0.8).entries()) {
      expect(value).toBeCloseTo(batch[index]!, 5);
    }
  }
});
