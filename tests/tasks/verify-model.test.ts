import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dense, globalAveragePooling2d, input } from "../../src/graph/builder.ts";
import { network as buildNetwork } from "../../src/graph/network.ts";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { architectureOf } from "../../src/models/registry.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type VerifyModelOptions, verifyModel } from "../../src/tasks/verify/model.ts";
import { describeModelVerification } from "../../src/tasks/verify/text.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "./images.ts";

let folder: string;
const at = (name: string) => join(folder, name);
const keras = "tests/golden/formats/small.keras";
const golden = "tests/golden/xception-paper-71x71-10.json";

/** The small model with the numbers of one weight changed. */
function altered(weight: string, change: (value: number) => number) {
  const model = smallModel();
  const { shape, data } = model.weights.get(weight)!;
  return encodeModel({
    ...model,
    weights: new Map([...model.weights, [weight, floatTensor(shape, data.map(change))]]),
  });
}

/** A model of the same images that has nothing else of the small one. */
function stranger() {
  const { preprocessing } = smallModel();
  const network = buildNetwork(
    "n",
    dense(globalAveragePooling2d(input([71, 80, 3])), { units: 4, activation: "softmax" }),
  );
  const architecture = architectureOf(network);
  return encodeModel({ architecture, weights: syntheticWeights(network), labels: [..."abcd"], preprocessing });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-verify-model-"));
  await writeFile(at("model.onnx"), encodeModel(smallModel()));
  await writeFile(
    at("altered.onnx"),
    altered("block6_sepconv2_bn/gamma", (value) => 1.01 * value),
  );
  await writeFile(
    at("broken.onnx"),
    altered("block2_sepconv1/depthwise_kernel", () => NaN),
  );
  await writeFile(at("stranger.onnx"), stranger());
  const { data } = noise(1, [90, 120, 3], 1);
  await writeFile(at("a.png"), await nodePlatform.images.encodePng({ width: 120, height: 90, data }));
});
afterAll(() => rm(folder, { recursive: true }));

function verify(file: string, options: Omit<VerifyModelOptions, "platform"> = {}) {
  return verifyModel(file, { platform: nodePlatform, runtimes: ["cpu"], ...options });
}

