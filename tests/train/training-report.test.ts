import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Prediction } from "../../src/base/records.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { networkCost } from "../../src/graph/cost.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { galleryOf } from "../../src/tasks/evaluate/evaluate.ts";
import { train } from "../../src/train/train.ts";
import { reportOn } from "../../src/train/training-report.ts";
import { coloredImages, smallNetwork } from "./train-fixtures.ts";

const network = smallNetwork();
const validation = coloredImages(6, 2);
const trained = await train(coloredImages(12, 1), { platform, network, validation, epochs: 2, batchSize: 4 });

it("gathers the numbers of the training, the network's cost, and images of right and wrong answers", async () => {
  const settings = [{ name: "Seed", value: "0" }];
  const reproduction = { commands: ["xception train"] };
  const full = { name: "large", parameters: 1e6 };
  const skipped = [{ file: "a", reason: "damaged" }];
  const validationSkipped = [{ file: "b", reason: "empty" }];
  const gallery = await galleryOf(trained.predictions!, validation, platform.images);
  const report = reportOn(
    { ...trained, skipped, validationSkipped },
    { title: "A title", summary: "In short", settings, reproduction, full, gallery },
  );
  const { gallery: given, ...rest } = report;
  expect(given).toBe(gallery);
  // 8·3·3·3 and 8·9 + 8·16 weights, four numbers for each of 8 and 16 channels, 16·3 + 3 of the classifier.
  expect(rest).toEqual({
    title: "A title",
    summary: "In short",
    network: { parameters: 216 + 200 + 96 + 51, full },
    settings,
    history: trained.history,
    validation: trained.evaluation!,
    cost: networkCost(network),
    skipped: [...skipped, ...validationSkipped],
    reproduction,
  });
  const shown = [...gallery.wrong, ...gallery.right];
  expect(shown.length).toBe(6);
  for (const { png, ...prediction } of shown) {
    expect(trained.predictions).toContainEqual(prediction);
    expect(prediction.truth === prediction.predicted).toBe(gallery.right.some((item) => item.png === png));
    // The thumbnail shows the image of that name: its strongest color is its class.
    const { data } = await platform.images.decode(png, { width: 128, height: 128 });
    const means = [0, 1, 2].map((channel) => data.filter((_, at) => at % 3 === channel).reduce((a, b) => a + b, 0));
    expect(["red", "green", "blue"][means.indexOf(Math.max(...means))]).toBe(prediction.truth);
  }
});

it("has no gallery without images, and no size to compare with where it is the same", async () => {
  const { predictions, evaluation, ...untested } = trained;
  const full = { name: "itself", parameters: 563 };
  const report = reportOn(untested, { title: "A title", full });
  expect(report).toEqual({
    title: "A title",
    network: { parameters: 563 },
    history: trained.history,
    cost: networkCost(network),
    skipped: [],
  });
});

it("leaves out images that have gone since", async () => {
  const folder = await mkdtemp(join(tmpdir(), "xception-report-"));
  const image = join(folder, "there.png");
  const pixels = validation.samples[0]!.image as Parameters<typeof platform.images.encodePng>[0];
  await writeFile(image, await platform.images.encodePng(pixels));
  const dataset: ImageDataset = {
    classes: ["red", "green"],
    samples: [
      { image, label: 0, name: "there.png" },
      { image: join(folder, "gone.png"), label: 0, name: "gone.png" },
    ],
  };
  const predictions: Prediction[] = dataset.samples.map(({ name }) => ({
    file: name,
    truth: "red",
    predicted: "green",
    probability: 0.9,
    truthProbability: 0.1,
    truthRank: 2,
  }));
  const gallery = await galleryOf(predictions, dataset, platform.images);
  await rm(folder, { recursive: true });
  expect(gallery.wrong.map(({ file }) => file)).toEqual(["there.png"]);
  expect(gallery.right).toEqual([]);
});
