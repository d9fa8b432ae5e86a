/**
 * What does it cost to bring images to a network's size in the graph, and may JPEGs come smaller from the decoder? An
 * evaluation with each way in turn: its time, and whether the answers are those on whole images.
 * `npx tsx bench/preparation.ts MODEL FOLDER`; FOLDER has one sub-folder of photos for each of the model's classes.
 */

import type { DecodeOptions, ImageSource, Platform } from "../src/base/platform.ts";
import { folderDataset } from "../src/data/dataset.ts";
import { inputShapeOf } from "../src/graph/network.ts";
import { loadModel } from "../src/model/load-model.ts";
import type { ImagePreprocessing } from "../src/model/model.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { evaluate } from "../src/tasks/evaluate/evaluate.ts";
import { interleave, median, rounded, writeResult } from "./measurement.ts";

const [modelFile, folder] = process.argv.slice(2);
if (modelFile === undefined || folder === undefined) {
  throw new Error("usage: npx tsx bench/preparation.ts MODEL FOLDER");
}
const rounds = 5;
const model = await loadModel(modelFile, nodePlatform);
const dataset = folderDataset(await nodePlatform.files.list(folder));
const [height, width] = inputShapeOf(model.network) as [number, number, number];
const { interpolation: _, ...before } = model.preprocessing;

/** JPEGs come at a fraction of their size that is at least so many times as large as the network's images. */
function shrinking(times: number): Platform {
  const atLeast = times < Infinity && { atLeast: { width: times * width, height: times * height } };
  const decode = (source: ImageSource, { background }: DecodeOptions) =>
    nodePlatform.images.decode(source, { ...atLeast, ...(background && { background }) });
  return { ...nodePlatform, images: { ...nodePlatform.images, decode } };
}

const inGraph: ImagePreprocessing = { ...model.preprocessing, interpolation: "bicubic" };
const ways: Readonly<Record<string, readonly [ImagePreprocessing, Platform]>> = {
  "the decoder, as before": [before, nodePlatform],
  "the graph, from whole images": [inGraph, shrinking(Infinity)],
  "the graph, from JPEGs at least twice as large": [inGraph, shrinking(2)],
  "the graph, from JPEGs at least as large": [inGraph, shrinking(1)],
};
const answers = new Map<string, Awaited<ReturnType<typeof evaluate>>>();
const runs = Object.entries(ways).map(([name, [preprocessing, platform]]) => {
  const run = async () => answers.set(name, await evaluate({ ...model, preprocessing }, dataset, { platform }));
  return [name, run] as const;
});
const times = await interleave(Object.fromEntries(runs), rounds, 1);
const whole = answers.get("the graph, from whole images")!;
writeResult("preparation", {
  question: "What does it cost to bring images to a network's size in the graph, and may JPEGs come smaller?",
  network: `${model.network.name} ${width}×${height}`,
  images: dataset.samples.length,
  rows: Object.keys(ways).map((name) => {
    const { evaluation, predictions } = answers.get(name)!;
    const others = predictions.filter(({ predicted }, index) => predicted !== whole.predictions[index]!.predicted);
    return {
      "brought to size by": name,
      "ms per image": rounded(median(times[name]!) / dataset.samples.length, 2),
      "top-1 %": rounded(100 * evaluation.top1, 2),
      "other answers": others.length,
    };
  }),
});
