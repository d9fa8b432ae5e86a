import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { bind } from "../../src/bind.ts";
import { compile } from "../../src/compiler/compile.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import type { PreprocessingOptions } from "../../src/model/preprocessing.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor/tensor.ts";
import { capture } from "../cli/capture.ts";
import { noise } from "../tasks/images.ts";
import { smallModel } from "./small-model.ts";

const model = smallModel();
const image = { width: 80, height: 71, data: noise(1, [71, 80, 3]).data };
const verbs = bind(platform);
/** Another tool's graph: floats `[N, 71, 80, 3]` in, without a word about preprocessing. */
const graph = compile(model.network, model.weights, { form: "exact" });

/** The network's probabilities for the image, scaled by hand. */
async function expectedFor(scaled: (pixel: number, channel: number, place: number) => number): Promise<number[]> {
  const values = Float32Array.from(image.data, (pixel, at) => scaled(pixel, at % 3, at - (at % 3)));
  const session = await platform.engine.createSession(graph);
  const results = await session.run({ images: floatTensor([1, 71, 80, 3], values) });
  await session.dispose();
  return [...(results[model.network.output] as FloatTensor).data];
}

async function classify(source: Uint8Array, options: PreprocessingOptions) {
  await using classifier = await verbs.loadClassifier(source, options);
  const found = await classifier.classify(image);
  return {
    notes: classifier.notes,
    probabilities: found.toSorted((a, b) => a.index - b.index).map(({ probability }) => probability),
  };
}

const mean = [0.485, 0.456, 0.406];
const deviation = [0.229, 0.224, 0.225];
const blueFirst = [103.939, 116.779, 123.68];
it.each<[PreprocessingOptions["preprocess"], (pixel: number, channel: number, place: number) => number]>([
  ["keras", (pixel) => pixel / 127.5 - 1],
  ["scale01", (pixel) => pixel / 255],
  ["imagenet", (pixel, channel) => (pixel / 255 - mean[channel]!) / deviation[channel]!],
  ["caffe", (_pixel, channel, place) => image.data[place + 2 - channel]! - blueFirst[channel]!],
  ["none", (pixel) => pixel],
  [{ scale: 0.5, offset: [1, 2, 3] }, (pixel, channel) => 0.5 * pixel + channel + 1],
])("preprocess %j scales pixels, in the engine and in a converted file", async (preprocess, scaled) => {
  const expected = await expectedFor(scaled);
  const close = (actual: readonly number[]) =>
    expect(Math.max(...actual.map((value, index) => Math.abs(value - expected[index]!)))).toBeLessThan(1e-5);
  const options = { preprocess, interpolation: "bilinear", fit: "cover" } as const;
  const run = await classify(graph, options);
  close(run.probabilities);
  expect(run.notes.some((note) => note.includes("preprocessing"))).toBe(false);
  // A model file says otherwise, but is overruled; the converted file keeps it.
  close((await classify(encodeModel(model), options)).probabilities);
  const { bytes } = await verbs.convert(encodeModel(model), { to: "onnx", ...options });
  expect(decodeModel(bytes).preprocessing).toMatchObject({ interpolation: "bilinear", fit: "cover" });
  close((await classify(bytes, {})).probabilities);
  const keras = await verbs.convert(bytes, { to: "keras" });
  expect((await verbs.loadModel(keras.bytes)).preprocessing).toEqual(decodeModel(bytes).preprocessing);
});

it("says what is assumed, and only that", async () => {
  const notes = async (options: PreprocessingOptions) =>
    (await classify(graph, options)).notes.filter((note) => note.startsWith("The file does not specify"));
  const start = "The file does not specify preprocessing; ";
  const scale = "pixel/127.5 - 1 is assumed, as in keras.applications";
  expect(await notes({})).toEqual([`${start}${scale}; images are stretched to 71×80 by bicubic interpolation.`]);
  expect(await notes({ preprocess: "none", fit: "contain" })).toEqual([
    `${start}images are padded to 71×80 by bicubic interpolation.`,
  ]);
  expect(await notes({ interpolation: "nearest", fit: "cover" })).toEqual([`${start}${scale}.`]);
});

it.each([
  [
    { preprocess: "torch" },
    'option preprocess: this value is not allowed; received "torch"; expected keras, scale01, ',
  ],
  [{ preprocess: { scale: 1 } }, "or a scale and an offset: numbers, or three numbers each."],
  [{ interpolation: "cubic" }, 'option interpolation: this value is not allowed; received "cubic"; expected one of '],
  [{ fit: "crop" }, 'option fit: this value is not allowed; received "crop"; expected one of fill, cover, contain.'],
  [
    { preproces: "keras" },
    'loadClassifier option "preproces": there is no such option; expected one of allowMissing, ',
  ],
])("rejects %j", async (options, message) => {
  await expect(verbs.loadClassifier(graph, options as never)).rejects.toThrow(message);
});

