import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { foldedGraphModel, torchNet } from "../model/foreign-graphs.ts";
import { smallModel } from "../model/small-model.ts";
import { ModelProto } from "../oracles/onnx-proto.ts";
import { capture } from "./capture.ts";

const formats = join(root, "tests/golden/formats");

test("the network in a file, with its format", async () => {
  const { stdout, exitCode } = await capture(["summary", join(formats, "small.keras"), "--json"]);
  expect(exitCode).toBe(0);
  const { format, layers, params, notes } = JSON.parse(stdout);
  expect({ format, layers: layers.length, notes, params }).toMatchInlineSnapshot(`
    {
      "format": "keras",
      "layers": 16,
      "notes": [],
      "params": {
        "nonTrainable": 112,
        "total": 1269,
        "trainable": 1157,
      },
    }
  `);
  expect((await capture(["summary", join(formats, "small.keras")])).stdout).toContain("small.keras (keras)\n");
});

test("of a graph of another tool: what it is fed, what it computes, and of which operators", async () => {
  const file = join(formats, "torch-plain.onnx");
  const { stdout } = await capture(["summary", file]);
  expect(stdout.replace(file, "FILE")).toMatchInlineSnapshot(`
    "FILE is an ONNX graph of another tool
    inputs      input [batch, 3, 21, 19]
    outputs     logits [Gemmlogits_dim_0, 5]
    operators   3 Conv, 2 BatchNormalization, 2 Relu, 1 ReduceMean, 1 Gemm
    parameters  597
    ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
    ┃ Result (operator)                ┃ Shape              ┃ Param # ┃ Connected to                   ┃
    ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
    │ /conv1/Conv_output_0 (Conv)      │ batch×8×10×9       │     216 │ input                          │
    │ /bn1/BatchNormalization_output_0 │ batch×8×10×9       │      32 │ /conv1/Conv_output_0           │
    │   (BatchNormalization)           │                    │         │                                │
    │ /Relu_output_0 (Relu)            │ batch×8×10×9       │       0 │ /bn1/BatchNormalization_output │
    │                                  │                    │         │ _0                             │
    │ /sep/conv1/Conv_output_0 (Conv)  │ batch×8×10×9       │      72 │ /Relu_output_0                 │
    │ /sep/pointwise/Conv_output_0     │ batch×16×10×9      │     128 │ /sep/conv1/Conv_output_0       │
    │   (Conv)                         │                    │         │                                │
    │ /bn2/BatchNormalization_output_0 │ batch×16×10×9      │      64 │ /sep/pointwise/Conv_output_0   │
    │   (BatchNormalization)           │                    │         │                                │
    │ /Relu_1_output_0 (Relu)          │ batch×16×10×9      │       0 │ /bn2/BatchNormalization_output │
    │                                  │                    │         │ _0                             │
    │ /ReduceMean_output_0             │ batch×16           │       0 │ /Relu_1_output_0               │
    │   (ReduceMean)                   │                    │         │                                │
    │ logits (Gemm)                    │ Gemmlogits_dim_0×5 │      85 │ /ReduceMean_output_0           │
    └──────────────────────────────────┴────────────────────┴─────────┴────────────────────────────────┘
    ┏━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━┓
    ┃ Weight               ┃ Shape    ┃ Param # ┃
    ┡━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━┩
    │ conv1.weight         │ 8×3×3×3  │     216 │
    │ bn1.weight           │ 8        │       8 │
    │ bn1.bias             │ 8        │       8 │
    │ bn1.running_mean     │ 8        │       8 │
    │ bn1.running_var      │ 8        │       8 │
    │ sep.conv1.weight     │ 8×1×3×3  │      72 │
    │ sep.pointwise.weight │ 16×8×1×1 │     128 │
    │ bn2.weight           │ 16       │      16 │
    │ bn2.bias             │ 16       │      16 │
    │ bn2.running_mean     │ 16       │      16 │
    │ bn2.running_var      │ 16       │      16 │
    │ fc.weight            │ 5×16     │      80 │
    │ fc.bias              │ 5        │       5 │
    └──────────────────────┴──────────┴─────────┘
     Total params: 597 in 13 weights
    "
  `);
  expect(JSON.parse((await capture(["summary", file, "--json"])).stdout)).toMatchObject({
    inputs: [{ name: "input", shape: ["batch", 3, 21, 19] }],
    operators: { Conv: 3, BatchNormalization: 2 },
    weights: expect.arrayContaining([{ name: "fc.weight", shape: [5, 16] }]),
  });
});

