/**
 * How long does testing a model on photos take, against training's own validation on the same, and what does batching images
 * of different sizes save? All ways interleaved in one process.
 * `npx tsx bench/evaluate.ts FOLDER [images] [size] [width] [rounds]`, by default 372 photos, 299×299 and the full width.
 */

import { BatchSource } from "../src/data/batches.ts";
import { folderDataset } from "../src/data/dataset.ts";
import { readAhead } from "../src/data/image-loading.ts";
import { syntheticWeights } from "../src/graph/synthetic.ts";
import { type ImageSource, xception } from "../src/index.ts";
import { decodeOptionsOf, imageBatch, imagePreparation, sizedDecodeOptionsOf } from "../src/model/images.ts";
import { defaultPreprocessing } from "../src/model/model.ts";
import { encodeModel } from "../src/model/model-writer.ts";
import { loadPredictor } from "../src/model/predictor.ts";
import { nodePlatform as platform } from "../src/runtime/node/platform.ts";
import { evaluate, evaluateBatches } from "../src/tasks/evaluate/evaluate.ts";
import { interleave, median, rounded, writeResult } from "./measurement.ts";

const [folder, ...numbers] = process.argv.slice(2);
const [count = 372, size = 299, width = 1, rounds = 3] = numbers.map(Number);
if (folder === undefined) {
  throw new Error("usage: npx tsx bench/evaluate.ts FOLDER [images] [size] [width] [rounds]");
}
const found = folderDataset(await platform.files.list(folder));
// Some of every class, and so of every size.
const step = found.samples.length / count;
const samples = Array.from({ length: count }, (_, index) => found.samples[Math.floor(index * step)]!);
const dataset = { ...found, samples };
const options = { inputShape: [size, size, 3], width, classes: found.classes.length } as const;
const network = xception(options);
const model = {
  architecture: { family: "xception", options } as const,
  network,
  weights: syntheticWeights(network),
  labels: found.classes,
  preprocessing: defaultPreprocessing,
};

/** What training does after an epoch, with images that it keeps or that are new to it. */
function validation() {
  const preparation = imagePreparation(model, platform);
  const source = new BatchSource(dataset, preparation.prepare, { batchSize: 16, decode: sizedDecodeOptionsOf(model) });
  return async () => {
    const predictor = await loadPredictor(model, platform);
    const result = await evaluateBatches(({ images }) => predictor.run(images), source, dataset);
    await predictor.dispose();
    return result;
  };
}

const images = samples.map(({ image }) => image as ImageSource);
const file = encodeModel(model);
const session = await platform.engine.createSession(file);
/** The whole file's graph, which resizes, sees one image after the other. */
async function oneByOne(): Promise<number[][]> {
  const answers: number[][] = [];
  const load = (index: number) => platform.images.decode(images[index]!, decodeOptionsOf(model));
  for await (const { item } of readAhead(images.keys(), load, 16)) {
    const { [network.output]: output } = await session.run({ images: imageBatch([item]) });
    answers.push([...output!.data].map(Number));
  }
  return answers;
}

async function batched(): Promise<number[][]> {
  const answers: number[][] = [];
  for await (const result of predictor.predictAll(images)) {
    answers.push("error" in result ? [] : [...result.outputs[network.output]!.data].map(Number));
  }
  return answers;
}
const predictor = await loadPredictor(model, platform);
const later = validation();
const ways = {
  "training's validation, first epoch": () => validation()(),
  "training's validation, later epochs": later,
  evaluate: () => evaluate(model, dataset, { platform }),
  "classify, one image at a time": oneByOne,
  "classify, batches of 8": batched,
};
const times = await interleave(ways, rounds, 1);
const [alone, together] = [await oneByOne(), await batched()];
const difference = Math.max(...alone.flatMap((row, index) => row.map((p, at) => Math.abs(p - together[index]![at]!))));
const reference = median(times["training's validation, first epoch"]!);
writeResult(size === 299 && width === 1 ? "evaluate" : `evaluate-${size}-${width}`, {
  question: "How long does testing a model take, against training's own validation?",
  network: `Xception ${size}×${size}, width ${width}`,
  images: count,
  "largest difference of a probability, one at a time against batches": difference,
  rows: Object.entries(times).map(([name, each]) => ({
    way: name,
    "ms per image": rounded(median(each) / count, 2),
    "of the first validation": rounded(median(each) / reference, 3),
  })),
});