describe("verifyModel", () => {
  it("finds that the engine's optimizations change nothing, natively and in WebAssembly", async () => {
    const found = await verify(at("model.onnx"), { runtimes: ["cpu", "wasm"], images: [at("a.png")] });
    expect(found).toMatchObject({
      network: "xception",
      inputShape: [71, 80, 3],
      reference: "the model itself on the CPU, operator by operator, nothing folded or fused",
      images: ["synthetic", at("a.png")],
      tolerance: { taps: 1e-3, probabilities: 1e-4 },
      unavailable: [],
      passed: true,
    });
    const names = ["block1", "block2", "block3", "block4", "block5", "block6", "block7"];
    for (const { blocks, probabilities, file } of found.runtimes) {
      expect(blocks.map(({ block }) => block)).toEqual(names);
      for (const { difference } of blocks) expect(difference).toBeLessThan(1e-4);
      expect(probabilities!.difference).toBeLessThan(1e-5);
      expect(file!.difference).toBeLessThan(1e-5);
    }
    // Not the same computation twice.
    expect(found.runtimes[0]!.blocks.some(({ difference }) => difference > 0)).toBe(true);
  });

  it("says what else is there to run on, without being told", async () => {
    const { runtimes, unavailable } = await verify(at("model.onnx"), { runtimes: undefined });
    const statuses = await nodePlatform.engine.listDevices();
    expect(runtimes.map(({ runtime }) => runtime)).toEqual(
      statuses.filter(({ available }) => available).map(({ device }) => device),
    );
    expect(unavailable.map(({ runtime }) => runtime)).toEqual(
      statuses.filter(({ available }) => !available).map(({ device }) => device),
    );
  });

  it("finds the block in which another file of the model differs", async () => {
    const { passed, runtimes, reference } = await verify(at("model.onnx"), { reference: at("altered.onnx") });
    expect(passed).toBe(false);
    expect(reference).toContain(`${at("altered.onnx")} (model file) on the CPU`);
    const verdicts = runtimes[0]!.blocks.map(({ block, passed: ok }) => [block, ok]);
    expect(verdicts).toEqual([
      ...["block1", "block2", "block3", "block4", "block5"].map((block) => [block, true]),
      ["block6", false],
      ["block7", false],
    ]);
    // Gamma 1 % larger makes the block's output, before its pooling's bias, about that much larger.
    expect(runtimes[0]!.blocks[5]!.difference).toBeGreaterThan(0.005);
  });

  it("lets no NaN pass", async () => {
    const { passed, runtimes } = await verify(at("broken.onnx"), { reference: at("model.onnx") });
    expect(passed).toBe(false);
    expect(runtimes[0]!.blocks.map(({ passed: ok }) => ok)).toEqual([true, ...Array(6).fill(false)]);
    expect(runtimes[0]!.probabilities).toMatchObject({ difference: NaN, passed: false });
  });

  it("compares a file of Keras with another one, and with weights alone", async () => {
    for (const reference of ["tests/golden/formats/small.h5", "tests/golden/formats/small.weights.h5"]) {
      const found = await verify(keras, { reference });
      expect(found.passed).toBe(true);
      expect(found.runtimes[0]!.blocks.length).toBeGreaterThan(0);
      expect(found.runtimes[0]!.file).toBeUndefined();
    }
  });

  it("compares a model file with values of Keras", async () => {
    const options = { inputShape: [71, 71, 3], classes: 10 } as const;
    const labels = Array.from({ length: 10 }, (_, index) => `class ${index}`);
    const preprocessing = { ...kerasPreprocessing, fit: "fill", background: [0, 0, 0] } as const;
    const weights = syntheticWeights(xception(options));
    const architecture = { family: "xception", options } as const;
    await writeFile(at("formula.onnx"), encodeModel({ architecture, weights, labels, preprocessing }));
    const found = await verify(at("formula.onnx"), { reference: golden });
    expect(found).toMatchObject({
      passed: true,
      reference: `values in ${golden}`,
      images: ["synthetic 1", "synthetic 2"],
    });
    const names = ["block1", "block2", "block3", "block4", "block8", "block13", "block14"];
    expect(found.runtimes[0]!.blocks.map(({ block }) => block)).toEqual(names);
    expect(found.runtimes[0]!.probabilities!.difference).toBeLessThan(1e-5);
  });

  it.each([
    [
      "an image for values of another tool",
      () => verify(at("model.onnx"), { reference: golden, images: [at("a.png")] }),
      "verify option images: a golden file's values are of the synthetic images alone. Leave the images out, " +
        "or take another file of the model as the reference.",
    ],
    [
      "a reference without anything in common",
      () => verify(at("model.onnx"), { reference: at("stranger.onnx") }),
      "it has nothing in common with the model: no layer of the same name and shape, and another output; received [4]; " +
        "expected an output of the shape [3].",
    ],
    [
      "values of another network",
      () => verify(at("model.onnx"), { reference: golden }),
      `golden file "${golden}", tap "block8_sepconv3_bn": network "xception" has no layer of this name`,
    ],
    [
      "a missing reference",
      () => verify(at("model.onnx"), { reference: "none.h5" }),
      'file "none.h5": there is no such',
    ],
    ["a missing image", () => verify(at("model.onnx"), { images: ["none.png"] }), 'image "none.png": there is no'],
  ])("refuses %s", async (_, attempt, message) => {
    await expect(attempt()).rejects.toThrow(message);
  });
});

describe("describeModelVerification", () => {
  it("draws a column for each runtime, and says what failed", () => {
    const block = { block: "block1", layer: "block1_conv2_act" };
    const text = describeModelVerification({
      model: "m.onnx",
      network: "xception",
      inputShape: [71, 71, 3],
      reference: "values in v.json",
      images: ["formula 1"],
      tolerance: { taps: 1e-3, probabilities: 1e-4 },
      runtimes: [
        {
          runtime: "cpu",
          blocks: [{ ...block, difference: 1.5e-6, passed: true }],
          probabilities: { difference: 2e-7, passed: true },
          passed: true,
        },
        {
          runtime: "wasm",
          blocks: [{ ...block, difference: 0.25, passed: false }],
          probabilities: { difference: 3e-7, passed: true },
          passed: false,
        },
      ],
      unavailable: [{ runtime: "webgpu", reason: "No supported adapters" }],
      passed: false,
    });
    expect(text).toMatchInlineSnapshot(`
      "m.onnx: xception 71×71×3, images: formula 1
      Reference: values in v.json
      Largest differences: of blocks in units of the standard deviation of their outputs, of probabilities absolute
      ┏━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━┓
      ┃ Block         ┃ Layer            ┃     cpu ┃          wasm ┃ Allowed ┃
      ┡━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━┩
      │ block1        │ block1_conv2_act │ 1.50e-6 │ 2.50e-1 FAILS │    1e-3 │
      │ probabilities │                  │ 2.00e-7 │       3.00e-7 │    1e-4 │
      └───────────────┴──────────────────┴─────────┴───────────────┴─────────┘
      not on webgpu: No supported adapters
      Not in agreement with the reference: wasm."
    `);
  });
});
