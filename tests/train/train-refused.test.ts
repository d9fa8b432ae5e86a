import { describe, expect, it } from "vitest";
import { DataError, UsageError, WeightsError } from "../../src/base/errors.ts";
import { dense, globalAveragePooling2d, input } from "../../src/graph/builder.ts";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { network } from "../../src/graph/network.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, smallNetwork } from "./train-fixtures.ts";

const dataset = coloredImages(6, 1);
const twoChannels = globalAveragePooling2d(input([12, 12, 2]));

function attempt(options: Partial<TrainingRequest>, images = dataset) {
  return () => train(images, { platform: nodePlatform, network: smallNetwork(), ...options });
}

describe("refused before anything is computed", () => {
  it.each([
    [{ epochs: 0 }, "epochs", "0", "a whole number from 1"],
    [{ batchSize: 2.5 }, "batchSize", "2.5", "a whole number from 1, or auto"],
    [{ learningRate: 0 }, "learningRate", "0", "a number above 0"],
    [{ learningRate: Number.NaN }, "learningRate", "NaN", "a number above 0"],
    [{ labelSmoothing: 1 }, "labelSmoothing", "1", "a number from 0, below 1"],
    [{ mapWeights: [1] }, "mapWeights", "[1]", "a number from 0 for each of the 3 classes"],
    [{ seed: -1 }, "seed", "-1", "a whole number from 0"],
    [{ network: smallNetwork({ classes: 4 }) }, "network", "[4]", "one output for each of the 3 classes: [3]"],
    [{ network: smallNetwork({ activation: "linear" }) }, "network", '"linear"', "a softmax or sigmoid at its end"],
    [
      { network: network("two", dense(twoChannels, { units: 3, activation: "softmax" })) },
      "network",
      "[12, 12, 2]",
      "an input of images, [height, width, 3] or [height, width, 1]",
    ],
  ])("option %#", async (options, name, received, expected) => {
    const message = `train option ${name}: this value is not allowed; received ${received}; expected ${expected}.`;
    await expect(attempt(options)).rejects.toThrow(UsageError);
    await expect(attempt(options)).rejects.toThrow(message);
  });

  it.each([
    [{ ...dataset, samples: [] }, "data set: there are no images to train on."],
    [
      { classes: ["red"], samples: dataset.samples.slice(0, 1) },
      'data set: there are not enough classes; received ["red"]; expected at least two.',
    ],
    [
      { ...dataset, samples: dataset.samples.map((sample, index) => (index === 4 ? { ...sample, label: 7 } : sample)) },
      `data set, image "${dataset.samples[4]!.name}": its label is not the index of a class; received 7; expected a whole number from 0 to 2.`,
    ],
    [
      { ...dataset, samples: dataset.samples.map((sample) => ({ ...sample, weight: -1 })) },
      `data set, image "${dataset.samples[0]!.name}": its weight is not allowed; received -1; expected a number from 0.`,
    ],
    [
      { ...dataset, samples: dataset.samples.map((sample) => ({ ...sample, weight: Number.NaN })) },
      `data set, image "${dataset.samples[0]!.name}": its weight is not allowed; received NaN; expected a number from 0.`,
    ],
    [
      {
        ...dataset,
        samples: dataset.samples.map((sample, index) => (index === 1 ? { ...sample, labels: [0, -1] } : sample)),
      },
      `data set, image "${dataset.samples[1]!.name}": its label is not the index of a class; received -1; expected a whole number from 0 to 2.`,
    ],
  ])("data set %#", async (images, message) => {
    await expect(attempt({}, images)).rejects.toThrow(DataError);
    await expect(attempt({}, images)).rejects.toThrow(message);
  });

  it("validation images of other classes", async () => {
    const validation = { ...dataset, classes: ["red", "green", "violet"] };
    await expect(attempt({ validation })).rejects.toThrow(DataError);
    await expect(attempt({ validation })).rejects.toThrow(
      "they differ from those of the training set: the training set does not know violet",
    );
  });

  it("validation and test images with labels of no class", async () => {
    const wrong = { ...dataset, samples: dataset.samples.map((sample) => ({ ...sample, label: 0.5 })) };
    for (const [option, name] of [
      ["validation", "the validation set"],
      ["test", "the test set"],
    ] as const) {
      await expect(attempt({ [option]: wrong })).rejects.toThrow(
        `${name}, image "${dataset.samples[0]!.name}": its label is not the index of a class; received 0.5; expected a whole number from 0 to 2.`,
      );
    }
  });

  it("no threads", async () => {
    for (const threads of [0, -1, 1.5]) {
      await expect(attempt({ threads })).rejects.toThrow(
        `option threads: this value is not allowed; received ${threads}; expected a whole number from 1.`,
      );
    }
  });

  it("weights of another network", async () => {
    const weights = new Map([...initializeWeights(smallNetwork())].slice(1));
    await expect(attempt({ weights })).rejects.toThrow(WeightsError);
    await expect(attempt({ weights })).rejects.toThrow(
      "train option weights: they are not the weights of this network; missing: conv/kernel.",
    );
  });

  it("batches larger than the data set", async () => {
    await expect(attempt({ batchSize: 7 })).rejects.toThrow(DataError);
    await expect(attempt({ batchSize: 7 })).rejects.toThrow(
      "there are not enough usable images for a batch; received 6; expected at least 7. " +
        "Add images or use smaller batches.",
    );
  });
});

it("the default batch is as large as a small data set", async () => {
  const { steps } = await attempt({ epochs: 2 })();
  expect(steps).toBe(2);
});
