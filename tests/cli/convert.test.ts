import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import h5wasm from "h5wasm";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { writeSafetensors } from "../../src/formats/safetensors.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { toTorchLayout } from "../../src/graph/torch-layout.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { architectureNamed } from "../../src/models/registry.ts";
import { timmNames } from "../../src/models/timm-names.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { timmSyntheticWeights } from "../../src/tasks/verify/verify.ts";
import type { FloatTensor } from "../../src/tensor/tensor.ts";
import { capture } from "./capture.ts";

const formats = join(root, "tests/golden/formats");
const folder = mkdtempSync(join(tmpdir(), "convert-"));
const at = (...names: readonly string[]): string => join(folder, ...names);

const tiny = { inputShape: [71, 71, 3], classes: 2, width: 0.0625, middleFlowRepeats: 0 } as const;
const timmSize = { inputShape: [71, 80, 3], width: 0.0625 } as const;
const tinyFlags = ["--input-shape", "71x71x3", "--classes", "2", "--width", "0.0625", "--middle-flow-repeats", "0"];

/** Weights of the formula in the layout of Keras 2, under the automatic names of another session. */
async function writeLegacyWeights(name: string): Promise<void> {
  const { FS } = await h5wasm.ready;
  const file = new h5wasm.File("legacy.h5", "w");
  const weights = syntheticWeights(xception(tiny));
  const layers = xception(tiny).layers.filter((layer) => layer.weights.length > 0);
  const names = layers.map((layer) => layer.name.replace(/^conv2d(_\d+)?$/, "convolution2d$1_9"));
  file.create_attribute("layer_names", names);
  layers.forEach((layer, index) => {
    const group = file.create_group(names[index]!);
    const own = layer.weights.map((spec) => `${spec.name.split("/")[1]}:0`);
    group.create_attribute("weight_names", own);
    layer.weights.forEach((spec, each) => {
      group.create_dataset({ name: own[each]!, data: weights.get(spec.name)!.data, shape: [...spec.shape] });
    });
  });
  file.close();
  writeFileSync(at(name), FS.readFile("legacy.h5"));
}

test("a whole model becomes a graph that gives the outputs of Keras", async () => {
  const source = join(formats, "small.keras");
  const argv = ["convert", source, at("small.onnx"), "--to", "onnx-graph"];
  const { exitCode, stdout, stderr } = await capture(argv);
  expect([exitCode, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("(keras) → ");
  expect(stdout).toContain(
    "network   small_xception, 16 layers, images 40×36×3\nweights   25 tensors, matched by name\n",
  );
  expect(stdout).toContain('note: Its input "images" is float32 [N, 40, 36, 3], preprocessed as the network expects.');

  const golden = JSON.parse(readFileSync(join(formats, "small.json"), "utf8")) as { probabilities: number[][] };
  const session = await nodePlatform.engine.createSession(readFileSync(at("small.onnx")));
  const outputs = await session.run({ images: syntheticImages(2, [40, 36, 3]) });
  await session.dispose();
  const { data } = outputs.predictions as FloatTensor;
  golden.probabilities.flat().forEach((value, index) => {
    expect(Math.abs(data[index]! - value)).toBeLessThan(1e-4);
  });
});

test("weights alone become a model file, with labels, under the names of the network", async () => {
  await writeLegacyWeights("legacy.h5");
  writeFileSync(at("labels.txt"), "cat\r\ndog\n");
  const argv = ["convert", at("legacy.h5"), at("model.onnx"), "--labels", at("labels.txt"), ...tinyFlags, "--json"];
  const { exitCode, stdout } = await capture(argv);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    from: "h5 weights",
    to: "model file",
    weights: { by: "order", missing: [] },
  });
  const model = await loadModel(at("model.onnx"), nodePlatform);
  expect(model.labels).toEqual(["cat", "dog"]);
  expect(model.weights).toEqual(syntheticWeights(xception(tiny)));
});

test("without labels, classes are called by their numbers, and that is said", async () => {
  await writeLegacyWeights("unlabeled.h5");
  const { stdout } = await capture(["convert", at("unlabeled.h5"), at("unlabeled.onnx"), ...tinyFlags]);
  expect(stdout).toContain("note: It does not name its classes; they are numbered.\n");
  expect(stdout).toContain("pixel/127.5 - 1 is assumed");
  expect((await loadModel(at("unlabeled.onnx"), nodePlatform)).labels).toEqual(["0", "1"]);
});

test("what may differ is listed", async () => {
  await writeLegacyWeights("other.h5");
  const argv = ["convert", at("other.h5"), at("other.onnx"), ...tinyFlags, "--classes", "3"];
  const refused = await capture(argv);
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain(
    "of another shape: predictions/kernel (128×2 instead of 128×3), predictions/bias (2 ",
  );
  const { exitCode, stdout } = await capture([...argv, "--allow-missing", "predictions/*"]);
  expect(exitCode).toBe(0);
  expect(stdout).toContain(
    "wrongShape: predictions/kernel (128×2 instead of 128×3), predictions/bias (2 instead of 3)\n",
  );
});

