import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { inputShapeOf, type Network } from "../../src/graph/network.ts";
import { syntheticImages } from "../../src/graph/synthetic.ts";
import { toEngineWeights, type Weights } from "../../src/graph/weights.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { openAs } from "../../src/model/open-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor/tensor.ts";
import { smallModel } from "./small-model.ts";

const gray = syntheticImages(1, [71, 80, 1]).data;

/** What a network says of a gray image, whose channels are all the same. */
async function answers(network: Network, weights: Weights): Promise<number[]> {
  const channels = inputShapeOf(network)[2]!;
  const pixels = Float32Array.from({ length: 71 * 80 * channels }, (_, index) => gray[Math.floor(index / channels)]!);
  const { graph } = lower(network, { mode: "inference", batchSize: 1 });
  const session = await nodePlatform.engine.createSession(
    toOnnx(graph, { weights: toEngineWeights(network, weights) }),
  );
  const { data } = (await session.run({ images: floatTensor([1, 71, 80, channels], pixels) }))[
    network.output
  ] as FloatTensor;
  await session.dispose();
  return [...data];
}

const torch = new Uint8Array(readFileSync(join(root, "tests/golden/formats/torch-xception.pth")));
const narrow = { classes: 3, width: 0.02, middleFlowRepeats: 1 } as const;

describe("weights for RGB images, put into a network for another number of channels,", () => {
  test.each([
    ["a model file", encodeModel(smallModel()), undefined, {}],
    ["weights of timm", torch, "legacy_xception", narrow],
  ] as const)("give the same answers for gray ones: %s", async (_, bytes, architecture, network) => {
    const open = async (channels: number) => {
      const inputShape = [71, 80, channels] as const;
      return openAs(await weightsSource(bytes, nodePlatform), { architecture, network: { ...network, inputShape } });
    };
    const whole = await open(3);
    const expected = await answers(whole.network, whole.weights);
    for (const channels of [1, 2, 4, 6]) {
      const { network: other, weights, report, notes } = await open(channels);
      expect(inputShapeOf(other)).toEqual([71, 80, channels]);
      expect(report.wrongShape).toEqual([]);
      expect(notes).toContain(`Its first convolution read 3 channels and was adapted to ${channels} as timm does.`);
      const actual = await answers(other, weights);
      // Channels in turn, scaled by 3/4, are gray's answers only where each of the three comes equally often.
      if (channels === 1 || channels === 6) {
        for (const [index, value] of expected.entries()) expect(actual[index]).toBeCloseTo(value, 5);
      }
    }
  });

  test("are refused if that is not all that differs", async () => {
    const source = await weightsSource(encodeModel(smallModel()), nodePlatform);
    await expect(openAs(source, { network: { inputShape: [71, 80, 1], classes: 5 } })).rejects.toThrow(
      "of another shape: block1_conv1/kernel (3×3×3×8 instead of 3×3×1×8), predictions/kernel",
    );
  });
});
