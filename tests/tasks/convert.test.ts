import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { writeLegacyModel, writeLegacyWeights } from "../../src/formats/keras/writer.ts";
import { decodeFloats } from "../../src/formats/number-formats.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import {
  activation,
  batchNormalization,
  conv2d,
  dense,
  globalMaxPooling2d,
  input,
  relu,
} from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { type TargetName, weightsTargets } from "../../src/model/formats.ts";
import type { ModelParts } from "../../src/model/model.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { alignedXception } from "../../src/models/aligned/network.ts";
import { architectureOf } from "../../src/models/registry.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { writeFilesAtomic } from "../../src/runtime/node/files.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type ConvertOptions, convert } from "../../src/tasks/convert.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { smallModel } from "../model/small-model.ts";
import { noise } from "./images.ts";

const folder = mkdtempSync(join(tmpdir(), "convert-task-"));
const formats = join(root, "tests/golden/formats");
/** In this thread, which is quicker. */
const reader = { files: nodePlatform.files };
const targets = Object.keys(weightsTargets) as TargetName[];

const convertBytes = async (bytes: Uint8Array, options: ConvertOptions) =>
  convert(await weightsSource(bytes, reader), options);

/** Through a file on the disk, since some formats are several files. */
async function throughFile(model: Uint8Array, to: TargetName) {
  const path = join(folder, `${to}${weightsTargets[to].extension}`);
  const { bytes, beside } = await convertBytes(model, { to });
  await writeFilesAtomic(path, bytes, beside);
  return convert(await weightsSource(path, reader), { to: "onnx" });
}

function layersModel(): ModelParts {
  let x = relu(conv2d(input([12, 10, 3], { name: "photo" }), { filters: 4, kernelSize: 3, name: "stem" }));
  x = batchNormalization(x, { epsilon: 1e-5, momentum: 0.9 });
  const net = network("others", activation(dense(globalMaxPooling2d(x), { units: 2 }), "softmax", { name: "chances" }));
  return {
    architecture: architectureOf(net),
    weights: syntheticWeights(net),
    labels: ["яблоко", "pear"],
    preprocessing: { scale: 0.5, offset: 3, fit: "cover", background: [1, 2, 3] },
    license: "MIT",
    provenance: { by: ["x", { y: null }] },
  };
}

/** Its strided convolutions are padded as in PyTorch, which is a layer of its own in Keras. */
function alignedModel(): ModelParts {
  const options = { variant: "41p", inputShape: [71, 80, 3], classes: 3, width: 0.05 } as const;
  const weights = syntheticWeights(alignedXception(options));
  return { ...smallModel(), architecture: { family: "aligned-xception", options }, weights };
}

describe("a model comes back from every format byte by byte", () => {
  const readable = targets.filter((to) => to !== "safetensors");
  const models = [
    ["our Xception", encodeModel(smallModel())],
    ["the article's", encodeModel(smallModel({ variant: "tutorial", dropout: 0.3, fcUnits: [9], residual: false }))],
    ["any other network", encodeModel(layersModel())],
    ["timm's aligned one", encodeModel(alignedModel())],
  ] as const;
  test.each(models.flatMap(([name, bytes]) => readable.map((to) => [name, to, bytes] as const)))(
    "%s through %s",
    async (_, to, bytes) => {
      const { bytes: back, notes } = await throughFile(bytes, to);
      expect(notes).toEqual([]);
      expect(Buffer.compare(back, bytes)).toBe(0);
    },
  );

  test("a plain graph is no model file, but classifies as one", async () => {
    const bytes = encodeModel(smallModel());
    const { bytes: plain } = await convertBytes(bytes, { to: "onnx-graph" });
    expect(() => decodeModel(plain, "plain.onnx")).toThrow(
      'model "plain.onnx": its graph is fed with floats that are prepared already; expected a model file, whose graph ' +
        "takes the bytes of images. Convert it to one: xception convert IN OUT --to onnx.",
    );
    const image = { width: 80, height: 71, data: noise(1, [71, 80, 3], 5).data };
    const answers = [];
    for (const each of [bytes, plain]) {
      const classifier = await loadClassifier(each, { platform: nodePlatform });
      answers.push(await classifier.classify(image));
      await classifier.dispose();
    }
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[0]!.map(({ label }) => label).sort()).toEqual(["cat", "dog", "owl"]);
  });
});

