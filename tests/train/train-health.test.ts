import { expect, it } from "vitest";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import type { TrainingProgress, TrainingRequest } from "../../src/train/request.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, smallNetwork } from "./train-fixtures.ts";

// Seven steps for an epoch.
const dataset = coloredImages(14, 1);
const options: TrainingRequest = { platform, network: smallNetwork(), batchSize: 2, epochs: 2 };

it("some steps of each epoch, evenly spaced, tell of their health; the weights stay the same", async () => {
  const steps: TrainingProgress[] = [];
  const onProgress = (progress: TrainingProgress) => steps.push(progress);
  const watched = await train(dataset, { ...options, healthSteps: 3, onProgress });
  expect(steps.map(({ totalSteps }) => totalSteps)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  const told = steps.filter(({ health }) => health !== undefined);
  // 7/3 = 2.33, 4.67 and 7 steps are over after these.
  expect(told.map(({ totalSteps }) => totalSteps)).toEqual([3, 5, 7, 10, 12, 14]);
  expect(told[0]!.health!.layers.map(({ layer }) => layer)).toContain("predictions");
  const firstEpoch = steps.slice(0, 7);
  const mean = firstEpoch.reduce((sum, { stepLoss }) => sum + stepLoss, 0) / 7;
  expect(mean).toBeCloseTo(watched.history[0]!.loss, 6);

  const plain = await train(dataset, options);
  expect(plain.weights).toEqual(watched.weights);
});

it("no such number of steps is refused", async () => {
  await expect(train(dataset, { ...options, healthSteps: -1 })).rejects.toThrow(
    "train option healthSteps: this value is not allowed; received -1; expected a whole number from 0.",
  );
});
