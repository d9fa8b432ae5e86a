import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import type { EpochRecord } from "../../src/base/records.ts";
import { augmentations } from "../../src/data/augmentation.ts";
import { createOptimizer, type Optimizer } from "../../src/learning/optimizers.ts";
import { cosineDecay, exponentialDecay, plateauDecay, type Schedule, stepDecay } from "../../src/learning/schedules.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { Checkpoint } from "../../src/train/checkpoint.ts";
import { decodeBest, decodeCheckpoint, encodeBest, encodeCheckpoint } from "../../src/train/checkpoint-file.ts";
import type { TrainingRequest, TrainingResult } from "../../src/train/request.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, labels, smallNetwork } from "./train-fixtures.ts";

const dataset = coloredImages(24, 1);
const validation = coloredImages(9, 2);
const network = smallNetwork({ dropout: 0.3 });

function trainSmall(options: Partial<TrainingRequest> = {}): Promise<TrainingResult> {
  return train(dataset, { platform: nodePlatform, network, validation, epochs: 3, batchSize: 8, seed: 4, ...options });
}

/** All checkpoints of a training that saves after every step, and its result. */
async function recorded(options: Partial<TrainingRequest> = {}) {
  const kept: Checkpoint[] = [];
  const save = async (checkpoint: Checkpoint) => void kept.push(checkpoint);
  const result = await trainSmall({ ...options, checkpoints: { save, everySteps: 1 } });
  return { kept, result };
}

/** Through the files: what a resumed process sees. */
async function reread(checkpoint: Checkpoint): Promise<Checkpoint> {
  const stored = await decodeCheckpoint(await encodeCheckpoint(checkpoint), "checkpoint");
  const { best } = checkpoint;
  expect(stored.bestEpoch).toBe(best?.epoch);
  return { ...stored.checkpoint, best: best && (await decodeBest(await encodeBest(best), "best")) };
}

/** Without what depends on the clock. */
function comparable({ history, ...result }: TrainingResult) {
  const timeless = ({ imagesPerSecond, seconds, ...record }: EpochRecord) => record;
  return { ...result, history: history.map(timeless) };
}

describe.each(["sgd", "adamw"] as const)("a training with %s, resumed after any step", (name) => {
  const optimizer = createOptimizer(name);

  it("has the result of one that was never interrupted, bit for bit", async () => {
    const { kept, result } = await recorded({ optimizer });
    expect(comparable(await trainSmall({ optimizer }))).toEqual(comparable(result));
    const places = kept.map(({ epoch, state }) => [epoch.index, state.steps]);
    const afterSteps = [0, 1, 2].flatMap((index) => [1, 2, 3].map((step) => [index, 3 * index + step]));
    expect(places).toEqual(expect.arrayContaining([...afterSteps, [3, 9]]));
    for (const checkpoint of kept) {
      const resumed = await trainSmall({ optimizer, resume: await reread(checkpoint) });
      expect(comparable(resumed)).toEqual(comparable(result));
    }
  });
});

it("goes on bit for bit with changed, mixed, balanced and weighted images", async () => {
  const options: Partial<TrainingRequest> = {
    augment: { ...augmentations.strong, randAugment: { operations: 2, magnitude: 9 } },
    mixup: 0.4,
    cutMix: 1,
    sampling: "balanced",
    classWeights: { red: 3, blue: 0.5 },
  };
  const { kept, result } = await recorded(options);
  for (const checkpoint of [kept[1]!, kept[4]!]) {
    const resumed = await trainSmall({ ...options, resume: await reread(checkpoint) });
    expect(comparable(resumed)).toEqual(comparable(result));
  }
  const others = trainSmall({ ...options, cutMix: 0, classWeights: "balanced", resume: kept[1]! });
  await expect(others).rejects.toThrow("differs in mixing, classWeights;");
});

it("goes on after a signal, in the middle of an epoch as well as in the middle of a test", async () => {
  const { result } = await recorded();
  const kept: Checkpoint[] = [];
  const checkpoints = { save: async (checkpoint: Checkpoint) => void kept.push(checkpoint), everyMinutes: 99 };
  for (const steps of [2, 5, 6]) {
    const controller = new AbortController();
    let done = 0;
    const onProgress = () => {
      if (++done !== steps) return;
      // After the last step of an epoch comes its test; a timer fires once that has begun.
      if (steps === 6) setTimeout(() => controller.abort(), 1);
      else controller.abort();
    };
    const stopped = await trainSmall({ checkpoints, onProgress, signal: controller.signal });
    expect(stopped).toMatchObject({ aborted: true, steps });
    expect(kept.at(-1)!.state.steps).toBe(steps);
    expect(comparable(await trainSmall({ resume: await reread(kept.at(-1)!) }))).toEqual(comparable(result));
  }
});

it("tells what had been reached, and takes a training that was over as it is", async () => {
  const { kept, result } = await recorded();
  const soFar: (TrainingResult | undefined)[] = [];
  const steps: number[] = [];
  const again = await trainSmall({
    resume: kept.at(-1)!,
    onStart: (start) => soFar.push(start.soFar),
    onProgress: ({ step }) => steps.push(step),
  });
  expect(steps).toEqual([]);
  expect(again).toEqual(result);
  expect(soFar).toEqual([result]);
});