test("weights of timm's network go into Keras's with the file's other options, and that answers will differ is said", async () => {
  const timm = smallModel({ batchNormEpsilon: 1e-5, poolPadding: "symmetric" });
  const { bytes: file } = await convertBytes(encodeModel(timm), { to: "safetensors" });
  const { bytes, notes } = await convertBytes(file, { to: "onnx", architecture: "xception" });
  expect(notes).toEqual([
    `The file's network has batchNormEpsilon 0.00001, this one 0.001; poolPadding symmetric, this one same: predictions will differ slightly.`,
  ]);
  expect(Buffer.compare(bytes, encodeModel(smallModel()))).toBe(0);
});

test("a network that tells no classes apart keeps its license in every format, too", async () => {
  const options = {
    inputShape: [71, 71, 3],
    includeTop: false,
    pooling: "avg",
    width: 0.05,
    middleFlowRepeats: 0,
  } as const;
  const weights = await writeLegacyWeights({
    network: xception(options),
    weights: syntheticWeights(xception(options)),
    metadata: JSON.stringify({ formatVersion: 1, architecture: { family: "xception", options }, license: "MIT" }),
  });
  const graph = await convertBytes(weights, { to: "onnx" });
  expect(graph.to).toBe("plain ONNX");
  expect(graph.notes).toEqual([
    "This is not a model file for images: a model needs a classifier.",
    'Its input "images" is float32 [N, 71, 71, 3], preprocessed as the network expects.',
  ]);
  const { bytes } = await convertBytes(graph.bytes, { to: "h5-weights" });
  expect(Buffer.compare((await convertBytes(bytes, { to: "onnx" })).bytes, graph.bytes)).toBe(0);
});

describe("a whole model of Keras that is our Xception", () => {
  const { options, network: net, weights } = { ...smallModel(), options: smallModel().architecture };
  const bare = writeLegacyModel({ network: net, weights });

  test("becomes one, with its options", async () => {
    const { architecture, weights: loaded } = decodeModel((await convertBytes(await bare, { to: "onnx" })).bytes);
    expect(architecture.family).toBe("xception");
    expect(options.family).toBe("xception");
    expect(architecture).toMatchObject({ options: { inputShape: [71, 80, 3], classes: 3, middleFlowRepeats: 1 } });
    expect(loaded).toEqual(weights);
  });

  test("gives its weights to one with other classes and another size of images", async () => {
    const given = { classes: 7, inputShape: [90, 75, 3] } as const;
    await expect(convertBytes(await bare, { to: "onnx", network: given })).rejects.toThrow("predictions/kernel");
    const conversion = await convertBytes(await bare, { to: "onnx", network: given, allowMissing: "predictions/*" });
    expect(conversion.weights.taken).toBe(108);
    const { network: made, weights: loaded } = decodeModel(conversion.bytes);
    expect(made.layers.at(-1)!.outputShape).toEqual([7]);
    expect(loaded.get("block1_conv1/kernel")).toEqual(weights.get("block1_conv1/kernel"));
  });
});

