import { describe, expect, it } from "vitest";
import { noAugmentation } from "../../src/data/augmentation.ts";
import { networkWeights } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { constantRate } from "../../src/learning/schedules.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { type FineTuningChoice, type FineTuningStart, fineTuning } from "../../src/train/fine-tuning.ts";
import { train } from "../../src/train/train.ts";

const size = 71;
const network = xception({ inputShape: [size, size, 3], width: 0.01, middleFlowRepeats: 0, classes: 2 });
const given: FineTuningStart = { reinitialized: ["predictions/kernel", "predictions/bias"], batchSize: 32 };
const fromScratch: FineTuningStart = { reinitialized: undefined, batchSize: 32 };

/** Names of the layers in which a weight trains. */
function open(choice: FineTuningChoice): string[] {
  const { trainable = () => true } = fineTuning(network, choice, given);
  return network.layers.filter(({ weights }) => weights.some(trainable)).map(({ name }) => name);
}

describe("which weights train", () => {
  it("is decided by a block, and by patterns that win over it", () => {
    const top = ["predictions"];
    const block6 = ["block6_sepconv1", "block6_sepconv1_bn", "block6_sepconv2", "block6_sepconv2_bn"];
    expect(open({ unfreezeFrom: "top" })).toEqual(top);
    expect(open({ unfreezeFrom: "block6" })).toEqual([...block6, ...top]);
    expect(open({ unfreezeFrom: "last" })).toEqual([...block6, ...top]);
    expect(open({ unfreezeFrom: "block6_sepconv2" })).toEqual([...block6.slice(2), ...top]);
    expect(open({ unfreezeFrom: "block6", freeze: "*_bn" })).toEqual([block6[0], block6[2], ...top]);
    expect(open({ unfreezeFrom: "top", train: "block1_conv1,block6_*/gamma" })).toEqual([
      "block1_conv1",
      "block6_sepconv1_bn",
      "block6_sepconv2_bn",
      ...top,
    ]);
    expect(open({ freeze: "*", train: "predictions/bias" })).toEqual(top);
    expect(open({})).toHaveLength(network.layers.filter(({ weights }) => weights.length > 0).length);
  });

  it("refuses names that fit nothing", () => {
    expect(() => open({ unfreezeFrom: "block9" })).toThrow(
      'it has no layer and no block of this name; received "block9"',
    );
    expect(() => open({ freeze: "block1_*,blok2_*" })).toThrow(
      'fine-tuning option freeze: network "xception" has no weight of this name; received "blok2_*"; expected names or ' +
        "patterns like block13_*, predictions/kernel.",
    );
    expect(() => open({ train: "add" })).toThrow("fine-tuning option train: ");
  });
});

describe("batch normalization", () => {
  const modes = (choice: FineTuningChoice, start: FineTuningStart) => {
    const { batchNorm } = fineTuning(network, choice, start);
    const layers = network.layers.filter(({ config }) => config.type === "BatchNormalization");
    return batchNorm && [...new Set(layers.map((layer) => `${layer.name.slice(0, 6)} ${batchNorm(layer)}`))];
  };

  it("keeps the statistics that were given, and collects where they start anew", () => {
    expect(modes({}, fromScratch)).toBeUndefined();
    expect(modes({}, given)!.every((mode) => mode.endsWith("inference"))).toBe(true);
    const reinitialized = networkWeights(network).flatMap(({ name }) => (name.startsWith("block6") ? name : []));
    expect(modes({}, { reinitialized, batchSize: 4 })).toContain("block6 training");
    expect(modes({}, { reinitialized, batchSize: 4 })).toContain("block5 inference");
    expect(modes({ batchNorm: "inference" }, fromScratch)!.every((mode) => mode.endsWith("inference"))).toBe(true);
  });

  it("goes by the batch where that is asked for and something trains, with a warning for small batches", () => {
    const choice = { batchNorm: "training", unfreezeFrom: "block6" } as const;
    expect(modes(choice, given)).toContain("block6 training");
    expect(modes(choice, given)).toContain("block5 inference");
    expect(fineTuning(network, choice, given).warnings).toEqual([]);
    expect(fineTuning(network, choice, { ...given, batchSize: 8 }).warnings).toEqual([
      "2 batch normalizations use the statistics of batches of 8 images, which spoils their pretrained moving " +
        "statistics: leave out --batch-norm training, or use larger batches.",
    ]);
    expect(fineTuning(network, choice, { ...fromScratch, batchSize: 8 }).warnings).toEqual([]);
  });
});

it("the rate falls from block to block, of those in which something trains", () => {
  const { rateFactor } = fineTuning(
    network,
    { layerDecay: 0.5, freeze: "block5_*,conv2d_3/*,batch_normalization_3" },
    given,
  );
  const factor = (name: string) => rateFactor!(networkWeights(network).find((spec) => spec.name === name)!);
  expect(factor("predictions/bias")).toBe(1);
  expect(factor("block6_sepconv2/depthwise_kernel")).toBe(0.5);
  expect(factor("block4_sepconv1_bn/gamma")).toBe(0.25);
  expect(factor("conv2d_2/kernel")).toBe(0.25);
  expect(factor("block1_conv1/kernel")).toBe(0.5 ** 5);
});

describe("a training", () => {
  const random = mulberry32(1);
  const samples = Array.from({ length: 4 }, (_, index) => ({
    image: { width: size, height: size, data: Uint8Array.from({ length: size * size * 3 }, () => 255 * random()) },
    label: index % 2,
    name: `${index}`,
  }));
  const start = syntheticWeights(network);

  async function trained(choice: FineTuningChoice): Promise<Weights> {
    const { warnings: _, ...options } = fineTuning(network, choice, given);
    const { weights } = await train(
      { classes: ["a", "b"], samples },
      {
        platform: nodePlatform,
        network,
        weights: start,
        epochs: 1,
        batchSize: 4,
        optimizer: createOptimizer("sgd", { momentum: 0 }),
        learningRate: 0.1,
        schedule: constantRate,
        augment: noAugmentation,
        ...options,
      },
    );
    return weights;
  }
  const largestMove = (weights: Weights, name: string) =>
    Math.max(...weights.get(name)!.data.map((value, index) => Math.abs(value - start.get(name)!.data[index]!)));

  it("leaves what is frozen as it is, bit for bit, and all moving statistics", async () => {
    const weights = await trained({ unfreezeFrom: "block6" });
    for (const { name, trainable } of networkWeights(network)) {
      const isOpen = trainable && /^(block6|predictions)/.test(name);
      if (isOpen) expect(weights.get(name), name).not.toEqual(start.get(name));
      else expect(weights.get(name), name).toEqual(start.get(name));
    }
  });

  it("moves the weights of each block as far as its rate says", async () => {
    const full = await trained({});
    const decayed = await trained({ layerDecay: 0.5 });
    for (const [name, factor] of [
      ["predictions/kernel", 1],
      ["block6_sepconv2/pointwise_kernel", 0.5],
      ["block5_sepconv1/pointwise_kernel", 0.25],
      ["block1_conv1/kernel", 0.5 ** 6],
    ] as const) {
      expect(largestMove(decayed, name) / largestMove(full, name), name).toBeCloseTo(factor, 2);
    }
  });
});
