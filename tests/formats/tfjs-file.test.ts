import { describe, expect, test } from "vitest";
import { sortedSteps } from "../../src/formats/graph-parts.ts";
import { mapWeights } from "../../src/formats/map-weights.ts";
import { tfjsFormat } from "../../src/formats/tfjs/file.ts";
import { conv2d, input } from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { bytesOf, plain, readModel } from "./tfjs-model.ts";

const float = (name: string, ...shape: number[]) => ({ name, shape, dtype: "float32" });

describe("files of a group are one sequence of bytes", () => {
  // Three weights of 4, 8 and 12 bytes, cut where no weight ends.
  const all = bytesOf([1], [2, 3], [4, 5, 6]);
  const weights = [float("a/kernel", 1), float("b/kernel", 2), float("b/bias", 3)];
  const model = { weightsManifest: [{ paths: ["s1", "s2", "s3"], weights }] };
  const shards = { s1: all.slice(0, 6), s2: all.slice(6, 13), s3: all.slice(13) };

  test("wherever they are cut", async () => {
    expect(plain(await readModel({ model, shards }))).toEqual({
      "a/kernel": [1],
      "b/kernel": [2, 3],
      "b/bias": [4, 5, 6],
    });
  });

  test.each([
    [["s1"], { "a/kernel": ["s1"], "b/kernel": ["s1"], "b/bias": [4, 5, 6] }],
    [["s2"], { "a/kernel": [1], "b/kernel": ["s2"], "b/bias": ["s2"] }],
    [["s3"], { "a/kernel": [1], "b/kernel": [2, 3], "b/bias": ["s3"] }],
    [["s1", "s3"], { "a/kernel": ["s1", "s3"], "b/kernel": ["s1", "s3"], "b/bias": ["s1", "s3"] }],
    [
      ["s1", "s2", "s3"],
      { "a/kernel": ["s1", "s2", "s3"], "b/kernel": ["s1", "s2", "s3"], "b/bias": ["s1", "s2", "s3"] },
    ],
  ])("and without %j, the weights outside are there", async (absent, expected) => {
    const rest = Object.fromEntries(Object.entries(shards).filter(([name]) => !absent.includes(name)));
    expect(plain(await readModel({ model, shards: rest }))).toEqual(expected);
  });
});

test("quantized numbers are value · scale + min; half floats are themselves", async () => {
  const weights = [
    { ...float("a/kernel", 3), quantization: { dtype: "uint8", min: -1, scale: 0.5, original_dtype: "float32" } },
    { ...float("b/kernel", 2), quantization: { dtype: "uint16", min: 2, scale: 0.25 } },
    { ...float("c/kernel", 2), quantization: { dtype: "float16", original_dtype: "float32" } },
    { name: "d/kernel", shape: [2], dtype: "int32", quantization: { dtype: "uint8", min: 0, scale: 0.4 } },
    { name: "e/kernel", shape: [], dtype: "int32" },
    { name: "f/kernel", shape: [2], dtype: "bool" },
    { name: "g/kernel", shape: [1, 1], dtype: "float16" },
  ];
  const shard = bytesOf(
    Uint8Array.of(0, 2, 255),
    Uint16Array.of(0, 65535),
    Uint16Array.of(0x3c00, 0xb800),
    Uint8Array.of(1, 9),
    new Uint8Array(Int32Array.of(-7).buffer),
    Uint8Array.of(1, 0),
    Uint16Array.of(0x4200),
  );
  const model = { weightsManifest: [{ paths: ["s"], weights }] };
  expect(plain(await readModel({ model, shards: { s: shard } }))).toEqual({
    "a/kernel": [-1, 0, 126.5],
    "b/kernel": [2, 16385.75],
    "c/kernel": [1, -0.5],
    "d/kernel": [0, 4],
    "e/kernel": [-7],
    "f/kernel": [1, 0],
    "g/kernel": [3],
  });
});

test("a list of groups alone, as face-api.js has it, is weights", async () => {
  // The beginning of face_expression_model-weights_manifest.json.
  const quantization = { dtype: "uint8", scale: 0.5, min: -1 };
  const model = [
    {
      weights: [
        { ...float("dense0/conv0/filters", 1, 1, 1, 2), quantization },
        { ...float("dense0/conv0/bias", 2), quantization },
      ],
      paths: ["shard1"],
    },
  ];
  const found = await readModel({ model, shards: { shard1: Uint8Array.of(0, 4, 2, 3) } });
  expect(plain(found)).toEqual({ "dense0/conv0/filters": [-1, 1], "dense0/conv0/bias": [0, 0.5] });
  expect(tfjsFormat.detect(new TextEncoder().encode(JSON.stringify(model, null, 2)))).toBe(true);
});

