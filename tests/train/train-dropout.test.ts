import { afterEach, describe, expect, it } from "vitest";
import { oneHot } from "../../src/data/labels.ts";
import { initializeWeights } from "../../src/graph/initialize.ts";
import type { Network } from "../../src/graph/network.ts";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { defaultPreprocessing } from "../../src/model/model.ts";
import { loadPredictor } from "../../src/model/predictor.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { TrainingStep } from "../../src/train/step/training-step.ts";
import { coloredImages, imageSize, smallNetwork } from "./train-fixtures.ts";

const batchSize = 4;
const { samples } = coloredImages(batchSize, 3);
const images: Tensor<"uint8"> = {
  type: "uint8",
  shape: [batchSize, imageSize, imageSize, 3],
  data: Uint8Array.from(samples.flatMap(({ image }) => [...(image as { data: Uint8Array }).data])),
};
const targets = oneHot([0, 1, 2, 0], 3);

const open: { dispose(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.dispose();
});

/** Dropout has no weights, so the initial ones are the same with and without. */
async function firstLogits(network: Network, seed: number): Promise<number[]> {
  const step = await TrainingStep.create(network, initializeWeights(network), {
    platform: nodePlatform,
    batchSize,
    optimizer: createOptimizer("sgd"),
    loss: softmaxCrossEntropy,
    preprocessing: kerasPreprocessing,
  });
  open.push(step);
  const { logits } = await step.run({ images, targets, learningRate: 0.1, seed });
  return [...logits.data];
}

async function answers(network: Network): Promise<number[]> {
  const inference = await loadPredictor(
    { network, weights: initializeWeights(network), preprocessing: defaultPreprocessing },
    nodePlatform,
  );
  open.push(inference);
  return [...(await inference.run(images)).data];
}

describe("dropout of 0.5", () => {
  const without = smallNetwork();
  const half = smallNetwork({ dropout: 0.5 });

  it("changes what a training step computes, and another seed drops others", async () => {
    const plain = await firstLogits(without, 1);
    const dropped = await firstLogits(half, 1);
    expect(dropped).not.toEqual(plain);
    expect(await firstLogits(half, 2)).not.toEqual(dropped);
    expect(await firstLogits(half, 1)).toEqual(dropped);
    expect(await firstLogits(without, 2)).toEqual(plain);
  });

  it("keeps the logits' mean: what is left is doubled", async () => {
    const plain = await firstLogits(without, 1);
    const seeds = Array.from({ length: 400 }, (_, seed) => seed);
    const step = await TrainingStep.create(half, initializeWeights(half), {
      platform: nodePlatform,
      batchSize,
      optimizer: createOptimizer("sgd"),
      loss: softmaxCrossEntropy,
      preprocessing: kerasPreprocessing,
    });
    open.push(step);
    const sums = plain.map(() => ({ sum: 0, squares: 0 }));
    for (const seed of seeds) {
      // A learning rate of 0 leaves the weights, and so the logits, as they are.
      const { logits } = await step.run({ images, targets, learningRate: 0, seed });
      for (const [index, value] of logits.data.entries()) {
        sums[index]!.sum += value;
        sums[index]!.squares += value ** 2;
      }
    }
    for (const [index, { sum, squares }] of sums.entries()) {
      const mean = sum / seeds.length;
      const deviation = Math.sqrt(squares / seeds.length - mean ** 2);
      // Four standard errors; the seeds are fixed, so this does not depend on luck.
      expect(Math.abs(mean - plain[index]!)).toBeLessThan((4 * deviation) / Math.sqrt(seeds.length));
      expect(deviation).toBeGreaterThan(0.01);
    }
  });

  it("does not touch inference", async () => {
    expect(await answers(half)).toEqual(await answers(without));
  });
});
