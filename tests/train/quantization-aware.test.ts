import { beforeAll, describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { defaultPreprocessing, type Model } from "../../src/model/model.ts";
import { architectureOf } from "../../src/models/registry.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { quantize } from "../../src/tasks/quantize/quantize.ts";
import type { Checkpoint } from "../../src/train/checkpoint.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/train/checkpoint-file.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, labels, smallNetwork } from "./train-fixtures.ts";

const network = smallNetwork();
const training = coloredImages(96, 1);
const test = coloredImages(60, 2);
const shared = { platform, network, batchSize: 8, seed: 3 } satisfies TrainingRequest;
const int8 = { quantizationAware: true, perTensor: true, reduceRange: true, learningRate: 0.02 } as const;

/** With one filter of each kernel that is never active, and much larger than the others. */
function withDeadFilters(weights: Weights): Weights {
  const copy = new Map([...weights].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]));
  const data = (name: string) => copy.get(name)!.data;
  for (const layer of ["conv_bn", "sepconv_bn"]) {
    data(`${layer}/gamma`)[0] = 150;
    data(`${layer}/beta`)[0] = -10_000;
  }
  return copy;
}

function modelOf(weights: Weights): Model {
  return { network, architecture: architectureOf(network), weights, labels, preprocessing: defaultPreprocessing };
}

/** Accuracies in float32 and int8 with one scale for each kernel, and the limits that int8 does not keep. */
async function quantized(weights: Weights, perTensor = true) {
  const options = { platform, test: test.samples, perTensor, reduceRange: true, allowSlower: true } as const;
  const { record, failures } = await quantize(modelOf(weights), training.samples, options);
  return { ...record.change.accuracy!, agreement: record.change.agreement, failures, floatBlocks: record.floatBlocks };
}

describe("training for int8", () => {
  let weights: Weights;
  beforeAll(async () => {
    const trained = await train(training, { ...shared, epochs: 10, learningRate: 0.02 });
    weights = withDeadFilters(trained.weights);
  });

  it("mends a network that fails the gate when it is only rounded, in two epochs", async () => {
    expect(await quantized(weights, false)).toMatchObject({ before: 1, after: 1, failures: [] });
    const rounded = await quantized(weights);
    expect(rounded.before).toBe(1);
    expect(rounded.after).toBeLessThan(0.9);
    expect(rounded.failures).toHaveLength(2);

    const aware = await train(training, { ...shared, ...int8, weights, validation: test });
    expect(aware.history).toHaveLength(2);
    expect(await quantized(aware.weights)).toMatchObject({ before: 1, after: 1, failures: [], floatBlocks: [] });
    // Validation rounds as int8 does: float32 weights that are not used to it fail there, too.
    expect(aware.evaluation!.top1).toBe(1);
    const untouched = await train(training, { ...shared, ...int8, weights, validation: test, learningRate: 1e-9 });
    expect(untouched.evaluation!.top1).toBeLessThan(0.9);
    // Moving statistics stay those that are folded into the weights.
    for (const name of ["conv_bn/moving_mean", "sepconv_bn/moving_variance"])
      expect(aware.weights.get(name)).toEqual(weights.get(name));

    // As many steps without rounding do not help.
    const float = { epochs: 2, learningRate: 0.02, schedule: "cosine", batchNorm: "inference" } as const;
    const longer = await train(training, { ...shared, ...float, weights });
    expect((await quantized(longer.weights)).failures).toHaveLength(2);
  });

  it("is resumed with the limits of its start, bit for bit", async () => {
    const request = { ...shared, ...int8, weights, accumulate: 2 };
    const kept: Checkpoint[] = [];
    const save = async (checkpoint: Checkpoint) => void kept.push(checkpoint);
    const whole = await train(training, { ...request, checkpoints: { save, everySteps: 7 } });
    const { activations } = kept[0]!;
    expect(Object.keys(activations!)).toContain("sepconv/depthwise");
    const { checkpoint } = await decodeCheckpoint(await encodeCheckpoint(kept[0]!), "checkpoint");
    expect(checkpoint.activations).toEqual(activations);
    const resumed = await train(training, { ...request, resume: checkpoint });
    expect(resumed.weights).toEqual(whole.weights);
    const other = train(training, { ...request, reduceRange: false, resume: checkpoint });
    await expect(other).rejects.toThrow("it differs in quantizationAware;");
  });

  it.each<[more: Partial<TrainingRequest>, message: string]>([
    [
      { weights: undefined },
      "train option quantizationAware: there are no trained weights to start from; received true. " +
        "Train in float32 first, and then start from its model with the option weights.",
    ],
    [
      { batchNorm: "training" },
      "train option batchNorm: training for int8 normalizes by the moving statistics, as the int8 model does; " +
        'received "training". Leave out the option batchNorm or the option quantizationAware.',
    ],
    [
      { cachedViews: 2, unfreezeFrom: "sepconv" },
      "train option cachedViews: training for int8 rounds the frozen layers, too, which are not cached; received 2. " +
        "Leave out the option cachedViews or the option quantizationAware.",
    ],
    [
      { quantizationAware: false, reduceRange: false },
      "train option perTensor: weights are only rounded in training for int8; received true. " +
        "Add the option quantizationAware.",
    ],
  ])("refuses what contradicts it: %o", async (more, message) => {
    const attempt = train(training, { ...shared, ...int8, weights, ...more });
    await expect(attempt).rejects.toThrow(UsageError);
    await expect(attempt).rejects.toThrow(message);
  });
});
