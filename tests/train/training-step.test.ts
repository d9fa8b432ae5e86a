import { describe, expect, it } from "vitest";
import { oneHot } from "../../src/data/labels.ts";
import { networkWeights } from "../../src/graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { TrainingStep } from "../../src/train/step/training-step.ts";

const network = xception({ inputShape: [71, 71, 3], classes: 3, width: 0.05, middleFlowRepeats: 1 });
const weights = syntheticWeights(network);
const input = {
  images: syntheticImages(2, [71, 71, 3]),
  targets: oneHot([0, 2], 3, 0),
  learningRate: 0.01,
};
const common = { platform: nodePlatform, batchSize: 2, loss: softmaxCrossEntropy } as const;

describe("TrainingStep", () => {
  it("hands out the gradients it moves the weights by", async () => {
    const optimizer = createOptimizer("sgd", { momentum: 0 });
    const step = await TrainingStep.create(network, weights, { ...common, optimizer, gradientOutputs: true });
    const { gradients } = await step.run(input);
    const after = step.weights();
    await step.dispose();
    const trainable = networkWeights(network).filter((spec) => spec.trainable);
    expect([...gradients.keys()]).toEqual(trainable.map((spec) => spec.name));
    for (const { name } of trainable) {
      const before = weights.get(name)!.data;
      const gradient = gradients.get(name)!.data;
      // w' = w − 0.01·g, in float32 as the engine computes it.
      const expected = before.map((value, index) =>
        Math.fround(value - Math.fround(Math.fround(0.01) * gradient[index]!)),
      );
      expect(after.get(name)!.data, name).toEqual(expected);
      expect(
        gradient.some((value) => value !== 0),
        name,
      ).toBe(true);
    }
  });

  it("gives no gradients unasked, and counts its steps", async () => {
    const step = await TrainingStep.create(network, weights, { ...common, optimizer: createOptimizer("adamw") });
    expect(step.steps).toBe(0);
    expect((await step.run(input)).gradients.size).toBe(0);
    await step.run(input);
    expect(step.steps).toBe(2);
    await step.dispose();
  });

  it("does not touch the weights it was given", async () => {
    const copy = new Map([...weights].map(([name, { data }]) => [name, data.slice()]));
    const step = await TrainingStep.create(network, weights, { ...common, optimizer: createOptimizer("sgd") });
    await step.run(input);
    await step.run(input);
    await step.dispose();
    for (const [name, data] of copy) expect(weights.get(name)!.data, name).toEqual(data);
  });
});

it("scales each channel on its own, in the layout of training too", async () => {
  const bytes = Uint8Array.from({ length: 2 * 71 * 71 * 3 }, (_, index) => (index * 89) % 256);
  const images = { type: "uint8", shape: [2, 71, 71, 3], data: bytes } as const;
  const preprocessing = { scale: [0.01, 0.005, 0.02], offset: [-1, 0.25, -2] };
  const scaled = Float32Array.from(bytes, (pixel, index) =>
    Math.fround(Math.fround(pixel * Math.fround(preprocessing.scale[index % 3]!)) + preprocessing.offset[index % 3]!),
  );
  const losses: number[] = [];
  for (const [fed, inGraph] of [
    [images, { preprocessing }],
    [floatTensor([2, 71, 71, 3], scaled), {}],
  ] as const) {
    const optimizer = createOptimizer("sgd");
    const step = await TrainingStep.create(network, weights, { ...common, optimizer, ...inGraph });
    losses.push((await step.run({ ...input, images: fed })).loss);
    await step.dispose();
  }
  expect(losses[0]).toBeCloseTo(losses[1]!, 6);
});
