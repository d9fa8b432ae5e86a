import { expect, it } from "vitest";
import { xception } from "../../src/models/xception/paper.ts";
import { blockHealth } from "../../src/train/step/training-health.ts";

const network = xception({ inputShape: [71, 71, 3], width: 0.1, middleFlowRepeats: 0, classes: 2 });

it("takes the layers of a block together", () => {
  const layer = (name: string, gradientNorm: number, weightNorm: number, updateRatio: number) => ({
    ...{ layer: name, gradientNorm, weightNorm, updateRatio },
  });
  const output = (name: string, mean: number, deviation: number, zeroShare: number) => ({
    ...{ layer: name, mean, deviation, zeroShare },
  });
  const blocks = blockHealth(network, {
    layers: [
      // √(3² + 4²), √(6² + 8²); changes of 0.6 and 0.8, together 1.
      layer("block1_conv1", 3, 6, 0.1),
      layer("block1_conv2", 4, 8, 0.1),
      layer("block2_sepconv1", 1, 0, Number.POSITIVE_INFINITY),
      layer("predictions", 0, 2, 0),
    ],
    activations: [
      output("block1_conv1_act", 1, 2, 0.5),
      output("block1_conv2_act", 3, 4, 0.25),
      output("block3_sepconv1_act", 0, 0, 1),
    ],
  });
  expect(blocks).toEqual([
    {
      block: "block1",
      gradientNorm: 5,
      weightNorm: 10,
      updateRatio: expect.closeTo(0.1, 12),
      activation: { mean: 2, deviation: 3, zeroShare: 0.5 },
    },
    { block: "block2", gradientNorm: 1, weightNorm: 0 },
    { block: "block3", activation: { mean: 0, deviation: 0, zeroShare: 1 } },
    { block: "top", gradientNorm: 0, weightNorm: 2, updateRatio: 0 },
  ]);
});