/** Axes of the first input, and something else in the graph of PyTorch. */
async function changedGraph(dim: object[], operator = "Conv"): Promise<string> {
  const file = ModelProto.toObject(ModelProto.decode(readFileSync(join(formats, "torch-plain.onnx"))), {
    longs: Number,
  });
  const graph = file.graph as { input: { type: { tensor_type: { shape: object } } }[]; node: { op_type: string }[] };
  graph.input[0]!.type.tensor_type.shape = { dim };
  graph.node[0]!.op_type = operator;
  const path = join(await mkdtemp(join(tmpdir(), "xception-summary-")), "graph.onnx");
  await writeFile(path, ModelProto.encode(ModelProto.fromObject(file)).finish());
  return path;
}

test("of a graph that leaves the size of images open: its shapes for a given one", async () => {
  const path = await changedGraph([{ dim_param: "n" }, { dim_value: 3 }, { dim_param: "h" }, {}]);
  const shapes = async (...flags: string[]) => {
    const { nodes } = JSON.parse((await capture(["summary", path, "--json", ...flags])).stdout);
    return nodes.map(({ outputShape }: { outputShape: unknown }) => outputShape);
  };
  // 3×3 with stride 2, unpadded: ⌊(50 − 3)/2⌋ + 1 = 24 rows, ⌊(60 − 3)/2⌋ + 1 = 29 columns.
  const [first, , , , pointwise] = await shapes("--input-shape", "50x60x3");
  expect(first).toEqual([1, 8, 24, 29]);
  expect(pointwise).toEqual([1, 16, 24, 29]);
  expect((await shapes())[0]).toEqual(["n", 8, expect.any(String), expect.any(String)]);
});

test("of a graph that the engine does not load: all but shapes", async () => {
  const path = await changedGraph(
    [{ dim_value: 1 }, { dim_value: 3 }, { dim_value: 21 }, { dim_value: 19 }],
    "Convolve",
  );
  const { stdout, stderr } = await capture(["summary", path]);
  expect(stderr).toBe("");
  expect(stdout).toContain("operators   2 BatchNormalization, 2 Relu, 2 Conv, 1 Convolve, 1 ReduceMean, 1 Gemm\n");
  expect(stdout).toMatch(/│ \/conv1\/Conv_output_0 \(Convolve\) +│ \? +│ +216 │ input +│/);
  expect(stdout).toContain("Shapes marked ? are not known.");
});

test("of weights alone: their names and shapes", async () => {
  const shown: string[] = [];
  for (const name of ["small.weights.h5", "torch-xception.pth"]) {
    const { stdout } = await capture(["summary", join(formats, name)]);
    const lines = stdout.replace(formats, "").trim().split("\n");
    shown.push(...lines.slice(0, 6), ...lines.slice(-3));
  }
  expect(shown.join("\n")).toMatchInlineSnapshot(`
    "/small.weights.h5 (weights.h5) contains weights without a network
    ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━┓
    ┃ Weight                              ┃ Shape     ┃ Param # ┃
    ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━┩
    │ layers/batch_normalization/vars/0   │ 8         │       8 │
    │ layers/batch_normalization/vars/1   │ 8         │       8 │
    │ layers/separable_conv2d_1/vars/2    │ 16        │      16 │
    └─────────────────────────────────────┴───────────┴─────────┘
     Total params: 1,269 in 25 weights
    /torch-xception.pth (PyTorch) contains weights without a network
    ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━┓
    ┃ Weight                            ┃ Shape     ┃ Param # ┃
    ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━┩
    │ conv1.weight                      │ 8×3×3×3   │     216 │
    │ bn1.weight                        │ 8         │       8 │
    │ fc.bias                           │ 3         │       3 │
    └───────────────────────────────────┴───────────┴─────────┘
     Total params: 8,582 in 129 weights"
  `);
  // Sums worked out from the list of weights that Keras wrote beside its files.
  const { weights } = JSON.parse(readFileSync(join(formats, "small.json"), "utf8")) as {
    weights: [number, string, number[]][];
  };
  const sizes = weights.map(([, , shape]) => shape.reduce((product, size) => product * size, 1));
  const { stdout } = await capture(["summary", join(formats, "small-weights-only.h5"), "--json"]);
  const listed = JSON.parse(stdout);
  expect(listed.params).toBe(sizes.reduce((sum, size) => sum + size, 0));
  expect(listed.weights.map(({ shape }: { shape: number[] }) => shape)).toEqual(weights.map(([, , shape]) => shape));
});

