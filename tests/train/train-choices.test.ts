import { describe, expect, it } from "vitest";
import { augmentations, noAugmentation } from "../../src/data/augmentation.ts";
import { drawImageChange } from "../../src/data/image-change.ts";
import { dense, globalAveragePooling2d, input } from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { createOptimizer, polyakAverage } from "../../src/learning/optimizers.ts";
import { constantRate } from "../../src/learning/schedules.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { prepareTraining } from "../../src/train/prepare.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import { choicesOf, chosenArchitecture } from "../../src/train/settings/choices.ts";
import { resolveSettings, type SettingsLayer } from "../../src/train/settings/resolve.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, imageSize, labels, smallNetwork } from "./train-fixtures.ts";

const dataset = coloredImages(8, 1);
const plain = {
  platform: nodePlatform,
  network: smallNetwork(),
  batchSize: 8,
  optimizer: createOptimizer("sgd", { momentum: 0 }),
  learningRate: 0.1,
  schedule: constantRate,
  augment: noAugmentation,
  labelSmoothing: 0,
} satisfies TrainingRequest;

/** The trained weights after so many steps: an epoch of eight images is one. */
async function weightsAfter(epochs: number, options: Partial<TrainingRequest> = {}): Promise<Weights> {
  return (await train(dataset, { ...plain, epochs, ...options })).weights;
}

function expectClose(actual: Weights, expected: (name: string, index: number) => number, digits = 6): void {
  for (const [name, { data }] of actual) {
    for (const [index, value] of data.entries()) {
      expect(value, `${name} ${index}`).toBeCloseTo(expected(name, index), digits);
    }
  }
}

describe("choices of a training", () => {
  it("an average of the weights is what is handed out: the mean of three steps", async () => {
    const steps = [await weightsAfter(1), await weightsAfter(2), await weightsAfter(3)];
    const averaged = await weightsAfter(3, { average: polyakAverage });
    expectClose(averaged, (name, index) => steps.reduce((sum, step) => sum + step.get(name)!.data[index]!, 0) / 3);
    expect(averaged.get("predictions/kernel")).not.toEqual(steps[2]!.get("predictions/kernel"));
  });

  it("the weights of the last epoch are kept if chosen, whatever the validation", async () => {
    // At this rate the loss explodes: the first epoch is the best.
    const request = { ...plain, epochs: 3, learningRate: 5, validation: dataset };
    const best = await train(dataset, request);
    const last = await train(dataset, { ...request, keep: "last" });
    expect(best.epoch).toBeLessThan(3);
    expect(last.epoch).toBe(3);
    expect(last.evaluation!.loss).toBe(last.history[2]!.validationLoss);
    expect(last.weights).toEqual((await train(dataset, { ...request, validation: undefined })).weights);
  });

  it("clipping by value: a step of 0.1 moves no weight by more than 0.1 · 0.001", async () => {
    const start = await weightsAfter(1, { learningRate: 1e-30 });
    const clipped = await weightsAfter(1, { clipValue: 0.001 });
    const moves = ["conv/kernel", "predictions/kernel"].map((name) =>
      Math.max(...clipped.get(name)!.data.map((value, index) => Math.abs(value - start.get(name)!.data[index]!))),
    );
    for (const move of moves) expect(move).toBeCloseTo(1e-4, 6);
  });

  it("weight decay of everything: a gamma of 1 loses 0.1 · 0.5 more", async () => {
    const optimizer = createOptimizer("sgd", { momentum: 0, weightDecay: 0.5 });
    const spared = await weightsAfter(1, { optimizer });
    const decayed = await weightsAfter(1, { optimizer, decayAll: true });
    expectClose(decayed, (name, index) => spared.get(name)!.data[index]! - (name.endsWith("/gamma") ? 0.05 : 0));
  });

  it("two halves of a batch, one after the other, give the step of the whole batch", async () => {
    const x = globalAveragePooling2d(input([imageSize, imageSize, 3]));
    const linear = network("linear", dense(x, { units: labels.length, activation: "softmax", name: "predictions" }));
    const whole = await weightsAfter(3, { network: linear });
    const halves = await weightsAfter(3, { network: linear, accumulate: 2 });
    expectClose(halves, (name, index) => whole.get(name)!.data[index]!);
  });

  it("patience: it stops when so many epochs tested no better than the best, whose weights it keeps", async () => {
    const options = { ...plain, validation: coloredImages(9, 2), epochs: 14, learningRate: 4 };
    const all = await train(dataset, options);
    let best = 0;
    const ends = all.history.findIndex(({ validationAccuracy = 0, validationLoss = 0 }, index) => {
      const { validationAccuracy: accuracy = 0, validationLoss: loss = 0 } = all.history[best]!;
      if (validationAccuracy > accuracy || (validationAccuracy === accuracy && validationLoss < loss)) best = index;
      return index - best >= 2;
    });
    expect(ends).toBeGreaterThan(0);
    const { history, epoch, aborted } = await train(dataset, { ...options, patience: 2 });
    expect([history.length, epoch, aborted]).toEqual([ends + 1, best + 1, false]);
  });

  it.each([
    [
      { accumulate: 3 },
      "train option accumulate: this value is not allowed; received 3; expected a whole number that divides the batch size 8.",
    ],
    [
      { patience: 0 },
      "train option patience: this value is not allowed; received 0; expected a whole number from 1, or none.",
    ],
  ])("refused: %j", async (options, message) => {
    await expect(train(dataset, { ...plain, ...options })).rejects.toThrow(message);
  });
});

