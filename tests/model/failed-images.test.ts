import { expect, test } from "vitest";
import { AbortedError, FormatError, WeightsError } from "../../src/base/errors.ts";
import type { Platform, RgbImage, SessionOptions } from "../../src/base/platform.ts";
import { createClassifierSession } from "../../src/model/classifier-session.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type Classified, loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { loadExplainer } from "../../src/tasks/explain/explainer.ts";
import { embed } from "../../src/tasks/features/embed.ts";
import { loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { pickyGraph } from "./hostile-graphs.ts";
import { smallModel } from "./small-model.ts";

const platform = nodePlatform;
const gray = (level: number): RgbImage => ({ width: 8, height: 8, data: new Uint8Array(192).fill(level) });
const black = gray(0);
const endless = gray(160);
const notFinite = gray(192);
const failing = gray(255);
const scaled = { preprocess: { scale: 1 / 127.5, offset: -1 } } as const;

const ran = "its graph cannot be run on an image";
const isNotFinite = "the network's outputs for it are NaN or infinite";

async function listed<T>(results: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const result of results) list.push(result);
  return list;
}

function messages(results: readonly Classified[]): readonly string[] {
  return results.map((each) => ("error" in each ? each.error.message : `${each.predictions.length} classes`));
}

test("classify: an image on which the network fails does not stop the others", async () => {
  const classifier = await loadClassifier(pickyGraph(), { platform, ...scaled });
  const images = [black, failing, black, notFinite, Uint8Array.of(1, 2), black];
  const all = await listed(classifier.classifyAll(images, { batchSize: 6 }));
  const [a, b, c, d, e, f] = messages(all);
  expect([a, c, f]).toEqual(["2 classes", "2 classes", "2 classes"]);
  expect(b).toContain(ran);
  expect(d).toContain(isNotFinite);
  expect(e).toContain("this is not a supported image");
  await expect(classifier.classify(failing)).rejects.toThrow(FormatError);
  await expect(classifier.classify(notFinite)).rejects.toThrow(WeightsError);
  expect(await classifier.classify(black)).toHaveLength(2);
  await classifier.dispose();
});

test("classify: an image on which the network does not end does not stop the others", async () => {
  const createSession = (model: Uint8Array, options: SessionOptions = {}) => {
    const isolation = options.isolation && { ...options.isolation, timeMs: 5000 };
    return platform.engine.createSession(model, { ...options, isolation });
  };
  const impatient: Platform = { ...platform, engine: { ...platform.engine, createSession } };
  const classifier = await loadClassifier(pickyGraph(), { platform: impatient, ...scaled });
  const all = await listed(classifier.classifyAll([black, endless, black], { batchSize: 3 }));
  expect(messages(all)).toEqual([
    "2 classes",
    expect.stringMatching(/running its graph takes longer than 5 s\.$/),
    "2 classes",
  ]);
  await classifier.dispose();
});

test("a signal stops the retries, too", async () => {
  const classifier = await loadClassifier(pickyGraph(), { platform, ...scaled });
  const signal = AbortSignal.timeout(1000);
  await expect(listed(classifier.classifyAll([black, endless], { signal }))).rejects.toThrow(AbortedError);
  await classifier.dispose();
});

test("evaluate: such images are skipped", async () => {
  const model = await createClassifierSession(pickyGraph(), platform, scaled);
  const names = [black, failing, notFinite, black];
  const samples = names.map((image, index) => ({ image, name: `${index}.png`, label: index % 2 }));
  const { evaluation, skipped } = await evaluate(model, { classes: model.labels, samples }, { platform });
  expect(evaluation.images).toBe(2);
  expect(skipped.map(({ file }) => file)).toEqual(["1.png", "2.png"]);
  expect(skipped[0]!.reason).toContain(ran);
  expect(skipped[1]!.reason).toContain(isNotFinite);
});

test("embed: such images are skipped", async () => {
  await using extractor = await loadFeatureExtractor(pickyGraph(), { platform, ...scaled });
  const images = [black, failing, notFinite, black].map((image, index) => ({ image, file: `${index}.png` }));
  const layer = extractor.network.layers.at(-2)!.name;
  const { images: embedded, skipped } = await embed(pickyGraph(), images, { layer, platform, ...scaled });
  expect(embedded).toEqual([{ file: "0.png" }, { file: "3.png" }]);
  expect(skipped.map(({ file }) => file)).toEqual(["1.png", "2.png"]);
});

test("explain: weights that have diverged are the image's error", async () => {
  const model = smallModel();
  const weights = new Map(model.weights);
  const bias = weights.get("predictions/bias")!;
  weights.set("predictions/bias", { ...bias, data: bias.data.map(() => Number.NaN) });
  const explainer = await loadExplainer(encodeModel({ ...model, weights }), { platform });
  const [result] = await listed(explainer.explainAll([black]));
  expect(result).toMatchObject({ error: { message: expect.stringContaining(isNotFinite) } });
  await explainer.dispose();
});
