import { describe, expect, it } from "vitest";
import { AbortedError, DataError, UsageError, WeightsError } from "../../src/base/errors.ts";
import type { ImageDataset, Sample } from "../../src/data/dataset.ts";
import { loadPredictor } from "../../src/model/predictor.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { type EvaluationProgress, evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "./images.ts";

const model = smallModel();

/** An image that differs by its seed. */
function sample(seed: number, label: number): Sample {
  const { data } = noise(1, [71, 80, 3], seed);
  // Darker by its seed, so that the network does not take all of them for the same.
  return { name: `${seed}.png`, label, image: { width: 80, height: 71, data: data.map((v) => v >> (seed % 5)) } };
}

const dataset: ImageDataset = {
  classes: ["cat", "dog", "owl"],
  samples: Array.from({ length: 11 }, (_, index) => sample(index + 1, index % 3)),
};

async function errorOf(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => expect.fail("no error"),
    (error: Error) => error,
  );
}

describe("evaluating a model", () => {
  it("scores what the network answers to each image", async () => {
    const inference = await loadPredictor(model, platform);
    const answers = await Promise.all(
      dataset.samples.map(async ({ image, label, name }) => {
        const data = (image as { data: Uint8Array }).data;
        const { data: scores } = await inference.run({ type: "uint8", shape: [1, 71, 80, 3], data });
        const best = scores.indexOf(Math.max(...scores));
        return {
          file: name,
          label,
          best,
          probability: scores[best]!,
          own: scores[label]!,
          place: scores.toSorted((a, b) => b - a).indexOf(scores[label]!) + 1,
        };
      }),
    );
    await inference.dispose();
    const right = answers.filter(({ label, best }) => label === best).length;
    expect(new Set(answers.map(({ best }) => best)).size).toBeGreaterThan(1);

    const { evaluation, predictions, skipped } = await evaluate(model, dataset, { platform, batchSize: 4 });
    expect(skipped).toEqual([]);
    expect(evaluation.images).toBe(11);
    expect(evaluation.top1).toBeCloseTo(right / 11, 10);
    expect(evaluation.top5).toBe(1);
    expect(evaluation.loss).toBeCloseTo(answers.reduce((sum, { own }) => sum - Math.log(own), 0) / 11, 5);
    expect(evaluation.perClass.map(({ label, support }) => [label, support])).toEqual([
      ["cat", 4],
      ["dog", 4],
      ["owl", 3],
    ]);
    for (const [index, { file, label, best, probability, own, place }] of answers.entries()) {
      const names = { file, truth: model.labels[label], predicted: model.labels[best] };
      const scores = { probability: expect.closeTo(probability, 5), truthProbability: expect.closeTo(own, 5) };
      expect(predictions[index]).toEqual({ ...names, ...scores, truthRank: place });
    }
  });

  it("gives the same in batches of any size and whatever order the folders are in", async () => {
    const { evaluation } = await evaluate(model, dataset, { platform, batchSize: 4 });
    const reordered: ImageDataset = {
      classes: ["owl", "cat", "dog"],
      samples: dataset.samples.map((each) => ({ ...each, label: (each.label + 1) % 3 })),
    };
    const other = await evaluate(model, reordered, { platform, batchSize: 11 });
    expect(other.evaluation).toEqual({ ...evaluation, loss: expect.closeTo(evaluation.loss, 5) });
    expect((await evaluate(model, dataset, { platform })).evaluation.confusion).toEqual(evaluation.confusion);
  });

  it("tells how far it is and names what it skipped", async () => {
    const broken: Sample = { name: "broken.png", label: 0, image: Uint8Array.of(1, 2, 3) };
    const samples = [...dataset.samples.slice(0, 3), broken, ...dataset.samples.slice(3)];
    const progress: EvaluationProgress[] = [];
    const { evaluation, predictions, skipped } = await evaluate(
      model,
      { ...dataset, samples },
      { platform, batchSize: 4, onProgress: (each) => progress.push(each) },
    );
    expect(progress).toEqual([4, 8, 11].map((done) => ({ done, total: 12 })));
    expect(skipped).toEqual([{ file: "broken.png", reason: expect.stringContaining("this is not a supported image") }]);
    expect(evaluation).toEqual((await evaluate(model, dataset, { platform, batchSize: 4 })).evaluation);
    expect(predictions.map(({ file }) => file)).toEqual(dataset.samples.map(({ name }) => name));
  });
});

it("fits the temperature of a softmax, not of sigmoids", async () => {
  const { evaluation } = await evaluate(model, dataset, { platform, top: [2] });
  const { temperature, loss } = evaluation.calibration!.temperature!;
  expect(temperature).toBeGreaterThan(0);
  expect(loss).toBeLessThanOrEqual(evaluation.loss + 1e-9);
  expect(evaluation.topK).toEqual([{ k: 2, accuracy: expect.any(Number) }]);
  const other = await evaluate(smallModel({ classifierActivation: "sigmoid" }), dataset, { platform });
  expect(other.evaluation.calibration).not.toHaveProperty("temperature");
});

describe("evaluating is refused", () => {
  it("with a place that is none", async () => {
    for (const wrong of [0, 1.5, model.labels.length + 1]) {
      const error = await errorOf(evaluate(model, dataset, { platform, top: [1, wrong] }));
      expect(error).toBeInstanceOf(UsageError);
      expect(error.message).toBe(
        `evaluate option top: this value is not allowed; received ${wrong}; expected whole numbers from 1 to 3, the number of classes.`,
      );
    }
  });

  it("on other classes than the model's", async () => {
    const error = await errorOf(evaluate(model, { ...dataset, classes: ["cat", "dog", "cow"] }, { platform }));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toContain("the model does not know cow");
  });

  it("without an image that can be read", async () => {
    const samples = [{ name: "broken.png", label: 0, image: Uint8Array.of(1, 2, 3) }];
    const error = await errorOf(evaluate(model, { ...dataset, samples }, { platform }));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toContain("there are no usable images (1 skipped). The first that were skipped:");
  });

  it("when the caller has stopped it", async () => {
    const controller = new AbortController();
    const work = evaluate(model, dataset, {
      platform,
      batchSize: 2,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    expect(await errorOf(work)).toBeInstanceOf(AbortedError);
  });

  it("when the weights are not numbers, or not the network's", async () => {
    const weights = new Map(model.weights);
    const bias = weights.get("predictions/bias")!;
    weights.set("predictions/bias", { ...bias, data: bias.data.map(() => Number.NaN) });
    const { message } = await errorOf(evaluate({ ...model, weights }, dataset, { platform }));
    expect(message).toMatch(/^data set: there are no usable images .* outputs for it are NaN or infinite/);
    weights.delete("predictions/bias");
    expect(await errorOf(evaluate({ ...model, weights }, dataset, { platform }))).toBeInstanceOf(WeightsError);
  });
});

describe("a network in the engine", () => {
  it("finishes what is under way before it is given back, and then takes no more", async () => {
    const inference = await loadPredictor(model, platform);
    const images = noise(2, [71, 80, 3]);
    const underWay = [inference.run(images), inference.run(images)];
    await inference.dispose();
    const [first, second] = await Promise.all(underWay);
    expect(first).toEqual(second);
    expect(await errorOf(inference.run(images))).toBeInstanceOf(UsageError);
  });

  it("goes on after a run that failed", async () => {
    const inference = await loadPredictor(model, platform);
    await errorOf(inference.run(noise(1, [70, 80, 3])));
    expect((await inference.run(noise(1, [71, 80, 3]))).shape).toEqual([1, 3]);
    await inference.dispose();
  });
});
