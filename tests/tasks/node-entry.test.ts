import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as entry from "../../src/node.ts";
import { noise } from "./pictures.ts";
import { smallModel } from "./small-model.ts";

const model = smallModel({ width: 0.25 });
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-entry-"));
  for (const [index, label] of model.labels.entries()) {
    await mkdir(join(folder, "photos", label), { recursive: true });
    for (const name of ["1.png", "2.png"]) {
      const { data } = noise(1, [71, 80, 3], 10 * index + Number.parseInt(name, 10));
      await writeFile(join(folder, "photos", label, name), await entry.encodePng({ width: 80, height: 71, data }));
    }
  }
});
afterAll(() => rm(folder, { recursive: true }));

it("a model that was saved is loaded, and classifies", async () => {
  const file = join(folder, "model.onnx");
  await entry.saveModel(file, model);
  expect((await entry.loadModel(file)).weights).toEqual(model.weights);
  const classifier = await entry.loadClassifier(file);
  expect(await classifier.classify(join(folder, "photos", "cat", "1.png"))).toHaveLength(3);
  await classifier.dispose();
  await using extractor = await entry.loadFeatureExtractor(file);
  const [last] = await extractor.features(join(folder, "photos", "cat", "1.png"), { pooling: "avg" });
  expect(last!.values.shape).toEqual([1, 512]);
});

it("a model is evaluated and trained on a folder", async () => {
  const dataset = await entry.readFolder(join(folder, "photos"));
  expect(dataset.classes).toEqual(model.labels);
  const before = await entry.evaluate(model, dataset);
  const result = await entry.train(dataset, {
    network: model.network,
    weights: model.weights,
    epochs: 2,
    batchSize: 3,
  });
  expect(result.labels).toEqual(model.labels);
  expect(result.history).toHaveLength(2);
  const trained = { ...model, weights: result.weights };
  const after = await entry.evaluate(entry.decodeModel(entry.encodeModel(trained)), dataset);
  expect(after.evaluation.images).toBe(6);
  expect(after.evaluation.loss).not.toBeCloseTo(before.evaluation.loss, 3);
});