it("rejects unknown options of every verb, and three scales for one channel", async () => {
  const wrong = { nothing: 1 } as never;
  const attempts = {
    loadModel: () => verbs.loadModel(graph, wrong),
    openModel: () => verbs.openModel(graph, wrong),
    loadFeatureExtractor: () => verbs.loadFeatureExtractor(graph, wrong),
    loadWeights: () => verbs.loadWeights(model.network, graph, wrong),
    evaluate: () => verbs.evaluate(model, { classes: [], samples: [] }, wrong),
    convert: () => verbs.convert(graph, wrong),
    verify: () => verbs.verify(graph, wrong),
  };
  for (const [verb, attempt] of Object.entries(attempts)) {
    await expect(attempt()).rejects.toThrow(`${verb} option "nothing": there is no such option; expected one of `);
  }
  const gray = encodeModel(smallModel({ inputShape: [71, 80, 1] }));
  await expect(verbs.loadModel(gray, { preprocess: "imagenet" })).rejects.toThrow(
    'option preprocess: a grayscale network has one channel; received "imagenet"; expected keras, scale01, none, or one scale and one offset.',
  );
});

it("saves what train returns", async () => {
  const folder = await mkdtemp(join(tmpdir(), "xception-save-"));
  const samples = [0, 1, 0, 1].map((label, index) => ({ name: `${index}.png`, label, image }));
  const result = await verbs.train(
    { classes: ["a", "b"], samples },
    { network: smallModel({ classes: 2 }).network, epochs: 1 },
  );
  const file = join(folder, "m.onnx");
  await verbs.saveModel(file, result);
  const saved = decodeModel(await readFile(file));
  expect([saved.labels, saved.preprocessing]).toEqual([["a", "b"], result.preprocessing]);
  expect(saved.weights.get("predictions/kernel")).toEqual(result.weights.get("predictions/kernel"));
  expect(saved.network.name).toBe(result.network.name);
  await rm(folder, { recursive: true });
});

it("evaluates a part of the classes", async () => {
  const samples = [0, 1, 1].map((label, index) => ({ name: `${index}.png`, label, image }));
  const { evaluation, absent } = await verbs.evaluate(model, { classes: ["dog", "cat"], samples });
  expect(absent).toEqual(["owl"]);
  expect(evaluation.perClass.map(({ label, support }) => [label, support])).toEqual([
    ["cat", 2],
    ["dog", 1],
    ["owl", 0],
  ]);
});

it("has flags on the command line; embed asks before it replaces a file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "xception-flags-"));
  const at = (name: string) => join(folder, name);
  await writeFile(at("graph.onnx"), graph);
  await writeFile(at("a.png"), await platform.images.encodePng(image));
  const flags = ["--preprocess", "0.5,1", "--interpolation", "nearest", "--fit", "fill"];
  const { stdout } = await capture(["classify", at("graph.onnx"), at("a.png"), "--json", ...flags]);
  const [{ predictions }] = JSON.parse(stdout) as [{ predictions: { index: number; probability: number }[] }];
  const expected = await expectedFor((pixel) => 0.5 * pixel + 1);
  for (const { index, probability } of predictions) expect(probability).toBeCloseTo(expected[index]!, 5);
  const wrong = await capture(["classify", at("graph.onnx"), at("a.png"), "--preprocess", "1,2,3"]);
  expect(wrong.exitCode).toBe(2);
  expect(wrong.stderr).toContain(
    'option --preprocess: this value is not allowed; received "1,2,3"; expected keras, scale01, imagenet, caffe, none, or SCALE,OFFSET.',
  );
  await writeFile(at("model.onnx"), encodeModel(model));
  const embed = ["embed", at("model.onnx"), at("a.png"), "-o", at("e.json"), "--preprocess", "caffe"];
  expect((await capture(embed)).exitCode).toBe(0);
  expect(JSON.parse(await readFile(at("e.json"), "utf8")).origin.preprocess).toBe("caffe");
  const again = await capture(embed);
  expect(again.exitCode).toBe(2);
  expect(again.stderr).toContain("option --output: the file already exists");
  expect((await capture([...embed, "--overwrite"])).exitCode).toBe(0);
  await rm(folder, { recursive: true });
});