test("nothing is overwritten without --overwrite", async () => {
  copyFileSync(join(formats, "small.json"), at("precious.onnx"));
  const argv = ["convert", join(formats, "small.h5"), at("precious.onnx")];
  const { exitCode, stderr } = await capture(argv);
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(
    /^error: argument OUT: the file already exists; received ".*"\. Add --overwrite to replace it\.\n$/,
  );
  expect(readFileSync(at("precious.onnx"))).toEqual(readFileSync(join(formats, "small.json")));
  expect((await capture([...argv, "--overwrite"])).exitCode).toBe(0);
});

test("shards that only the replaced model.json names go, others stay", async () => {
  const target = at("replaced/model.json");
  mkdirSync(at("replaced"));
  for (const name of ["model.json", "weights-1.bin", "weights-2.bin"]) {
    copyFileSync(join(formats, "small-tfjs", name), at(`replaced/${name}`));
  }
  writeFileSync(at("replaced/mine.bin"), "mine");
  expect((await capture(["convert", join(formats, "small.h5"), target, "--overwrite"])).exitCode).toBe(0);
  const names = readdirSync(at("replaced")).filter((name) => !name.startsWith("group1-"));
  expect(names).toEqual(["mine.bin", "model.json", "model.json.md"]);
  expect((await capture(["summary", target])).exitCode).toBe(0);
});

test("a whole model that tells classes of images apart becomes a model file of its own layers", async () => {
  const { exitCode, stdout } = await capture(["convert", join(formats, "small.h5"), at("layers.onnx")]);
  expect(exitCode).toBe(0);
  expect(stdout).toContain("(h5) → ");
  expect(stdout).toContain("(model file, ");
  const { architecture, labels, network } = await loadModel(at("layers.onnx"), nodePlatform);
  expect(architecture.family).toBe("layers");
  expect(labels).toEqual(["0", "1", "2", "3", "4"]);
  expect(network.layers).toHaveLength(16);
});

test("TensorFlow.js gets a model.json, and shards beside it", async () => {
  mkdirSync(at("web"));
  const { exitCode, stdout } = await capture(["convert", join(formats, "small.keras"), at("web/model.json"), "--json"]);
  expect(exitCode).toBe(0);
  const { beside } = JSON.parse(stdout);
  expect(readdirSync(at("web")).sort()).toEqual([...beside, "model.json", "model.json.md"].sort());
  const [shard] = beside;
  expect(readFileSync(at(`web/${shard}`)).length).toBe(4 * 1269);
});

test("wrong usage is refused before anything is written", async () => {
  const source = join(formats, "small.h5");
  const refusal = async (...argv: string[]) => {
    const { exitCode, stderr } = await capture(["convert", source, ...argv]);
    return [exitCode, stderr.replace(folder, "…")];
  };
  expect(await refusal(at("x.bin"))).toEqual([
    2,
    'error: argument OUT: the extension does not identify a format; received "…/x.bin"; expected .weights.h5, .h5, .keras, .json, .safetensors, .onnx. Or choose a format with --to.\n',
  ]);
  expect(await refusal(at("x.keras"), "--dtype", "float16")).toEqual([
    2,
    'error: option dtype: a whole model of Keras 3 stores only float32; received "float16". Convert to ONNX, or leave the option out.\n',
  ]);
  const allowed = await refusal(at("x.onnx"), "--allow-missing", "*");
  expect(allowed[0]).toBe(2);
  expect(allowed[1]).toContain(
    'the file\'s own network has all its weights; received "*". Leave the option out, or name another network with its options.',
  );
  writeFileSync(at("three.txt"), "a\nb\nc\n");
  expect(await refusal(at("x.onnx"), "--labels", at("three.txt"))).toEqual([
    2,
    "error: labels: there must be one label for each class; received 3; expected 5 labels.\n",
  ]);
  expect(existsSync(at("x.onnx")) || existsSync(at("x.keras"))).toBe(false);
});

test("weights of timm become a model, which is named by a flag or told from its weights", async () => {
  const architecture = architectureNamed("xception41p", { ...timmSize, classes: 2 });
  const weights = timmSyntheticWeights(architecture);
  const entries = timmNames(architecture).flatMap(({ name, weight }) =>
    weight ? [[name, toTorchLayout(weight, weights.get(weight.name)!)] as const] : [],
  );
  writeFileSync(at("timm.safetensors"), writeSafetensors(new Map(entries)));
  const flags = ["--architecture", "xception41p", "--input-shape", "71x80x3", "--classes", "2", "--width", "0.0625"];
  const { exitCode, stdout } = await capture(["convert", at("timm.safetensors"), at("timm.onnx"), ...flags]);
  expect(exitCode).toBe(0);
  expect(stdout).toContain("(safetensors) →");
  const model = await loadModel(at("timm.onnx"), nodePlatform);
  expect(model.architecture).toMatchObject({ family: "aligned-xception", options: { variant: "41p", classes: 2 } });
  expect(model.weights).toEqual(weights);
});

test("a folder gets the names that transformers.js looks for", async () => {
  mkdirSync(at("names"));
  const source = join(formats, "small.keras");
  const argv = ["convert", source, at("names"), "--dtype", "float16"];
  const { exitCode, stdout } = await capture(argv);
  expect([exitCode, stdout]).toEqual([0, expect.stringContaining(at("names", "model_fp16.onnx"))]);
  expect(existsSync(at("names", "model_fp16.onnx"))).toBe(true);
});
