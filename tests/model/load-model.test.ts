import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { lower } from "../../src/compiler/lower.ts";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import type { TargetName } from "../../src/model/formats.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { openModel } from "../../src/model/open-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { convert } from "../../src/tasks/convert.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { evaluate } from "../../src/tasks/evaluate/evaluate.ts";
import { interpret } from "../oracles/interpreter.ts";
import { noise } from "../tasks/images.ts";
import { smallModel } from "./small-model.ts";

const formats = join(root, "tests/golden/formats");
const small = smallModel();
const { architecture } = small;
if (architecture.family !== "xception") throw new Error("another family");
const image = { width: 80, height: 71, data: noise(1, [71, 80, 3]).data };
let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-load-model-"));
  await writeFile(at("model.onnx"), encodeModel(small));
});
afterAll(() => rm(folder, { recursive: true }));

async function written(to: TargetName, name: string): Promise<string> {
  const { bytes, beside } = await convert(await weightsSource(at("model.onnx"), platform), { to });
  await writeFile(at(name), bytes);
  for (const [each, content] of beside) await writeFile(at(each), content);
  return at(name);
}

async function classify(source: string, options = {}) {
  await using classifier = await loadClassifier(source, { platform, ...options });
  return { answer: await classifier.classify(image), notes: classifier.notes };
}

describe("a classifier from any file", () => {
  it.each<[TargetName, string]>([
    ["keras", "model.keras"],
    ["h5", "model.h5"],
    ["tfjs", "model.json"],
    ["weights-h5", "model.weights.h5"],
  ])("answers as the model that %s was made of", async (to, name) => {
    const network = to === "weights-h5" ? { network: architecture.options } : {};
    const { answer, notes } = await classify(await written(to, name), network);
    const expected = await classify(at("model.onnx"));
    expect(notes).toEqual([]);
    expect(answer.map(({ label }) => label)).toEqual(expected.answer.map(({ label }) => label));
    for (const [index, { probability }] of answer.entries()) {
      expect(probability).toBeCloseTo(expected.answer[index]!.probability, 6);
    }
  });

  it("computes what a file of Keras says, and tells what it took for granted", async () => {
    const source = join(formats, "small.keras");
    const pixels = { width: 36, height: 40, data: noise(1, [40, 36, 3]).data };
    await using classifier = await loadClassifier(source, { platform });
    const { network, weights } = await openModel(source, platform);
    const { graph } = lower(network, { mode: "inference", batchSize: 1, preprocessing: kerasPreprocessing });
    const feeds = new Map(
      [...toEngineWeights(network, weights)].map(([name, { data }]) => [name, Float64Array.from(data)]),
    );
    feeds.set("images", Float64Array.from(pixels.data));
    const expected = interpret(graph, feeds).get(network.output)!;
    for (const { index, label, probability } of await classifier.classify(pixels)) {
      expect(label).toBe(String(index));
      expect(probability).toBeCloseTo(expected[index]!, 5);
    }
    expect(classifier.notes).toEqual([
      "The file does not specify preprocessing; pixel/127.5 - 1 is assumed, as in keras.applications; images are stretched to 40×36 by bicubic interpolation.",
      "It does not name its classes; they are numbered.",
    ]);
  });

  it("takes labels that the file lacks", async () => {
    const labels = ["ant", "bee", "cat", "dog", "elk"];
    const { labels: taken, notes } = await loadModel(join(formats, "small.keras"), platform, { labels });
    expect(taken).toEqual(labels);
    expect(notes).toHaveLength(1);
  });

  it("tests one on labeled images", async () => {
    const names = small.labels;
    const samples = names.map((name, label) => ({
      image: { width: 80, height: 71, data: noise(1, [71, 80, 3], label + 1).data },
      label,
      name,
    }));
    const dataset = { classes: names, samples };
    const [expected, received] = await Promise.all(
      [at("model.onnx"), await written("keras", "again.keras")].map(async (file) =>
        evaluate(await loadModel(file, platform), dataset, { platform }),
      ),
    );
    expect(received!.evaluation.loss).toBeCloseTo(expected!.evaluation.loss, 6);
    expect(received!.evaluation.confusion).toEqual(expected!.evaluation.confusion);
  });
});

describe("refusals", () => {
  it("of what is not a classifier of images, of bare weights, and of a wrong number of labels", async () => {
    const load = async (source: string | Uint8Array, options = {}) =>
      (
        await loadModel(source, platform, options).then(
          () => "no error",
          (error: Error) => error.message,
        )
      )
        .replaceAll(folder, "…")
        .replaceAll(formats, "…");
    const bytes = await readFile(join(formats, "small.keras"));
    expect(await load(bytes, { labels: ["ant"] })).toMatchInlineSnapshot(
      `"labels: there must be one label for each class; received 1; expected 5 labels."`,
    );
    const features = await convert(await weightsSource(at("model.onnx"), platform), {
      to: "keras",
      network: { includeTop: false },
      allowMissing: "predictions/*",
    });
    expect(await load(features.bytes)).toMatchInlineSnapshot(
      `"file of 251789 bytes: a model needs a classifier; received "Activation \\"block7_sepconv2_act\\" at the network's end"; expected a Dense or Activation layer that gives one number for each class."`,
    );
    expect(await load(join(formats, "small.weights.h5"))).toMatchInlineSnapshot(
      `"file "…/small.weights.h5": they are not the weights of this network; missing: block1_conv2/kernel, block1_conv2_bn/gamma, block1_conv2_bn/beta, block1_conv2_bn/moving_mean, block1_conv2_bn/moving_variance and 224 more; unexpected: layers/batch_normalization_1/vars/0, layers/batch_normalization_1/vars/1, layers/batch_normalization_1/vars/2, layers/batch_normalization_1/vars/3, layers/batch_normalization_2/vars/0 and 13 more; of another shape: block1_conv1/kernel (3×3×3×8 instead of 3×3×3×32), block1_conv1_bn/gamma (8 instead of 32), block1_conv1_bn/beta (8 instead of 32), block1_conv1_bn/moving_mean (8 instead of 32), block1_conv1_bn/moving_variance (8 instead of 32) and 2 more. Check the network's options: variant, width, classes and the rest must be those it was trained with."`,
    );
  });
});