describe("float16", () => {
  test("halves the file, rounds kernels alone, and is read back", async () => {
    const model = smallModel();
    const bytes = encodeModel(model);
    const { bytes: half } = await convertBytes(bytes, { to: "onnx", dtype: "float16" });
    const back = decodeModel(half);
    for (const [name, { data }] of model.weights) {
      const isKernel = name.endsWith("kernel");
      const tolerance = isKernel ? 2 ** -11 : 0;
      back.weights.get(name)!.data.forEach((value, index) => {
        expect(Math.abs(value - data[index]!)).toBeLessThanOrEqual(
          Math.abs(data[index]!) * tolerance + 2 ** -25 * Number(isKernel),
        );
      });
    }
    // The smallest network there is has as many nodes as any: they are a good part of its file.
    expect(half.length).toBeLessThan(0.75 * bytes.length);
    expect(Buffer.compare((await convertBytes(half, { to: "onnx", dtype: "float16" })).bytes, half)).toBe(0);
  });

  test("computes nearly the same", async () => {
    const image = new Uint8Array(71 * 80 * 3).map((_, index) => (index * 37) % 256);
    const answers = async (bytes: Uint8Array) => {
      const session = await nodePlatform.engine.createSession(bytes);
      const { predictions } = await session.run({ images: { type: "uint8", shape: [1, 71, 80, 3], data: image } });
      await session.dispose();
      return [...(predictions!.data as Float32Array)];
    };
    const bytes = encodeModel(smallModel());
    const full = await answers(bytes);
    const half = await answers((await convertBytes(bytes, { to: "onnx", dtype: "float16" })).bytes);
    for (const [index, value] of full.entries()) expect(Math.abs(half[index]! - value)).toBeLessThan(2e-3);
    expect(half).not.toEqual(full);
  });

  test("refuses numbers that it cannot hold", async () => {
    const model = smallModel();
    model.weights.get("predictions/kernel")!.data[4] = -70000;
    await expect(convertBytes(encodeModel(model), { to: "onnx", dtype: "float16" })).rejects.toThrow(
      'weight "predictions/kernel": a number is too large for float16; received -70000; expected at most 65504 in size. Store float32.',
    );
  });
});

test("a target that does not exist is named", async () => {
  for (const to of ["constructor", undefined]) {
    await expect(convertBytes(encodeModel(smallModel()), { to } as never)).rejects.toThrow(
      /^convert option to: this value is not allowed; (?:received "constructor"; )?expected .*keras.* or onnx-graph\.$/,
    );
  }
});

describe("int8 weights", () => {
  test("quarter a kernel, rounded for each filter, but depthwise ones to float16; and are read back", async () => {
    const model = smallModel();
    const bytes = encodeModel(model);
    const { bytes: rounded } = await convertBytes(bytes, { to: "onnx", dtype: "int8" });
    const back = decodeModel(rounded);
    for (const [name, { data, shape }] of model.weights) {
      const found = back.weights.get(name)!.data;
      const filters = shape.at(-1)!;
      const isRounded = name.endsWith("kernel") && !name.endsWith("depthwise_kernel");
      const largest = new Float32Array(filters);
      data.forEach((value, index) => {
        largest[index % filters] = Math.max(largest[index % filters]!, Math.abs(value));
      });
      const tolerance = (index: number) => {
        if (isRounded) return (largest[index % filters]! / 254) * 1.0001;
        return name.endsWith("kernel") ? Math.abs(data[index]!) * 2 ** -11 + 2 ** -25 : 0;
      };
      const differences = data.filter((value, index) => Math.abs(value - found[index]!) > tolerance(index));
      expect([name, differences.length]).toEqual([name, 0]);
      if (isRounded && filters > 20) expect(new Set(found).size).toBeGreaterThan(100);
    }
    const half = await convertBytes(bytes, { to: "onnx", dtype: "float16" });
    expect(rounded.length).toBeLessThan(half.bytes.length);
    expect(Buffer.compare((await convertBytes(rounded, { to: "onnx", dtype: "int8" })).bytes, rounded)).toBe(0);
  });

  test("give the same answer in both engines, as the float32 file of the same weights", async () => {
    const { bytes } = await convertBytes(encodeModel(smallModel()), { to: "onnx", dtype: "int8" });
    const expanded = encodeModel(decodeModel(bytes));
    const image = { width: 80, height: 71, data: new Uint8Array(71 * 80 * 3).map((_, index) => (index * 37) % 256) };
    const answers = await Promise.all(
      ([bytes, expanded] as const).flatMap((model) =>
        (["cpu", "wasm"] as const).map(async (device) => {
          await using classifier = await loadClassifier(model, { platform: nodePlatform, session: { device } });
          return (await classifier.classify(image)).map(({ label, probability }) => [label, probability] as const);
        }),
      ),
    );
    const [stored, , plain] = answers;
    expect(stored).toEqual(plain);
    for (const answer of answers) {
      expect(answer.map(([label]) => label)).toEqual(plain!.map(([label]) => label));
      for (const [index, [, probability]] of answer.entries()) expect(probability).toBeCloseTo(plain![index]![1], 5);
    }
  });

  test("cannot be NaN", async () => {
    const model = smallModel();
    model.weights.get("predictions/kernel")!.data[4] = Number.NaN;
    await expect(convertBytes(encodeModel(model), { to: "onnx", dtype: "int8" })).rejects.toThrow(
      'weight "predictions/kernel": a number is NaN or infinite, which no integer stands for; received NaN. Store float32.',
    );
  });
});

