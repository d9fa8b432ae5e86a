import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import * as entry from "../../src/node.ts";
import { smallModel } from "../model/small-model.ts";
import { serve } from "../runtime/local-server.ts";
import { noise } from "./images.ts";

const model = smallModel({ width: 0.25 });
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-entry-"));
  for (const [index, label] of model.labels.entries()) {
    await mkdir(join(folder, "photos", label), { recursive: true });
    for (const name of ["1.png", "2.png"]) {
      const { data } = noise(1, [71, 80, 3], 10 * index + Number.parseInt(name, 10));
      await writeFile(
        join(folder, "photos", label, name),
        await entry.nodePlatform.images.encodePng({ width: 80, height: 71, data }),
      );
    }
  }
});
afterEach(() => vi.unstubAllEnvs());
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

it("models are read from addresses, once", async () => {
  vi.stubEnv("XDG_CACHE_HOME", folder);
  const server = await serve(entry.encodeModel(model));
  const image = join(folder, "photos", "cat", "1.png");
  await using here = await entry.loadClassifier(entry.encodeModel(model));
  await using there = await entry.loadClassifier(server.url);
  expect(await there.classify(image)).toEqual(await here.classify(image));
  expect((await entry.loadModel(server.url)).labels).toEqual(model.labels);
  await (await entry.loadFeatureExtractor(server.url)).dispose();
  expect(server.requests).toHaveLength(1);
  server.close();
});

it("imagenet is the file that Keras published, with its top or without", async () => {
  vi.stubEnv("XDG_CACHE_HOME", folder);
  vi.stubEnv("XCEPTION_OFFLINE", "1");
  const missing = (name: string) => `/xception_weights_tf_dim_ordering_tf_kernels${name}: it is not in the cache`;
  await expect(entry.loadClassifier("imagenet")).rejects.toThrow(missing(".h5"));
  await expect(entry.loadModel("imagenet")).rejects.toThrow(missing(".h5"));
  await expect(entry.loadFeatureExtractor("imagenet")).rejects.toThrow(missing("_notop.h5"));
  const network = { includeTop: true };
  await expect(entry.loadFeatureExtractor("imagenet", { network })).rejects.toThrow(missing(".h5"));
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
