import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { FileError } from "../../src/base/errors.ts";
import { mapWeights, storedLayersOf } from "../../src/formats/map-weights.ts";
import { writeSafetensors } from "../../src/formats/safetensors.ts";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { countParameters, networkWeights } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { openStartingFile, startingPointOf } from "../../src/model/starting-weights.ts";
import { topOn } from "../../src/models/parts.ts";
import type { XceptionOptions } from "../../src/models/xception/options.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { readingFiles } from "../model/reading-files.ts";
import { smallModel } from "../model/small-model.ts";
import { startingWeights } from "../model/starting-weights.ts";

/** Reads one file, and says what it was asked for. */
function reader(bytes: Uint8Array) {
  const asked: string[] = [];
  const read = async (path: string): Promise<Uint8Array> => {
    asked.push(path);
    return bytes;
  };
  return { asked, ...readingFiles(read) };
}

test("of a PyTorch checkpoint are those under the key that is named", async () => {
  const path = join(root, "tests/golden/formats/checkpoint.pth");
  const stored = async (key?: string) => {
    const { file } = await openStartingFile(path, nodePlatform, { key });
    return file.stored!().map(({ name }) => name);
  };
  expect(await stored()).toEqual(["module.only"]);
  expect((await stored("state_dict")).length).toBeGreaterThan(10);
  await expect(stored("ema")).rejects.toThrow(/state_dict_ema/);
});

test("other classes get a classifier of their own, drawn from the network's seed; the body is the file's", async () => {
  const model = smallModel();
  const network = xception({ ...optionsOf(model), classes: 5, seed: 9 });
  const { weights, report } = await startingWeights(network, "model.onnx", reader(encodeModel(model)));
  expect(report).toMatchObject({ taken: 108, missing: [] });
  expect(report.wrongShape).toEqual([
    "predictions/kernel (104×3 instead of 104×5)",
    "predictions/bias (3 instead of 5)",
  ]);
  const fresh = initializeWeights(network);
  for (const { name } of networkWeights(network)) {
    const expected = name.startsWith("predictions/") ? fresh.get(name) : model.weights.get(name);
    expect(weights.get(name), name).toEqual(expected);
  }
});

test("the same classes keep their classifier", async () => {
  const model = smallModel();
  const { weights, report } = await startingWeights(model.network, "model.onnx", reader(encodeModel(model)));
  expect(report.taken).toBe(110);
  expect(weights.get("predictions/kernel")).toEqual(model.weights.get("predictions/kernel"));
});

test.each([
  { known: "the same order", classes: ["a", "b", "c"], columns: [0, 1, 2], notes: [] },
  {
    known: "another order",
    classes: ["c", "a", "b"],
    columns: [2, 0, 1],
    notes: ["The file has the same classes in another order; its classifier was reordered."],
  },
  {
    known: "other names",
    classes: ["a", "b", "d"],
    columns: undefined,
    notes: ["The file's classes are not those of the images: a, b, c."],
  },
])("the file's classifier is matched to the classes by name: $known", async ({ classes, columns, notes }) => {
  const model = { ...smallModel(), labels: ["a", "b", "c"] };
  const network = xception({ ...optionsOf(model), seed: 9 });
  const { weights, ...start } = await startingWeights(network, "model.onnx", reader(encodeModel(model)), { classes });
  const own = ["predictions/kernel", "predictions/bias"];
  expect(start.report).toMatchObject(columns ? { taken: 110, missing: [] } : { taken: 108, missing: own });
  expect(start.notes).toEqual(notes);
  expect(startingPointOf({ weights, ...start }, "model.onnx").reinitialized).toEqual(columns ? [] : own);
  const fresh = initializeWeights(network);
  for (const name of own) {
    const stored = model.weights.get(name)!.data;
    const row = (start: number) => columns?.map((column) => stored[start + column]!);
    const rows = Array.from({ length: stored.length / 3 }, (_, index) => row(3 * index));
    expect([...weights.get(name)!.data], name).toEqual(columns ? rows.flat() : [...fresh.get(name)!.data]);
  }
  expect(weights.get("block1_conv1/kernel")).toEqual(model.weights.get("block1_conv1/kernel"));
});

test("a classifier on an earlier layer keeps nothing of one for other classes, the bias neither", async () => {
  const model = { ...smallModel(), labels: ["a", "b", "c"] };
  const options = { headOn: "block5", classes: ["a", "b", "d"] };
  const start = await startingWeights(model.network, "model.onnx", reader(encodeModel(model)), options);
  expect(start.weights.get("predictions/bias")!.data).toEqual(new Float32Array(3));
  expect(model.weights.get("predictions/bias")!.data).not.toEqual(new Float32Array(3));
  expect(start.report.initialized).toEqual(["predictions/kernel", "predictions/bias"]);
});

