import { expect, it } from "vitest";
import { noAugmentation } from "../../src/data/augmentation.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { TrainingRequest, TrainingResult } from "../../src/train/request.ts";
import { train } from "../../src/train/train.ts";
import { coloredImages, smallNetwork } from "./train-fixtures.ts";

const dataset = coloredImages(8, 1);

function trainSmall(images: ImageDataset, options: Partial<TrainingRequest> = {}): Promise<TrainingResult> {
  const network = smallNetwork();
  const augmentation = noAugmentation;
  return train(images, { platform: nodePlatform, network, epochs: 1, batchSize: 8, augment: augmentation, ...options });
}

it("class weights multiply the loss", async () => {
  const { history: plain } = await trainSmall(dataset);
  const { history: doubled } = await trainSmall(dataset, { classWeights: { red: 2, green: 2, blue: 2 } });
  expect(doubled[0]!.loss / plain[0]!.loss).toBeCloseTo(2, 5);
  // What each class adds to the loss adds up to it.
  const losses = [
    { green: 0, blue: 0 },
    { red: 0, blue: 0 },
    { red: 0, green: 0 },
  ].map(async (classWeights) => (await trainSmall(dataset, { classWeights })).history[0]!.loss);
  const sum = (await Promise.all(losses)).reduce((total, loss) => total + loss, 0);
  expect(sum / plain[0]!.loss).toBeCloseTo(1, 5);
});

it("from an image that counts for nothing, nothing is learned", async () => {
  const labeled = (wrong: number) => ({
    ...dataset,
    samples: dataset.samples.map((sample, index) => (index < 3 ? { ...sample, label: wrong, weight: 0 } : sample)),
  });
  const [first, second] = [await trainSmall(labeled(0)), await trainSmall(labeled(2))];
  expect(second.weights).toEqual(first.weights);
  expect((await trainSmall(dataset)).weights).not.toEqual(first.weights);
});

it("refuses weights of classes that there are not", async () => {
  await expect(trainSmall(dataset, { classWeights: { purple: 2 } })).rejects.toThrow("has no such classes");
});
