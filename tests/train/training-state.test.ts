import { describe, expect, it } from "vitest";
import { WeightsError } from "../../src/base/errors.ts";
import { oneHot } from "../../src/data/labels.ts";
import { networkWeights } from "../../src/graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer, type OptimizerName } from "../../src/learning/optimizers.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { TrainingStep } from "../../src/train/step/training-step.ts";

const network = xception({ inputShape: [71, 71, 3], classes: 3, width: 0.05, middleFlowRepeats: 1, dropout: 0.5 });
const input = {
  images: syntheticImages(2, [71, 71, 3]),
  targets: oneHot([0, 2], 3, 0),
  learningRate: 0.01,
};
const withOptimizer = (name: OptimizerName) => ({
  platform: nodePlatform,
  batchSize: 2,
  loss: softmaxCrossEntropy,
  optimizer: createOptimizer(name, { momentum: 0.9 }),
});

describe("a restored step", () => {
  it.each(["sgd", "rmsprop", "adamw"] as const)("of %s goes on bit for bit", async (name) => {
    const options = withOptimizer(name);
    const first = await TrainingStep.create(network, syntheticWeights(network), options);
    await first.run(input);
    await first.run(input);
    const state = first.state();
    const kept = new Map([...state.tensors].map(([key, { data }]) => [key, data.slice()]));
    const expected = [await first.run(input), await first.run(input)];
    const last = first.state();
    await first.dispose();
    for (const [key, data] of kept) expect(state.tensors.get(key)!.data, key).toEqual(data);
    expect(state.steps).toBe(2);

    const second = await TrainingStep.restore(network, state, options);
    expect(second.steps).toBe(2);
    for (const { loss, logits } of expected) {
      const result = await second.run(input);
      expect(result.loss).toBe(loss);
      expect(result.logits.data).toEqual(logits.data);
    }
    expect(second.state()).toEqual(last);
    await second.dispose();
  });

  it("has every weight and, for those the optimizer moves, its slots, in the engine's layout", async () => {
    const step = await TrainingStep.create(network, syntheticWeights(network), withOptimizer("sgd"));
    const { tensors } = step.state();
    await step.dispose();
    const specs = networkWeights(network);
    const slots = specs.filter((spec) => spec.trainable).map((spec) => `${spec.name}#momentum`);
    expect([...tensors.keys()].toSorted()).toEqual([...specs.map((spec) => spec.name), ...slots].toSorted());
    expect(tensors.get("block1_conv1/kernel")!.shape.slice(1)).toEqual([3, 3, 3]);
    expect(tensors.get("block1_conv1/kernel#momentum")!.data.every((value) => value === 0)).toBe(true);
  });

  it("refuses the state of another optimizer or network, naming what differs", async () => {
    const step = await TrainingStep.create(network, syntheticWeights(network), withOptimizer("sgd"));
    const { tensors, steps } = step.state();
    await step.dispose();
    const remedy =
      "Create the step with the network and the options (optimizer and the rest) that the state comes from.";
    const other = TrainingStep.restore(network, { tensors, steps }, withOptimizer("adam"));
    await expect(other).rejects.toThrow(WeightsError);
    await expect(other).rejects.toThrow(/missing: .*#first_moment.*; unexpected: .*#momentum/);
    const changed = new Map(tensors).set("predictions/bias", floatTensor([4]));
    await expect(TrainingStep.restore(network, { tensors: changed, steps }, withOptimizer("sgd"))).rejects.toThrow(
      `training state of xception: they are not the weights of this network; ` +
        `of another shape: predictions/bias (4 instead of 3). ${remedy}`,
    );
  });
});
