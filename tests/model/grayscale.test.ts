import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { compile } from "../../src/compiler/compile.ts";
import { readOnnx } from "../../src/compiler/onnx/reader.ts";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { networkWeights } from "../../src/graph/network.ts";
import { loadModel } from "../../src/model/load-model.ts";
import type { Model } from "../../src/model/model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { type LoadedWeights, openModel } from "../../src/model/open-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { convert } from "../../src/tasks/convert.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { verifyModel } from "../../src/tasks/verify/model.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor/tensor.ts";
import { train } from "../../src/train/train.ts";
import { noise } from "../tasks/images.ts";
import { smallModel } from "./small-model.ts";

const trained = join(root, "../shared/data/mini-xception");
const emotions = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

function image(seed: number, [height, width]: readonly number[]) {
  return { width: width!, height: height!, data: noise(1, [height!, width!, 3], seed).data };
}

/** The network's output for floats, with luma and scaling worked out here. */
async function expectedFor(
  { network, weights }: Pick<Model, "network"> & Pick<LoadedWeights, "weights">,
  { width, height, data }: ReturnType<typeof image>,
): Promise<number[]> {
  const session = await platform.engine.createSession(compile(network, weights, { form: "exact" }));
  const gray = Float32Array.from({ length: width * height }, (_, place) => {
    const [red, green, blue] = data.subarray(3 * place);
    return (0.299 * red! + 0.587 * green! + 0.114 * blue!) / 127.5 - 1;
  });
  const results = await session.run({ images: floatTensor([1, height, width, 1], gray) });
  await session.dispose();
  return [...(results[network.output] as FloatTensor).data];
}

/** Probabilities in the order of the classes. */
async function classified(source: string | Uint8Array, photo: ReturnType<typeof image>, options = {}) {
  await using classifier = await loadClassifier(source, { platform, ...options });
  const found = await classifier.classify(photo, { top: classifier.labels.length });
  const probabilities = found.toSorted((a, b) => a.index - b.index).map(({ probability }) => probability);
  return { labels: classifier.labels, probabilities };
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  expect(Math.max(...actual.map((value, index) => Math.abs(value - expected[index]!)))).toBeLessThan(1e-5);
}

describe("a grayscale model", () => {
  const gray = smallModel({ inputShape: [71, 80, 1] });
  const photo = image(1, [71, 80]);
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "xception-gray-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("classifies the luma of an image, also resized in the graph", async () => {
    const { labels, probabilities } = await classified(encodeModel(gray), photo);
    expect(labels).toEqual(["cat", "dog", "owl"]);
    expectClose(probabilities, await expectedFor(gray, photo));
    const resizing = encodeModel({ ...gray, preprocessing: { ...gray.preprocessing, interpolation: "bicubic" } });
    expect(readOnnx(resizing, "m").shapes.get("images")).toEqual(["N", "H", "W", 3]);
    expectClose((await classified(resizing, photo)).probabilities, probabilities);
  });

  it.each(["onnx", "keras", "h5", "safetensors"] as const)("keeps labels and preprocessing as %s", async (to) => {
    const preprocessing = { ...gray.preprocessing, scale: 1 / 255, offset: 0 };
    const source = await weightsSource(encodeModel({ ...gray, preprocessing }), platform);
    const { bytes } = await convert(source, { to });
    const model = await loadModel(bytes, platform);
    expect([model.labels, model.preprocessing]).toEqual([gray.labels, preprocessing]);
    expect(model.notes).toEqual([]);
    for (const { name } of networkWeights(gray.network)) {
      expect(model.weights.get(name), name).toEqual(gray.weights.get(name));
    }
  });

  it("runs as a graph of another tool", async () => {
    const graph = compile(gray.network, gray.weights, { form: "exact" });
    expect(readOnnx(graph, "g").shapes.get("images")).toEqual(["N", 71, 80, 1]);
    expectClose((await classified(graph, photo)).probabilities, await expectedFor(gray, photo));
  });

  it("is evaluated, embeds images, and is verified with its own graph", async () => {
    const samples = [1, 2, 3].map((seed) => ({ name: `${seed}.png`, label: seed - 1, image: image(seed, [71, 80]) }));
    const dataset: ImageDataset = { classes: gray.labels, samples };
    const { evaluation, predictions } = await evaluate(gray, dataset, { platform });
    expect(evaluation.images).toBe(3);
    for (const [index, { truthProbability }] of predictions.entries()) {
      const expected = await expectedFor(gray, samples[index]!.image);
      expect(truthProbability).toBeCloseTo(expected[index]!, 5);
    }
    const file = join(folder, "gray.onnx");
    await writeFile(file, encodeModel(gray));
    await using extractor = await loadFeatureExtractor(file, { platform });
    const [embedding] = await extractor.features(photo, { pooling: "avg" });
    expect(embedding!.values.shape).toEqual([1, 104]);
    expect(Math.max(...embedding!.values.data)).toBeGreaterThan(0);
    const png = join(folder, "photo.png");
    await writeFile(png, await platform.images.encodePng(photo));
    const verified = await verifyModel(file, { platform, images: [png], runtimes: ["cpu"] });
    expect(verified.images).toEqual(["synthetic", png]);
    expect(verified.runtimes[0]!.file!.difference).toBeLessThan(1e-5);
    expect(verified.passed).toBe(true);
  });

  it("is trained", async () => {
    const bright = (seed: number, shift: number) => {
      const { data, ...size } = image(seed, [71, 80]);
      return { ...size, data: data.map((value) => value >> shift) };
    };
    const samples = Array.from({ length: 8 }, (_, index) => ({
      name: `${index}.png`,
      label: index % 2,
      image: bright(index, index % 2 === 0 ? 0 : 3),
    }));
    const dataset: ImageDataset = { classes: ["bright", "dark"], samples };
    const network = smallModel({ inputShape: [71, 80, 1], classes: 2 }).network;
    const { history } = await train(dataset, { platform, network, epochs: 6, batchSize: 4 });
    expect(history.at(-1)!.loss).toBeLessThan(0.5 * history[0]!.loss);
  });
});

describe.skipIf(!existsSync(trained))(
  "networks for gray faces that others trained (not here without ../shared)",
  () => {
    it.each([
      ["fer2013_mini_XCEPTION.102-0.66.hdf5", [64, 64]],
      ["tiny_XCEPTION_KDEF.hdf5", [64, 64]],
    ])("%s classifies, and keeps its answers as a model file", async (name, size) => {
      const file = join(trained, name);
      const opened = await openModel(file, platform);
      const face = image(5, size);
      const expected = await expectedFor(opened, face);
      const { labels, probabilities } = await classified(file, face, { labels: emotions });
      expect(labels).toEqual(emotions);
      expectClose(probabilities, expected);
      for (const to of ["onnx", "keras", "h5"] as const) {
        const { bytes } = await convert(await weightsSource(file, platform), { to, labels: emotions });
        const again = await classified(bytes, face);
        expect(again.labels).toEqual(emotions);
        expectClose(again.probabilities, probabilities);
      }
    });
  },
);
