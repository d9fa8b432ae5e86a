import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import h5wasm from "h5wasm";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { xception } from "../../src/models/xception.ts";
import { nodePlatform } from "../../src/runtime/node.ts";
import { loadModel } from "../../src/tasks/model-file.ts";
import type { FloatTensor } from "../../src/tensor/tensor.ts";
import { formulaImages, formulaWeights } from "../../src/weights/formula.ts";
import { capture } from "./capture.ts";

const formats = join(root, "tests/golden/formats");
const folder = mkdtempSync(join(tmpdir(), "convert-"));
const at = (name: string): string => join(folder, name);

const tiny = { inputShape: [71, 71, 3], classes: 2, width: 0.0625, middleFlowRepeats: 0 } as const;
const tinyFlags = ["--input-shape", "71x71x3", "--classes", "2", "--width", "0.0625", "--middle-flow-repeats", "0"];

/** Weights of the formula in the layout of Keras 2, under the automatic names of another session. */
async function writeLegacyWeights(name: string): Promise<void> {
  const { FS } = await h5wasm.ready;
  const file = new h5wasm.File("legacy.h5", "w");
  const weights = formulaWeights(xception(tiny));
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
  const { exitCode, stdout, stderr } = await capture(["convert", source, at("small.onnx")]);
  expect([exitCode, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("(keras) → ");
  expect(stdout).toContain(
    "network   small_xception, 16 layers, pictures 40×36×3\nweights   25 tensors, told by name\n",
  );
  expect(stdout).toContain("note: Labels and preprocessing are not in the file;");

  const golden = JSON.parse(readFileSync(join(formats, "small.json"), "utf8")) as { probabilities: number[][] };
  const session = await nodePlatform.createSession(readFileSync(at("small.onnx")));
  const outputs = await session.run({ images: formulaImages(2, [40, 36, 3]) });
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
  expect(JSON.parse(stdout)).toMatchObject({ from: "h5 weights", to: "model", weights: { by: "order", missing: [] } });
  const model = await loadModel(at("model.onnx"), nodePlatform);
  expect(model.labels).toEqual(["cat", "dog"]);
  expect(model.weights).toEqual(formulaWeights(xception(tiny)));
});

test("without labels, classes are called by their numbers, and that is said", async () => {
  await writeLegacyWeights("unlabelled.h5");
  const { stdout } = await capture(["convert", at("unlabelled.h5"), at("unlabelled.onnx"), ...tinyFlags]);
  expect(stdout).toContain("note: They do not name the classes either; these are called by their numbers.\n");
  expect(stdout).toContain("pixel/127.5 - 1 was taken");
  expect((await loadModel(at("unlabelled.onnx"), nodePlatform)).labels).toEqual(["0", "1"]);
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
  expect(stderr).toMatch(/^error: argument OUT: the file is there already; received ".*"\. Add --overwrite\.\n$/);
  expect(readFileSync(at("precious.onnx"))).toEqual(readFileSync(join(formats, "small.json")));
  expect((await capture([...argv, "--overwrite"])).exitCode).toBe(0);
});

test("other targets, and options that a whole model has no place for, are wrong usage", async () => {
  const source = join(formats, "small.h5");
  const h5 = await capture(["convert", source, at("x.h5")]);
  expect(h5.exitCode).toBe(2);
  expect(h5.stderr).toContain("argument OUT: only ONNX files are written; received ");
  const classes = await capture(["convert", source, at("x.onnx"), "--classes", "3"]);
  expect(classes.exitCode).toBe(2);
  expect(classes.stderr).toContain(
    "the file holds a whole model, so that options of the network, labels and allowMissing have no place.",
  );
});