test("layers stand in the order of the network, whatever that of the groups, those of models within it too", async () => {
  const layer = (name: string) => ({ class_name: "Dense", config: { name } });
  const inner = { class_name: "Model", config: { name: "head", layers: [layer("x"), layer("b")] } };
  const config = { class_name: "Model", config: { name: "m", layers: [layer("c"), inner, layer("a")] } };
  const groups = ["a", "b", "c"].map((name, index) => ({
    paths: [name],
    weights: [{ ...float(`${name}/kernel`, 1), name: index === 0 ? "m/a/kernel" : `${name}/kernel` }],
  }));
  const shards = { a: bytesOf([1]), b: bytesOf([2]), c: bytesOf([3]) };
  for (const modelTopology of [config, { keras_version: "2.2.4", model_config: config }]) {
    const read = await readModel({ model: { modelTopology, weightsManifest: groups }, shards });
    expect(read.layers.map(({ name }) => name)).toEqual(["c", "b", "a"]);
    expect(JSON.parse(read.config!)).toEqual(config);
  }
});

describe("a graph model", () => {
  const names = [
    "net/predictions/BiasAdd/ReadVariableOp",
    "net/predictions/MatMul/ReadVariableOp",
    "net/bn/FusedBatchNormV3/ReadVariableOp_1",
    "net/bn/FusedBatchNormV3/ReadVariableOp",
    "net/bn/ReadVariableOp_1",
    "net/bn/ReadVariableOp",
    "net/sep/separable_conv2d/ReadVariableOp_1",
    "net/sep/separable_conv2d/ReadVariableOp",
    "net/conv/Conv2D/ReadVariableOp",
    "net/avg_pool/Mean/reduction_indices",
  ];
  const filesOf = (all: readonly string[]) => ({
    model: {
      format: "graph-model",
      modelTopology: { node: [] },
      weightsManifest: [{ paths: ["s"], weights: all.map((name) => float(name, 1)) }],
    },
    shards: { s: bytesOf(all.map((_, index) => index)) },
  });

  test("has its layers in the names of its weights", async () => {
    const { kind, layers } = await readModel(filesOf(names));
    expect(kind).toBe("graph model");
    const read = Object.fromEntries(
      layers.map(({ name, weights }) => [name, weights.map(({ tensor }) => tensor?.data[0])]),
    );
    // Kernel, bias; gamma, beta, mean, variance; depthwise, pointwise.
    expect(read).toEqual({ predictions: [1, 0], bn: [5, 4, 3, 2], sep: [7, 6], conv: [8] });
  });

  test("is refused where neither operations nor names tell layers", async () => {
    await expect(readModel(filesOf(["net/conv/Conv2D_weights", "net/conv/Conv2D_bn_offset"]))).rejects.toThrow(
      'received ["net/conv/Conv2D_weights", "net/conv/Conv2D_bn_offset"]; expected nodes',
    );
    await expect(readModel(filesOf(["unknown", "w/1"]))).rejects.toThrow(
      'file "model.json": neither operations nor names of this graph model identify the layers of its weights; received ["unknown", "w/1"]; expected nodes, or names like model/block1_conv1/Conv2D/ReadVariableOp. Convert the model it was made from: the Keras file, or a layers model.',
    );
  });

  test("is refused with a node that is none, and with a cycle", async () => {
    const { shards, model } = filesOf(["unknown"]);
    const withNodes = (...node: unknown[]) => readModel({ shards, model: { ...model, modelTopology: { node } } });
    await expect(withNodes({ name: "a", op: 3 })).rejects.toThrow(
      'file "model.json", node 0, field op: this value is not allowed; received 3; expected a text.',
    );
    const { steps = [] } = await withNodes(
      { name: "a", op: "Relu", input: ["b"] },
      { name: "b", op: "Relu", input: ["a:0"] },
    );
    expect(() => sortedSteps(steps, "file")).toThrow('file: its graph has a cycle; received ["b"]');
  });
});

test("a weight whose file is not there is missing, with the file's name, unless that is allowed", async () => {
  let x = conv2d(input([4, 4, 1]), { filters: 1, kernelSize: 1, name: "a", useBias: false });
  x = conv2d(x, { filters: 1, kernelSize: 1, name: "b" });
  const weights = [float("a/kernel", 1, 1, 1, 1), float("b/kernel", 1, 1, 1, 1), float("b/bias", 1)];
  const model = { weightsManifest: [{ paths: ["s1", "s2"], weights }] };
  const { layers } = await readModel({ model, shards: { s2: bytesOf([5]) } });
  const net = network("two", x);
  const where = 'file "model.json"';
  expect(() => mapWeights(net, layers, { where, allowMissing: "a/*" })).toThrow(
    'file "model.json": they are not the weights of this network; missing: b/kernel (there is no s1). Add the files, or allow the weights to be missing.',
  );
  const { weights: mapped, report } = mapWeights(net, layers, { where, allowMissing: "a/*,*kernel" });
  const missing = ["a/kernel", "b/kernel"];
  expect(report).toEqual({ by: "name", taken: 1, initialized: missing, missing, unexpected: [], wrongShape: [] });
  expect([...mapped.get("b/bias")!.data]).toEqual([5]);
});