it("refuses a checkpoint of an epoch beyond the last one", async () => {
  const { kept } = await recorded({ epochs: 1 });
  const [checkpoint] = kept;
  const beyond = { ...checkpoint!, epoch: { ...checkpoint!.epoch, index: 2 } };
  await expect(trainSmall({ epochs: 1, resume: beyond })).rejects.toThrow(
    "train option resume, epoch of the checkpoint: this value is not allowed; received 3; expected an epoch up to the " +
      "last one, 1.",
  );
});

it("refuses to go on with other options or images, and names them", async () => {
  const { kept } = await recorded({ epochs: 1 });
  const refusal = async (options: Partial<TrainingRequest>) => {
    const error: unknown = await trainSmall({ epochs: 1, resume: kept[0]!, ...options }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    return (error as UsageError).message.replaceAll(/[0-9a-f]{64}/g, "…");
  };
  const start = "train option resume: the checkpoint belongs to another run: it differs in";
  const end = "Use the options and images it started with, or start a new run without resume.";
  expect(await refusal({ epochs: 2, batchSize: 4 })).toBe(
    `${start} epochs, batchSize; received {"epochs":2,"batchSize":4}; expected {"epochs":1,"batchSize":8}. ${end}`,
  );
  expect(await refusal({ seed: 5, learningRate: 0.1 })).toContain(`${start} learningRate, seed; received`);
  expect(await refusal({ network: smallNetwork() })).toContain(`${start} network; received`);
  expect(await refusal({ optimizer: createOptimizer("sgd"), learningRate: 0.003 })).toContain(`${start} optimizer;`);
  expect(await refusal({ validation: { classes: labels, samples: validation.samples.slice(1) } })).toBe(
    `${start} validation; received {"validation":{"count":8,"files":"…"}}; expected {"validation":{"count":9,"files":"…"}}. ${end}`,
  );
});

describe("what is a function is told by its values:", () => {
  it.each<[string, Optimizer, Optimizer]>([
    ["momentum", createOptimizer("sgd"), createOptimizer("sgd", { momentum: 0.8 })],
    ["Nesterov's look-ahead", createOptimizer("sgd"), createOptimizer("sgd", { nesterov: true })],
    ["decay", createOptimizer("sgd"), createOptimizer("sgd", { weightDecay: 1e-5 })],
    ["rho", createOptimizer("rmsprop"), createOptimizer("rmsprop", { rho: 0.95 })],
    ["epsilon", createOptimizer("adam"), createOptimizer("adam", { epsilon: 1e-8 })],
    ["beta1", createOptimizer("adamw"), createOptimizer("adamw", { beta1: 0.8 })],
  ])("another %s is another optimizer", async (_, optimizer, other) => {
    const { kept } = await recorded({ epochs: 1, optimizer });
    await expect(trainSmall({ epochs: 1, optimizer: other, resume: kept[0]! })).rejects.toThrow(
      "differs in optimizer;",
    );
  });

  it.each<[string, Schedule, Schedule]>([
    ["patience", plateauDecay({ patience: 5 }), plateauDecay({ patience: 6 })],
    ["factor", plateauDecay({ factor: 0.1 }), plateauDecay({ factor: 0.2 })],
    ["epoch", stepDecay({ afterEpochs: [7] }), stepDecay({ afterEpochs: [8] })],
    ["number of samples", exponentialDecay({ everySamples: 3e6 }), exponentialDecay({ everySamples: 2e6 })],
    ["warm-up", cosineDecay({ warmup: 0.05 }), cosineDecay({ warmup: 0.06 })],
  ])("another %s is another schedule", async (_, schedule, other) => {
    const { kept } = await recorded({ epochs: 1, schedule });
    await expect(trainSmall({ epochs: 1, schedule: other, resume: kept[0]! })).rejects.toThrow("differs in schedule;");
  });
});

it("saves no weights that are broken, and what save throws ends the training", async () => {
  const kept: Checkpoint[] = [];
  const save = async (checkpoint: Checkpoint) => void kept.push(checkpoint);
  const diverging = { optimizer: createOptimizer("sgd", { momentum: 0 }), learningRate: 1e300 };
  await expect(trainSmall({ ...diverging, checkpoints: { save, everySteps: 1 } })).rejects.toThrow(
    "training, epoch 1, step 1: a new weight is NaN or infinite, from the optimizer's update on.",
  );
  expect(kept).toEqual([]);
  const full = () => Promise.reject(new Error("the disk is full"));
  await expect(trainSmall({ checkpoints: { save: full, everySteps: 1 } })).rejects.toThrow("the disk is full");
});

it.each([
  [
    { everyMinutes: 0 },
    "train option checkpoints.everyMinutes: this value is not allowed; received 0; expected a number above 0.",
  ],
  [
    { everySteps: 1.5 },
    "train option checkpoints.everySteps: this value is not allowed; received 1.5; expected a whole number from 1.",
  ],
])("refuses %j", async (options, message) => {
  const save = () => Promise.resolve();
  await expect(trainSmall({ checkpoints: { save, ...options } })).rejects.toThrow(message);
});