describe("settings as options of a training", () => {
  function optionsOf(values: Record<string, unknown>) {
    const layer: SettingsLayer = { source: "flag", values, where: (name) => name };
    return choicesOf(resolveSettings([layer]).settings);
  }
  const position = { step: 0, totalSteps: 10, epoch: 3, samples: 40, validationLosses: [1, 2, 3] };

  it("are those of the defaults where nobody says anything", () => {
    const { settings } = resolveSettings([]);
    const { optimizer, schedule, clip } = choicesOf(settings);
    expect(chosenArchitecture(settings)).toMatchObject({
      family: "xception",
      options: { variant: "paper", inputShape: [299, 299, 3], seed: 0 },
    });
    expect(optimizer.name).toBe("adamw");
    expect(schedule(position)).toBeCloseTo(1 / 25 + (24 / 25) * 0, 12);
    expect(settings).toMatchObject({ epochs: 20, learningRate: 0.003, labelSmoothing: 0.1, seed: 0, accumulate: 1 });
    expect(clip).toBeUndefined();
  });

  it("clip, average, wait and spare as they are told", () => {
    expect(optionsOf({ clipNorm: 2 }).clip).toEqual({ norm: 2 });
    expect(optionsOf({ clipValue: 3 }).clip).toEqual({ value: 3 });
    expect(optionsOf({ average: "ema", averageDecay: 0.5 }).averageDecay!(1000)).toBe(0.5);
    expect(optionsOf({ average: "polyak" }).averageDecay!(4)).toBe(0.75);
    expect(optionsOf({ augment: "none" }).augmentation).toEqual(noAugmentation);
    expect(optionsOf({ mixup: 0.2, cutMix: 1 }).mixing).toEqual({ mixup: 0.2, cutMix: 1 });
  });

  it("reach the plan of a request", async () => {
    const planned = (request: Partial<TrainingRequest>) =>
      prepareTraining(dataset, { platform: nodePlatform, network: smallNetwork(), batchSize: 8, ...request });
    const weighted = await planned({ sampling: "balanced", classWeights: { red: 2 } });
    expect(weighted.presentation).toMatchObject({ sampling: "balanced", classWeights: [2, 1, 1] });
    expect((await planned({ patience: 4, validation: dataset })).settings.patience).toBe(4);
    expect((await planned({ decayAll: true })).step.decays!({} as never)).toBe(true);
    const { batchSize, step } = await planned({ batchSize: 6, accumulate: 3 });
    expect([batchSize, step.batchSize, step.accumulate]).toEqual([6, 2, 3]);
    expect((await planned({ recompute: true })).step.recompute).toBe(true);
  });

  it("change the images as the name says, but for what is chosen besides", () => {
    expect(optionsOf({}).augmentation).toEqual(augmentations.default);
    expect(optionsOf({ augment: "strong", flip: false, rotation: 45, hue: 0 }).augmentation).toEqual({
      ...augmentations.strong,
      horizontalFlip: false,
      rotationDegrees: 45,
      hue: 0,
    });
    const chosen = { flip: true, rotation: 1, scale: 0.2, shift: 0.3, brightness: 0.4, contrast: 0.5, saturation: 0.6 };
    const drawn = { resizedCrop: 0.7, randAugment: [3, 8], randomErasing: 0.9, hue: 0.1 };
    expect(optionsOf({ augment: "none", ...chosen, ...drawn }).augmentation).toEqual({
      ...{ horizontalFlip: true, rotationDegrees: 1, scale: 0.2, shift: 0.3, crop: 0 },
      ...{ brightness: 0.4, contrast: 0.5, saturation: 0.6, hue: 0.1 },
      resizedCrop: { area: [0.7, 1], ratio: [3 / 4, 4 / 3] },
      randAugment: { operations: 3, magnitude: 8 },
      erasing: { probability: 0.9, area: [0.02, 1 / 3], ratio: [0.3, 1 / 0.3], fill: "noise" },
    });
  });

  it("a window of the whole image is none, whatever is drawn", () => {
    const { augmentation } = optionsOf({ augment: "default", resizedCrop: 1 });
    for (const random of [() => 0, () => 0.3, () => 0.999]) {
      expect(drawImageChange(augmentation, random).move.window).toEqual({ x: 0, y: 0, width: 1, height: 1 });
    }
  });

  it.each([
    [{ schedule: "exponential", decayFactor: 0.5, decayEpochs: 3 }, 0.5],
    [{ schedule: "exponential", decayFactor: 0.5, decaySamples: 20 }, 0.25],
    [{ schedule: "step", decayAfter: [1, 2, 3] }, 0.001],
    [{ schedule: "plateau", decayFactor: 0.5, plateauPatience: 2 }, 0.5],
    [{ schedule: "cosine", warmup: 0.5 }, 0.2],
    [{ schedule: "one-cycle", initialDivisor: 2 }, 0.5],
    [{ schedule: "constant" }, 1],
  ])("%j: the rate's share is %d", (values, share) => {
    expect(optionsOf(values).schedule(position)).toBeCloseTo(share, 12);
  });
});
