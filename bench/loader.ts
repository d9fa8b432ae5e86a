/**
 * Does reading images slow training down? A step on photos that are read, decoded and resized while the steps run,
 * and changed by an augmentation if one is named, against the same step on tensors in memory, in turn.
 * `npx tsx bench/loader.ts FOLDER [batch] [size] [augmentation]`; FOLDER has one sub-folder of photos for each class.
 */

import { type AugmentationName, augmentations } from "../src/data/augmentation.ts";
import { BatchSource } from "../src/data/batches.ts";
import { folderDataset } from "../src/data/dataset.ts";
import { kerasPreprocessing } from "../src/graph/preprocessing.ts";
import { createOptimizer, initializeWeights, softmaxCrossEntropy, TrainingStep, xception } from "../src/index.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { median, rounded, timeMs, writeResult } from "./measurement.ts";

const [folder, batch = "8", side = "299", augmentation = "none"] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: npx tsx bench/loader.ts FOLDER [batch] [size] [augmentation]");
const [batchSize, size] = [Number(batch), Number(side)];
const isAugmented = augmentation !== "none";
const rounds = 8;

const dataset = folderDataset(await nodePlatform.files.list(folder));
const classes = dataset.classes.length;
const network = xception({ inputShape: [size, size, 3], classes });
const step = await TrainingStep.create(network, initializeWeights(network), {
  platform: nodePlatform,
  batchSize,
  optimizer: createOptimizer("sgd"),
  loss: softmaxCrossEntropy,
  preprocessing: kerasPreprocessing,
});
// Nothing is cached: each round decodes images it has not seen.
const source = new BatchSource(dataset, nodePlatform.images.decode, {
  batchSize,
  decode: { width: size, height: size },
  cacheBytes: 0,
  ...(isAugmented && { augmentation: augmentations[augmentation as AugmentationName] }),
});
const batches = source.trainingBatches(0)[Symbol.asyncIterator]();
const first = (await batches.next()).value!;
const cached = { images: first.images, targets: first.targets, learningRate: 0.001 };

const times: { photos: number[]; tensors: number[] } = { photos: [], tensors: [] };
for (let round = -3; round < rounds; round++) {
  const photosMs = await timeMs(async () => {
    const { images, targets } = (await batches.next()).value!;
    await step.run({ images, targets, learningRate: 0.001 });
  });
  const tensorsMs = await timeMs(() => step.run(cached));
  if (round < 0) continue;
  times.photos.push(photosMs);
  times.tensors.push(tensorsMs);
}
await batches.return?.(undefined);
const ratio = median(times.photos.map((photosMs, round) => photosMs / times.tensors[round]!));
writeResult(isAugmented ? `loader-${augmentation}` : "loader", {
  question: `Does reading ${isAugmented ? "and changing " : ""}images slow training down?`,
  augmentation,
  batchSize,
  size,
  ratio: rounded(ratio, 3),
  rows: [
    {
      "a step on": `photos, ${isAugmented ? "changed, and " : ""}decoded while the step before runs`,
      ms: rounded(median(times.photos), 0),
    },
    { "a step on": "tensors in memory", ms: rounded(median(times.tensors), 0) },
  ],
});
console.error(`a step on photos takes ${ratio.toFixed(3)} times as long as one on tensors in memory`);
await step.dispose();
