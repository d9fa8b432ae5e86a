import { describe, expect, it } from "vitest";
import { TrainingError } from "../../src/base/errors.ts";
import type { Platform, RgbImage } from "../../src/base/platform.ts";
import { noAugmentation } from "../../src/data/augmentation.ts";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { constantRate } from "../../src/learning/schedules.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import type { TrainingRequest, TrainingResult } from "../../src/train/request.ts";
import { assertFiniteWeights, type Fault, throwBrokenStep } from "../../src/train/step/training-diagnosis.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, labels, smallNetwork } from "./train-fixtures.ts";

const dataset = coloredImages(24, 1);
const validation = coloredImages(9, 2);

function trainSmall(options: Partial<TrainingRequest> = {}): Promise<TrainingResult> {
  return train(dataset, { platform: nodePlatform, network: smallNetwork(), epochs: 3, batchSize: 8, ...options });
}

/** Training that is stopped once so many steps are done. */
function stopAfter(steps: number, options: Partial<TrainingRequest> = {}): Promise<TrainingResult> {
  const controller = new AbortController();
  let done = 0;
  const onProgress = () => {
    if (++done === steps) controller.abort();
  };
  return trainSmall({ ...options, signal: controller.signal, onProgress });
}

describe("a signal", () => {
  it("before the first step leaves the initial weights", async () => {
    const result = await trainSmall({ validation, signal: AbortSignal.abort() });
    expect(result).toMatchObject({ aborted: true, steps: 0, epoch: 0, history: [] });
    expect(result.weights).toEqual(initializeWeights(smallNetwork()));
    expect(result.evaluation).toBeUndefined();
  });

  it("in the first epoch ends it after the step under way, with that step's weights", async () => {
    const stopped = await stopAfter(2, { validation });
    expect(stopped).toMatchObject({ aborted: true, steps: 2, epoch: 0, history: [] });
    expect(stopped.evaluation).toBeUndefined();
    // 16 images, the first two batches: an epoch of two steps has the same, but for the schedule.
    expect(stopped.weights).not.toEqual(initializeWeights(smallNetwork()));
    expect((await stopAfter(2)).weights).toEqual(stopped.weights);
    expect((await stopAfter(1)).weights).not.toEqual(stopped.weights);
  });

  it("in a later epoch returns the best weights so far and their test", async () => {
    const result = await stopAfter(5, { validation });
    expect(result).toMatchObject({ aborted: true, steps: 5, epoch: 1 });
    expect(result.history.map(({ epoch }) => epoch)).toEqual([1]);
    const again = await evaluate(result, validation, { platform: nodePlatform });
    expect(again.evaluation).toEqual(result.evaluation);
  });

  it("without validation returns the latest weights, those of an incomplete epoch included", async () => {
    const atEpoch = await stopAfter(4);
    const later = await stopAfter(5);
    expect(later).toMatchObject({ aborted: true, steps: 5, epoch: 1 });
    expect(later.weights).not.toEqual(atEpoch.weights);
  });

  it("while the weights are tested keeps the epoch's training in the history", async () => {
    const controller = new AbortController();
    const platform: Platform = {
      ...nodePlatform,
      images: {
        ...nodePlatform.images,
        decode: async () => {
          controller.abort();
          return validation.samples[0]!.image as RgbImage;
        },
      },
    };
    const unread = { classes: labels, samples: validation.samples.map((each) => ({ ...each, image: each.name })) };
    const records: number[] = [];
    const result = await trainSmall({
      platform,
      validation: unread,
      signal: controller.signal,
      onEpoch: ({ history }) => {
        records.push(history.length);
      },
    });
    expect(result).toMatchObject({ aborted: true, steps: 3, epoch: 1 });
    expect(result.history.map(({ validationAccuracy }) => validationAccuracy)).toEqual([undefined]);
    expect(result.evaluation).toBeUndefined();
    expect(records).toEqual([1]);
  });

  it("after the last epoch is too late", async () => {
    const controller = new AbortController();
    const onEpoch = ({ history }: TrainingResult) => {
      if (history.length === 2) controller.abort();
    };
    expect(await trainSmall({ epochs: 2, signal: controller.signal, onEpoch })).toMatchObject({
      aborted: false,
      epoch: 2,
    });
  });
});

describe("numbers that are no numbers", () => {
  const diverging = {
    optimizer: createOptimizer("sgd", { momentum: 0 }),
    learningRate: 1e30,
    schedule: constantRate,
    augment: noAugmentation,
  };

  it("in the loss end the training with advice", async () => {
    const refusal = trainSmall(diverging);
    await expect(refusal).rejects.toThrow(TrainingError);
    await expect(refusal).rejects.toThrow(
      /^training, epoch 1, step [23]: the loss is NaN or infinite, from the output of layer "conv(_bn)?" on; received (NaN|-?Infinity)\. The steps were too large: use a lower learning rate, e\.g\. 0\.045 instead of 1e\+30\.$/,
    );
  });

  it("in the new weights do so too, where no loss can show them", async () => {
    // One step: its loss is that of the initial weights.
    const refusal = trainSmall({ ...diverging, learningRate: 1e300, batchSize: 24, epochs: 1 });
    await expect(refusal).rejects.toThrow(TrainingError);
    await expect(refusal).rejects.toThrow(
      "training, epoch 1, step 1: a new weight is NaN or infinite, from the optimizer's update on. The steps " +
        "were too large: use a lower learning rate, e.g. 0.045 instead of 1e+300.",
    );
  });

  it("in weights too large to be looked at after every step are found when they are saved", () => {
    const weights = new Map([
      ["conv/kernel", floatTensor([2], Float32Array.of(1, Number.NaN))],
      ["conv/kernel#momentum", floatTensor([1], Float32Array.of(Number.NaN))],
    ]);
    expect(() => assertFiniteWeights(weights, "end of epoch 1", { learningRate: 0.5, usualRate: 0.1 })).toThrow(
      'training, end of epoch 1: weight "conv/kernel" is NaN or infinite; received NaN. ' +
        "The steps were too large: use a lower learning rate, e.g. 0.05 instead of 0.5.",
    );
    weights.delete("conv/kernel");
    assertFiniteWeights(weights, "end of epoch 1", { learningRate: 0.5, usualRate: 0.1 });
  });

  it.each<[Fault | undefined, string]>([
    [{ kind: "weight", layer: "a", name: "a/bias" }, ', because of weight "a/bias"; received NaN'],
    [{ kind: "input", name: "targets" }, ", because of the batch's targets; received NaN"],
    [{ kind: "output", layer: "a", name: "a" }, ', from the output of layer "a" on; received NaN'],
    [{ kind: "gradient", layer: "a", name: "gradient/a/bias" }, ', from the gradient of layer "a" on; received NaN'],
    [{ kind: "loss", name: "loss" }, "; received NaN"],
  ])("are named by where they began: %o", (fault, began) => {
    expect(() => throwBrokenStep("step 7", Number.NaN, fault, { learningRate: 0.5, usualRate: 0.1 })).toThrow(
      `training, step 7: the loss is NaN or infinite${began}. The steps were too large`,
    );
  });
});

it("what onEpoch throws ends the training", async () => {
  const onEpoch = () => Promise.reject(new Error("the disk is full"));
  await expect(trainSmall({ onEpoch })).rejects.toThrow("the disk is full");
});