describe("timm's safetensors", () => {
  test.each([{}, { batchNormEpsilon: 1e-5, poolPadding: "symmetric" }] as const)(
    "give a model %o back",
    async (more) => {
      const bytes = encodeModel(smallModel(more));
      expect(Buffer.compare((await throughFile(bytes, "safetensors")).bytes, bytes)).toBe(0);
    },
  );

  test("hold timm's names and PyTorch's layout, and our own document", async () => {
    const model = smallModel();
    const { bytes, notes } = await convertBytes(encodeModel(model), { to: "safetensors" });
    const { tensors, metadata } = readSafetensors(bytes, "it");
    expect(JSON.parse(metadata.get("xception-ts")!)).toMatchObject({ labels: model.labels, license: "CC0-1.0" });
    expect(tensors.get("bn1.num_batches_tracked")).toMatchObject({ format: "I64", shape: [] });
    const { shape, data } = decodeFloats(tensors.get("fc.weight")!);
    expect(shape).toEqual([3, 104]);
    // [class, feature] there, [feature, class] here.
    expect(data[2 * 104 + 5]).toBe(model.weights.get("predictions/kernel")!.data[5 * 3 + 2]);
    expect(notes).toEqual([
      "timm's network has batchNormEpsilon 0.00001, this model 0.001; poolPadding symmetric, this model same: its predictions will differ slightly.",
    ]);
  });

  test("are refused to networks that timm has not", async () => {
    await expect(convertBytes(encodeModel(smallModel({ variant: "tutorial" })), { to: "safetensors" })).rejects.toThrow(
      'names of timm for network "xception_tutorial": timm has no such network: layer "conv2d" differs; expected the layers of legacy_xception, xception41, xception65, xception71, xception41p, xception65p or inception_v3.',
    );
  });
});

test("labels for a network without classes are refused", async () => {
  const bytes = new Uint8Array(readFileSync(join(formats, "small.weights.h5")));
  const noTop = { includeTop: false } as const;
  await expect(convertBytes(bytes, { to: "onnx", network: noTop, allowMissing: "*" })).rejects.toThrow(
    "of another shape: block1_conv1/kernel (3×3×3×8 instead of 3×3×3×32)",
  );
  const weights = syntheticWeights(xception({ ...noTop, width: 0.05, middleFlowRepeats: 0 }));
  const file = await writeLegacyWeights({
    network: xception({ ...noTop, width: 0.05, middleFlowRepeats: 0 }),
    weights,
  });
  const given = { ...noTop, width: 0.05, middleFlowRepeats: 0 };
  await expect(convertBytes(file, { to: "keras", network: given, labels: ["a"] })).rejects.toThrow(
    'labels: network "xception" is not a classifier of images. Leave the labels out.',
  );
});

test("NaN and infinite weights are named, and rejected by strict conversions", async () => {
  const model = smallModel();
  model.weights.get("block1_conv1/kernel")!.data[3] = Number.NaN;
  model.weights.get("predictions/bias")!.data[0] = Number.POSITIVE_INFINITY;
  const bytes = encodeModel(model);
  const { notes } = await convertBytes(bytes, { to: "keras" });
  expect(notes).toEqual(["Some of its weights are NaN or infinite: block1_conv1/kernel, predictions/bias."]);
  await expect(convertBytes(bytes, { to: "keras", strict: true })).rejects.toThrow(
    /^file of \d+ bytes: some of its weights are NaN or infinite: block1_conv1\/kernel, predictions\/bias\.$/,
  );
  expect((await convertBytes(encodeModel(smallModel()), { to: "keras", strict: true })).notes).toEqual([]);
});