test("of a graph model of TensorFlow.js: inputs, outputs, operations and weights", async () => {
  const folder = await mkdtemp(join(tmpdir(), "xception-summary-"));
  const net = torchNet();
  const { model, shards } = foldedGraphModel(net, syntheticWeights(net));
  const path = join(folder, "model.json");
  await writeFile(path, JSON.stringify(model));
  for (const [name, bytes] of Object.entries(shards)) await writeFile(join(folder, name), bytes);
  const facts = JSON.parse((await capture(["summary", path, "--json"])).stdout);
  expect(facts).toMatchObject({
    format: "TF.js graph model",
    inputs: [{ name: "images", shape: null }],
    outputs: [{ name: "StatefulPartitionedCall/net/logits/BiasAdd", shape: null }],
    operators: { Relu: 2, _FusedConv2D: 2, DepthwiseConv2dNative: 1, Mean: 1, MatMul: 1, BiasAdd: 1 },
  });
  expect(facts.nodes[0]).toEqual({
    name: "StatefulPartitionedCall/net/conv2d/BiasAdd",
    operator: "_FusedConv2D",
    outputShape: null,
    params: 3 * 3 * 3 * 8 + 8,
    inbound: ["images"],
  });
  expect(facts.weights[1]).toEqual({
    name: "StatefulPartitionedCall/net/conv2d/Conv2D_weights",
    shape: [3, 3, 3, 8],
  });
  const { stdout } = await capture(["summary", path]);
  expect(stdout).toContain("model.json is a TF.js graph model of another tool\ninputs      images of any shape\n");
  expect(stdout).toContain(`Total params: ${facts.params} in ${facts.weights.length} weights`);
});

test("of a network with an unknown layer: the reason, and its weights", async () => {
  const entries = unzipSync(readFileSync(join(formats, "small.keras")));
  const config = strFromU8(entries["config.json"]!).replaceAll("GlobalAveragePooling2D", "GlobalLpPooling2D");
  const path = join(await mkdtemp(join(tmpdir(), "xception-summary-")), "lp.keras");
  await writeFile(path, zipSync({ ...entries, "config.json": strToU8(config) }, { level: 0 }));
  const { stdout, exitCode } = await capture(["summary", path]);
  expect(exitCode).toBe(0);
  expect(stdout).toContain("(keras) contains a network that cannot be built; its weights:\n");
  expect(stdout).toContain('unsupported layer; received "GlobalLpPooling2D"');
  expect(stdout).toContain("Total params: 1,269 in 25 weights");
  const { weights, notes } = JSON.parse((await capture(["summary", path, "--json"])).stdout);
  expect(weights).toHaveLength(25);
  expect(notes[0]).toContain("GlobalLpPooling2D");
});

test("refuses flags that describe another network, and what is no file of weights", async () => {
  const messages = [];
  for (const argv of [
    ["small.keras", "--classes", "3"],
    ["small.keras", "--architecture", "xception41"],
    ["small.keras", "--no-top"],
    ["none.onnx"],
  ]) {
    const { exitCode, stderr } = await capture(["summary", join(formats, argv[0]!), ...argv.slice(1)]);
    messages.push(`${exitCode} ${stderr.replaceAll(formats, "")}`);
  }
  expect(messages).toMatchInlineSnapshot(`
    [
      "2 error: argument MODEL: the file determines the network; --input-shape is the only network flag allowed with a file; received "--classes".
    ",
      "2 error: argument MODEL: the file determines the network; --input-shape is the only network flag allowed with a file; received "--architecture".
    ",
      "2 error: argument MODEL: the file determines the network; --input-shape is the only network flag allowed with a file; received "--no-top".
    ",
      "1 error: file "/none.onnx": there is no such file.
    ",
    ]
  `);
});

test("of a model file: provenance line by line", async () => {
  const folder = await mkdtemp(join(tmpdir(), "xception-summary-"));
  const provenance = { program: "x 1", recipe: { epochs: 2, classes: ["a", "b"], augment: { flip: true } }, by: null };
  await writeFile(join(folder, "m.onnx"), encodeModel({ ...smallModel(), provenance }));
  const { stdout } = await capture(["summary", join(folder, "m.onnx")]);
  await rm(folder, { recursive: true });
  expect(stdout).toContain(
    "license     CC0-1.0\nprovenance  program: x 1\n            recipe.epochs: 2\n            recipe.classes: a, b\n" +
      "            recipe.augment.flip: true\n            by: null\nModel: ",
  );
});
