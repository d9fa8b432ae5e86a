import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { defaultPreprocessing } from "../../src/model/model.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { inceptionV3 } from "../../src/models/inception/v3.ts";
import { capture } from "./capture.ts";
import { writeImages } from "./train-fixtures.ts";

const options = { inputShape: [75, 75, 3], classes: 2, width: 0.1 } as const;
const network = inceptionV3(options);
const model = {
  architecture: { family: "inception-v3", options },
  weights: syntheticWeights(network),
  labels: ["blue", "red"],
  preprocessing: { ...defaultPreprocessing, ...kerasPreprocessing },
} as const;

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const json = async (...argv: string[]) => {
  const { exitCode, stdout, stderr } = await capture([...argv, "--json"]);
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout);
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-inception-"));
  await writeImages(at("photos"), 3, 1);
  await writeFile(at("model.onnx"), encodeModel(model));
});
afterAll(() => rm(folder, { recursive: true }));

test("an Inception V3 is converted to Keras and TensorFlow.js and back, and verified", async () => {
  for (const name of ["model.keras", "model.json"]) {
    expect(await json("convert", at("model.onnx"), at(name))).toMatchObject({ network: { layers: 313 } });
    await json("convert", at(name), at(`${name}.onnx`));
    expect((await readFile(at(`${name}.onnx`))).equals(await readFile(at("model.onnx"))), name).toBe(true);
  }
  const verified = await json("verify", at("model.onnx"), "--reference", at("model.keras"), "--runtimes", "cpu");
  expect(verified).toMatchObject({ network: "inception_v3", passed: true });
  const { total } = await json("cost", "--architecture", "inception-v3");
  expect(total.multiplications).toBe(5_713_216_096);
});

test("it is explained: the class that classify predicts, in the last feature map", async () => {
  const image = at("photos", "red", "0.png");
  const [{ predictions }] = await json("classify", at("model.onnx"), image);
  const [explained] = await json("explain", at("model.onnx"), image);
  expect(explained).toMatchObject({ layer: "mixed10", label: predictions[0].label });
  expect(explained.probability).toBeCloseTo(predictions[0].probability, 5);
});

test("fine-tuning it takes the network from the file and trains its last block", async () => {
  const flags = ["--weights", at("model.onnx"), "--recipe", "finetune", "--epochs", "1", "--batch-size", "4"];
  const argv = ["train", at("photos"), "-o", at("run"), ...flags, "--average", "none", "--cache-dir", at("cache")];
  const { exitCode, stderr } = await capture(argv);
  expect(exitCode, stderr).toBe(0);
  expect(stderr).toContain(
    "Starting from 378 weights of the model file; as in the file: architecture inception-v3, image size 75, width 0.1\n",
  );
  const { weights } = decodeModel(await readFile(at("run", "model.onnx")));
  const isSame = (name: string) => expect(weights.get(name)).toEqual(model.weights.get(name));
  for (const name of ["conv2d/kernel", "conv2d_40/kernel", "conv2d_84/kernel"]) isSame(name);
  for (const name of ["conv2d_85/kernel", "conv2d_93/kernel", "predictions/kernel"]) {
    expect(() => isSame(name), name).toThrow();
  }
});
