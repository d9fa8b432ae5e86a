import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import type { Platform, RgbImage } from "../../src/base/platform.ts";
import { noAugmentation } from "../../src/data/augmentation.ts";
import { networkWeights } from "../../src/graph/network.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { constantRate, type SchedulePosition } from "../../src/learning/schedules.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import type { TrainingProgress, TrainingRequest, TrainingResult } from "../../src/train/request.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, labels, smallNetwork } from "./train-fixtures.ts";

const dataset = coloredImages(48, 1);
const validation = coloredImages(20, 2);

function trainSmall(options: Partial<TrainingRequest> = {}): Promise<TrainingResult> {
  return train(dataset, { platform: nodePlatform, network: smallNetwork(), epochs: 3, batchSize: 8, ...options });
}

function numbersOf(weights: Weights): Record<string, number[]> {
  return Object.fromEntries([...weights].map(([name, { data }]) => [name, [...data]]));
}

/** Weights with which the small network says the same about every image. */
function constantLogits(logits: readonly number[]): Weights {
  return new Map(
    networkWeights(smallNetwork()).map(({ name, shape }) => {
      const tensor = floatTensor(shape);
      if (name === "predictions/bias") tensor.data.set(logits);
      return [name, tensor];
    }),
  );
}

describe("train", () => {
  it("learns to tell images apart that it never saw", async () => {
    const { history, evaluation } = await trainSmall({ validation, epochs: 12, learningRate: 0.02 });
    expect(history.length).toBe(12);
    expect(history.at(-1)!.accuracy).toBeGreaterThan(0.9);
    expect(evaluation!.top1).toBeGreaterThan(0.9);
    expect(evaluation!.images).toBe(20);
  });

  it("gives the same weights for the same seed, bit for bit, and others for another", async () => {
    const network = smallNetwork({ dropout: 0.5 });
    const run = async (seed: number) => numbersOf((await trainSmall({ network, seed })).weights);
    const first = await run(7);
    expect(await run(7)).toEqual(first);
    expect(await run(8)).not.toEqual(first);
  });

  it("draws the initial weights of a network that it builds from its own seed", async () => {
    const options = { inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0 } as const;
    const build = (seed: number, network: TrainingRequest["network"]) => {
      const images = { classes: labels, samples: [] as never[] };
      const stopped = AbortSignal.abort();
      const samples = dataset.samples.map((sample) => ({ ...sample, image: "unread.png" }));
      return train({ ...images, samples }, { platform: nodePlatform, network, seed, signal: stopped });
    };
    const { network, weights, steps } = await build(5, { family: "xception", options });
    expect(steps).toBe(0);
    expect(network.seed).toBe(5);
    expect(network.layers.at(-1)!.outputShape).toEqual([3]);
    const named = await build(6, { family: "xception", options: { ...options, seed: 5 } });
    expect(numbersOf(named.weights)).toEqual(numbersOf(weights));
  });

  it("returns the weights of the epoch that validated best, with their test", async () => {
    const snapshots: TrainingResult[] = [];
    const result = await trainSmall({
      validation,
      epochs: 6,
      learningRate: 0.05,
      schedule: constantRate,
      onEpoch: (soFar) => {
        snapshots.push(soFar);
      },
    });
    const ranked = result.history.toSorted(
      (a, b) => b.validationAccuracy! - a.validationAccuracy! || a.validationLoss! - b.validationLoss!,
    );
    expect(result.epoch).toBe(ranked[0]!.epoch);
    expect(result.evaluation!.top1).toBe(ranked[0]!.validationAccuracy);
    expect(result.evaluation!.loss).toBe(ranked[0]!.validationLoss);
    const again = await evaluate(result, validation, { platform: nodePlatform });
    expect(again.evaluation).toEqual(result.evaluation);
    expect(again.predictions).toEqual(result.predictions);

    expect(snapshots.map(({ history }) => history.length)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(snapshots.map(({ steps }) => steps)).toEqual([6, 12, 18, 24, 30, 36]);
    expect(numbersOf(snapshots[result.epoch - 1]!.weights)).toEqual(numbersOf(result.weights));
  });

  it("returns the latest weights where there is no validation", async () => {
    const result = await trainSmall({ epochs: 2 });
    expect(result).toMatchObject({ epoch: 2, steps: 12, aborted: false, skipped: [], validationSkipped: [] });
    expect(result.evaluation).toBeUndefined();
    expect(result.history.map((record) => "validationLoss" in record)).toEqual([false, false]);
  });

  it("matches the validation folders with the training classes by name", async () => {
    const reversed = {
      classes: labels.toReversed(),
      samples: validation.samples.map((sample) => ({ ...sample, label: 2 - sample.label })),
    };
    const plain = await trainSmall({ validation, epochs: 1 });
    const { evaluation } = await trainSmall({ validation: reversed, epochs: 1 });
    expect(evaluation).toEqual(plain.evaluation);
  });

  it("starts from given weights, and smooths labels: the first loss by hand", async () => {
    // Probabilities 8/10, 1/10, 1/10 for every image; a third of the images belongs to each class, so smoothing,
    // which moves target probability from each class to all, leaves the mean target at a third each.
    const options = {
      weights: constantLogits([Math.log(8), 0, 0]),
      network: smallNetwork(),
      batchSize: 48,
      epochs: 1,
    };
    const mean = -(Math.log(0.8) + 2 * Math.log(0.1)) / 3;
    for (const labelSmoothing of [0, 0.3]) {
      const { history } = await trainSmall({ ...options, labelSmoothing });
      expect(history[0]!.loss).toBeCloseTo(mean, 5);
      expect(history[0]!.accuracy).toBeCloseTo(1 / 3, 10);
    }
    // Of one class alone the mean target is (1 − s + s/3, s/3, s/3).
    const red = { classes: labels, samples: dataset.samples.filter(({ label }) => label === 0) };
    const { history } = await train(red, { platform: nodePlatform, ...options, batchSize: 16, labelSmoothing: 0.3 });
    expect(history[0]!.loss).toBeCloseTo(-(0.8 * Math.log(0.8) + 0.2 * Math.log(0.1)), 5);
    expect(history[0]!.accuracy).toBe(1);
  });

  it("trains sigmoid classifiers with their own loss: ln 2 where all logits are 0", async () => {
    const { history } = await trainSmall({
      network: smallNetwork({ activation: "sigmoid" }),
      weights: constantLogits([0, 0, 0]),
      batchSize: 48,
      epochs: 1,
    });
    expect(history[0]!.loss).toBeCloseTo(Math.LN2, 6);
  });

  it("augments unless told not to", async () => {
    const losses = async (options: Partial<TrainingRequest>) =>
      (await trainSmall(options)).history.map(({ loss }) => loss);
    const plain = await losses({ augment: noAugmentation });
    expect(await losses({})).not.toEqual(plain);
  });

  it("uses the optimizer, the learning rate and the schedule it is given", async () => {
    const { history, weights } = await trainSmall({
      weights: constantLogits([0, 0, 0]),
      optimizer: createOptimizer("sgd", { momentum: 0 }),
      learningRate: 0.5,
      schedule: ({ epoch }) => 0.1 ** epoch,
      labelSmoothing: 0,
      augment: noAugmentation,
      batchSize: 48,
      epochs: 2,
    });
    expect(history.map(({ learningRate }) => learningRate)).toEqual([0.5, 0.05]);
    // All features are 0 and every class is as frequent as any other: the bias has nothing to learn.
    for (const value of weights.get("predictions/bias")!.data) expect(Math.abs(value)).toBeLessThan(1e-7);
  });
});

describe("progress", () => {
  it("begins with what is going to be trained", async () => {
    const starts: unknown[] = [];
    const network = smallNetwork();
    await trainSmall({
      network,
      epochs: 2,
      batchSize: 10,
      signal: AbortSignal.abort(),
      onStart: (start) => starts.push(start),
    });
    expect(starts).toEqual([{ network, batchSize: 10, epochs: 2, stepsPerEpoch: 4 }]);
  });

  it("is reported after every step, with the epoch's means and the steps that are left", async () => {
    const reports: TrainingProgress[] = [];
    const { history } = await trainSmall({ epochs: 2, onProgress: (report) => reports.push(report) });
    expect(reports.map(({ epoch, epochs, step, steps }) => [epoch, epochs, step, steps])).toEqual(
      [1, 2].flatMap((epoch) => [1, 2, 3, 4, 5, 6].map((step) => [epoch, 2, step, 6])),
    );
    for (const { epoch, loss, accuracy, learningRate } of history) {
      expect(reports[6 * epoch - 1]).toMatchObject({ loss, accuracy, learningRate });
    }
    expect(reports.every(({ imagesPerSecond, secondsLeft }) => imagesPerSecond > 0 && secondsLeft >= 0)).toBe(true);
    expect(reports.slice(0, -1).every(({ secondsLeft }) => secondsLeft > 0)).toBe(true);
    expect(reports.at(-1)!.secondsLeft).toBe(0);
  });

  it("waits for what is done after a step, and fails where that fails", async () => {
    let atWork = 0;
    const seen: number[] = [];
    const onProgress = async () => {
      seen.push(++atWork);
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      atWork--;
    };
    await trainSmall({ epochs: 1, onProgress });
    expect(seen).toEqual([1, 1, 1, 1, 1, 1]);
    const onFailure = async () => Promise.reject(new Error("no more room"));
    await expect(trainSmall({ epochs: 1, onProgress: onFailure })).rejects.toThrow("no more room");
  });

  it("lets other work have its turn between two steps", async () => {
    let turns = 0;
    let isOver = false;
    const work = () => {
      turns++;
      if (!isOver) setImmediate(work);
    };
    work();
    const seen: number[] = [];
    await trainSmall({ epochs: 1, onProgress: () => seen.push(turns) });
    isOver = true;
    expect(seen.length).toBe(6);
    for (const [index, count] of seen.slice(1).entries()) expect(count).toBeGreaterThan(seen[index]!);
  });
});

describe("damaged images", () => {
  /** A platform on which these images cannot be decoded. */
  function platformWithout(damaged: readonly string[]): Platform {
    return {
      ...nodePlatform,
      images: {
        ...nodePlatform.images,
        decode: async (source) => {
          const name = String(source);
          if (damaged.includes(name)) throw new FormatError({ where: `image "${name}"`, what: "the image is damaged" });
          const image = dataset.samples.find((sample) => sample.name === name)!.image;
          return image as RgbImage;
        },
      },
    };
  }
  const named = {
    classes: labels,
    samples: dataset.samples.map((sample) => ({ ...sample, image: sample.name })),
  };

  it("are skipped and named, and the schedule learns that there are fewer steps", async () => {
    const damaged = ["red/0", "green/4", "blue/11"];
    const positions: SchedulePosition[] = [];
    const reports: TrainingProgress[] = [];
    const result = await train(named, {
      platform: platformWithout(damaged),
      network: smallNetwork(),
      validation: { classes: labels, samples: named.samples.slice(0, 6) },
      batchSize: 8,
      epochs: 2,
      schedule: (position) => {
        positions.push(position);
        return 1;
      },
      onProgress: (report) => reports.push(report),
    });
    expect(result.skipped).toEqual(damaged.map((file) => ({ file, reason: `image "${file}": the image is damaged.` })));
    expect(result.validationSkipped.map(({ file }) => file)).toEqual(["red/0", "green/4"]);
    expect(result.evaluation!.images).toBe(4);
    // 45 usable images make 5 steps of 8, not 6.
    expect(positions).toEqual([
      ...[0, 1, 2, 3, 4].map((step) => ({ step, totalSteps: 12, epoch: 0, samples: 8 * step, validationLosses: [] })),
      ...[5, 6, 7, 8, 9].map((step) => ({
        step,
        totalSteps: 10,
        epoch: 1,
        samples: 8 * step,
        validationLosses: [result.history[0]!.validationLoss],
      })),
    ]);
    expect(reports.map(({ steps }) => steps)).toEqual([6, 6, 6, 6, 6, 5, 5, 5, 5, 5]);
    expect(result.steps).toBe(10);
  });
});
