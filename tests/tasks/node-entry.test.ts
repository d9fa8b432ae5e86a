import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { bind } from "../../src/bind.ts";
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

it("every verb is bound to Node", () => {
  expect(Object.keys(entry)).toEqual(expect.arrayContaining(Object.keys(bind(entry.nodePlatform))));
});

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

it("images are embedded, written, read, and searched with the model that embedded them", async () => {
  const { samples } = await entry.readFolder(join(folder, "photos"));
  const images = samples.map(({ name, image, label }) => ({ file: name, image, label: model.labels[label]! }));
  const source = entry.encodeModel(model);
  const broken = { file: "broken.png", image: new Uint8Array(5) };
  const { skipped, notes, ...embeddings } = await entry.embed(source, [broken, ...images], { pooling: "max" });
  expect(embeddings.images).toEqual(images.map(({ file, label }) => ({ file, label })));
  expect(skipped.map(({ file }) => file)).toEqual(["broken.png"]);
  expect(notes).toEqual([]);
  await using extractor = await entry.loadFeatureExtractor(source);
  const [expected] = await extractor.features(images[4]!.image, { pooling: "max" });
  const row = embeddings.values.data.subarray(4 * 512, 5 * 512);
  for (const [channel, value] of row.entries()) expect(value).toBeCloseTo(expected!.values.data[channel]!, 5);

  const read = entry.readEmbeddings(entry.embeddingsWriter("e.json")(embeddings), "e.json");
  const [first, ...rest] = await entry.search(source, images[4]!.image, read, { top: 3 });
  expect(first).toEqual({ file: images[4]!.file, label: images[4]!.label, row: 4, similarity: expect.closeTo(1, 6) });
  expect(rest).toHaveLength(2);
  const other = entry.encodeModel({ ...model, preprocessing: { ...model.preprocessing, scale: [1, 1, 1] } });
  await expect(entry.search(other, images[4]!.image, read)).rejects.toThrow(
    "model: it is not the model that made the embeddings",
  );
  await expect(entry.search(source, images[4]!.image, { ...read, origin: undefined })).rejects.toThrow(
    "embeddings: the file does not record its model, so other images cannot be compared with its own",
  );
  const unknown = { fold: true } as object;
  await expect(entry.embed(source, images, unknown)).rejects.toThrow('embed option "fold": there is no such option');
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
