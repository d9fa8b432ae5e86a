/**
 * What do the options of a training step cost, and what do frozen weights save? Each against the plain step, in turn.
 * `npx tsx bench/step-options.ts [batch] [size]`, by default 8 images of 150×150.
 */

import { oneHot } from "../src/data/labels.ts";
import { kerasPreprocessing } from "../src/graph/preprocessing.ts";
import {
  createOptimizer,
  exponentialAverage,
  initializeWeights,
  loadPredictor,
  softmaxCrossEntropy,
  TrainingStep,
  type TrainingStepOptions,
  type WeightSpec,
  xception,
} from "../src/index.ts";
import { defaultPreprocessing } from "../src/model/model.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { interleave, median, rounded, writeResult } from "./measurement.ts";

const [batchSize = 8, size = 150] = process.argv.slice(2).map(Number);
const rounds = 9;

const network = xception({ inputShape: [size, size, 3], classes: 10 });
const weights = initializeWeights(network);
const shape = [batchSize, size, size, 3] as const;
const images = { type: "uint8", shape, data: new Uint8Array(batchSize * size * size * 3).fill(99) } as const;
const labels = Array.from({ length: batchSize }, (_, index) => index % 10);
const input = { images, targets: oneHot(labels, 10, 0), learningRate: 0.01 };
const block14 = ({ name }: WeightSpec) => /^(block14|predictions)/.test(name);

const options: Readonly<Record<string, Partial<TrainingStepOptions>>> = {
  "all weights train": {},
  "gradients clipped by norm": { clip: { norm: 1 } },
  "weights averaged": { averageDecay: exponentialAverage(0.9999) },
  "two graphs, as for accumulation and all-reduce": { reduce: async () => {} },
  "health, prepared": { health: true },
  "health, told": { health: true },
  "normalization by moving statistics": { batchNorm: () => "inference" },
  "block 14 and the classifier train": { trainable: block14 },
  "the classifier trains": { trainable: ({ name }) => name.startsWith("predictions") },
};
const plain = "all weights train";

async function stepWith(each: Partial<TrainingStepOptions>): Promise<TrainingStep> {
  return TrainingStep.create(network, weights, {
    platform: nodePlatform,
    batchSize,
    optimizer: createOptimizer("sgd"),
    loss: softmaxCrossEntropy,
    preprocessing: kerasPreprocessing,
    ...each,
  });
}

/** Milliseconds, and the ratio to the plain step of the same round. */
async function measure(name: string, other: () => Promise<unknown>, step: TrainingStep) {
  const times = await interleave({ [plain]: () => step.run(input), [name]: other }, rounds);
  const ratios = times[name]!.map((ms, index) => ms / times[plain]![index]!);
  return {
    "a training step": name,
    "ms per step": rounded(median(times[name]!), 0),
    "÷ plain": rounded(median(ratios), 2),
  };
}

const step = await stepWith({});
const rows = [];
for (const [name, each] of Object.entries(options)) {
  const other = await stepWith(each);
  rows.push(await measure(name, () => other.run({ ...input, health: name === "health, told" }), step));
  await other.dispose();
}
const inference = await loadPredictor({ network, weights, preprocessing: defaultPreprocessing }, nodePlatform);
rows.push(await measure("inference alone", () => inference.run(images), step));
await inference.dispose();
await step.dispose();

writeResult(size === 150 && batchSize === 8 ? "step-options" : `step-options-${size}-${batchSize}`, {
  question: "What do the options of a training step cost, and what do frozen weights save?",
  batchSize,
  size,
  rows,
});
