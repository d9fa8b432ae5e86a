import type { Platform, SessionOptions } from "../src/base/platform.ts";
import { oneHot } from "../src/data/labels.ts";
import type { Network } from "../src/graph/network.ts";
import { syntheticImages } from "../src/graph/synthetic.ts";
import { createOptimizer, initializeWeights, softmaxCrossEntropy, TrainingStep, xception } from "../src/index.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";

/** The step that is measured: SGD with momentum, formula images of size×size; by default the paper's network. */
export function trainingCase(
  batchSize: number,
  size: number,
  build: (options: { readonly inputShape: readonly [number, number, number] }) => Network = xception,
) {
  const network = build({ inputShape: [size, size, 3] });
  const input = {
    images: syntheticImages(batchSize, [size, size, 3], 3000),
    targets: oneHot(
      Array.from({ length: batchSize }, (_, index) => index),
      1000,
      0,
    ),
    learningRate: 0.01,
  };
  const create = (session: SessionOptions = {}, platform: Platform = nodePlatform): Promise<TrainingStep> =>
    TrainingStep.create(network, initializeWeights(network), {
      platform,
      batchSize,
      optimizer: createOptimizer("sgd", { momentum: 0.9 }),
      loss: softmaxCrossEntropy,
      session,
    });
  return { input, create };
}