test("imagenet is the published file, with the classifier only for 1000 classes, or that of a mirror", async () => {
  const asked = async (options: XceptionOptions, mirror?: string) => {
    const read = (path: string): Promise<Uint8Array> => {
      throw new FileError({ where: path, what: "asked for" });
    };
    const network = xception({ width: 0.05, middleFlowRepeats: 0, ...options });
    const reader = { downloads: { mirror, read } };
    const error: unknown = await startingWeights(network, "imagenet", reader).catch((e) => e);
    return (error as Error).message;
  };
  const folder = "https://storage.googleapis.com/tensorflow/keras-applications/xception";
  expect(await asked({ classes: 10 })).toBe(
    `${folder}/xception_weights_tf_dim_ordering_tf_kernels_notop.h5#md5=b0042744bf5b25fce3cb969f33bebb97: asked for.`,
  );
  expect(await asked({})).toBe(
    `${folder}/xception_weights_tf_dim_ordering_tf_kernels.h5#md5=0a58e3b7378bc2990ea3b43d5981f1f6: asked for.`,
  );
  expect(await asked({ includeTop: false }, "http://127.0.0.1:1/x")).toBe(
    "http://127.0.0.1:1/x/xception_weights_tf_dim_ordering_tf_kernels_notop.h5#md5=b0042744bf5b25fce3cb969f33bebb97: asked for.",
  );
});

test("a file without the classifier, whose names are all Keras's first, goes in by the order of its layers", () => {
  const network = xception(optionsOf(smallModel()));
  const body = xception({ ...optionsOf(smallModel()), includeTop: false });
  const counts = new Map<string, number>();
  const stored = storedLayersOf(body, syntheticWeights(body)).map(({ name, weights }) => {
    const kind = name.endsWith("_bn") || name.startsWith("batch") ? "batchnormalization" : "convolution2d";
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return { name: `${kind}_${counts.get(kind)}`, weights };
  });
  const { weights, report } = mapWeights(network, stored, { where: "file", allowMissing: "predictions/*" });
  expect(report).toMatchObject({ by: "order", missing: ["predictions/kernel", "predictions/bias"], unexpected: [] });
  for (const [name, tensor] of syntheticWeights(body)) expect(weights.get(name)).toEqual(tensor);
});

test("the published ImageNet weights without block 14's kernels carry a classifier on block 13", async (context) => {
  const file = join(root, "../shared/data/xception-imagenet-block13/model.json");
  if (!existsSync(file)) return context.skip("the weights are not there");
  const start = await startingWeights(xception({ classes: 10 }), file, nodePlatform);
  expect(start.headOn).toBe("add_11");
  expect(start.report).toEqual({
    by: "name",
    taken: 222,
    initialized: ["predictions/kernel", "predictions/bias"],
    missing: ["predictions/kernel", "predictions/bias"],
    unexpected: [],
    wrongShape: [],
  });
  expect(countParameters(networkWeights(start.network)).total).toBe(16_115_762);
});

describe("weights that end before the network does", () => {
  const model = smallModel({ dropout: 0.5 });
  /** A file without these weights. */
  const without = (isMissing: (name: string) => boolean) => {
    const stored = new Map([...model.weights].filter(([name]) => !isMissing(name)));
    return reader(writeSafetensors(stored));
  };
  const noBlock7 = (name: string) => /^(block7_sepconv\d\/|predictions)/.test(name);

  test("carry the classifier on the last layer that they reach", async () => {
    const start = await startingWeights(model.network, "part", without(noBlock7));
    expect(start.headOn).toBe("add_4");
    expect(start.network).toEqual(topOn(model.network, "block6"));
    expect(start.report).toMatchObject({ missing: ["predictions/kernel", "predictions/bias"], unexpected: [] });
    expect([...start.weights.keys()]).toEqual(networkWeights(start.network).map(({ name }) => name));
    for (const [name, tensor] of start.weights) {
      const expected = name.startsWith("predictions") ? initializeWeights(start.network) : model.weights;
      expect(tensor, name).toEqual(expected.get(name));
    }
  });

  test("carry it elsewhere if that is asked for, or let what is missing start anew", async () => {
    const chosen = await startingWeights(model.network, "part", without(noBlock7), { headOn: "block5" });
    expect(chosen.headOn).toBe("add_3");
    const anew = await startingWeights(model.network, "part", without(noBlock7), { allowMissing: "block7_*" });
    expect(anew).toMatchObject({ headOn: undefined, network: model.network });
    expect(anew.report.missing).toHaveLength(6);
    const whole = await startingWeights(
      model.network,
      "whole",
      without(() => false),
    );
    expect(whole).toMatchObject({ headOn: undefined, network: model.network });
  });

  test("have to reach the layer that is asked for, and be whole up to where they end", async () => {
    await expect(startingWeights(model.network, "part", without(noBlock7), { headOn: "block7" })).rejects.toThrow(
      'file "part": they are not the weights of this network; missing: block7_sepconv1/depthwise_kernel, ' +
        "block7_sepconv1/pointwise_kernel, block7_sepconv2/depthwise_kernel, block7_sepconv2/pointwise_kernel. Check",
    );
    const hole = without((name) => name.startsWith("block3_sepconv1/"));
    await expect(startingWeights(model.network, "part", hole)).rejects.toThrow(
      'file "part": they are not the weights of this network; missing: block3_sepconv1/depthwise_kernel, ' +
        "block3_sepconv1/pointwise_kernel. Check",
    );
  });
});

function optionsOf({ architecture }: ReturnType<typeof smallModel>): XceptionOptions {
  if (architecture.family !== "xception") throw new Error("the small model is an Xception");
  return architecture.options;
}
