import { readFileSync } from "node:fs";
import { join } from "node:path";
import { unzipSync, zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { FormatError } from "../../src/base/errors.ts";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { readKerasFile } from "../../src/formats/keras/file.ts";
import { writeHdf5 } from "../../src/formats/keras/hdf5.ts";
import { networkFromKeras } from "../../src/formats/keras/network.ts";
import { syntheticImages } from "../../src/graph/synthetic.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { type OpenedModel, openAs, openModel } from "../../src/model/open-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { FloatTensor } from "../../src/tensor/tensor.ts";

// The network of `small.keras` as Keras's guide to transfer learning puts such models together: a base that is a model,
// below augmentation, Rescaling and a classifier. Its outputs must stay those that Keras gave for it in one piece.

const formats = join(root, "tests/golden/formats");
const small = await readKerasFile(new Uint8Array(readFileSync(join(formats, "small.keras"))), "small.keras");
const { probabilities } = JSON.parse(readFileSync(join(formats, "small.json"), "utf8")) as {
  probabilities: number[][];
};

type Layer = {
  readonly class_name: string;
  readonly config: object;
  readonly name: string;
  readonly inbound_nodes: unknown;
};
const described = JSON.parse(small.config!) as { readonly config: { readonly layers: readonly Layer[] } };
const isHead = ({ name }: { readonly name: string }) =>
  ["global_average_pooling2d", "dropout", "predictions"].includes(name);
const trained = small.layers.map(({ name, weights }) => ({ name, tensors: weights.map(({ tensor }) => tensor!) }));
const parts = ["kernel", "bias"];
const weightNames: Readonly<Record<string, readonly string[]>> = {
  sep1: ["depthwise_kernel", "pointwise_kernel"],
  sep2: ["depthwise_kernel", "pointwise_kernel", "bias"],
};

function namesOf(layer: string): readonly string[] {
  if (layer.endsWith("_bn")) return ["gamma", "beta", "moving_mean", "moving_variance"];
  return weightNames[layer] ?? parts;
}

/** A call on the output of another layer, as Keras 3 and as Keras 2 wrote it down. */
function reading(name: string, version: 2 | 3, use = 0, training?: boolean): unknown {
  if (version === 2) return [[[name, use, 0, training === undefined ? {} : { training }]]];
  const tensor = { class_name: "__keras_tensor__", config: { shape: [null], keras_history: [name, use, 0] } };
  return [{ args: [tensor], kwargs: training === undefined ? {} : { training } }];
}

function nested(version: 2 | 3, rescaling: object = { scale: 1 / 255, offset: -0.5 }): string {
  const layer = (class_name: string, name: string, config: object, inbound_nodes: unknown) => {
    return { class_name, name, config: { name, ...config }, inbound_nodes };
  };
  const image = { batch_shape: [null, 40, 36, 3] };
  const flips = { layers: [layer("InputLayer", "there", image, []), layer("RandomFlip", "flip", {}, [])] };
  const base = {
    layers: described.config.layers.filter((each) => !isHead(each)),
    input_layers: [["image", 0, 0]],
    output_layers: [["add", 0, 0]],
  };
  const [pooling, ...head] = described.config.layers.filter(isHead);
  const layers = [
    layer("InputLayer", "pixels", image, []),
    layer("Sequential", "augmentation", flips, reading("pixels", version)),
    layer("Rescaling", "rescaling", rescaling, reading("augmentation", version, version === 2 ? 1 : 0)),
    layer("Functional", "base", base, reading("rescaling", version, 0, false)),
    { ...pooling!, inbound_nodes: reading("base", version, 1) },
    ...head,
  ];
  const outer = { name: "outer", layers, input_layers: ["pixels", 0, 0], output_layers: ["predictions", 0, 0] };
  return JSON.stringify({ class_name: "Functional", config: outer });
}

/** `.keras`: the layers of the base are in a group of their own, by class and number, with their names or without. */
async function archive({ named }: { readonly named: boolean }): Promise<Uint8Array> {
  const aliases = new Map(small.layers.map(({ name, alias }) => [name, alias!]));
  const weights = await writeHdf5((file) => {
    for (const { name, tensors } of trained) {
      const place = isHead({ name }) ? "layers" : "layers/functional/layers";
      const variables = file.group(`${place}/${aliases.get(name)!}/vars`);
      if (named) variables.text("name", name);
      for (const [index, tensor] of tensors.entries()) variables.tensor(String(index), tensor);
    }
  });
  const text = (value: string) => new TextEncoder().encode(value);
  return zipSync({ "metadata.json": text("{}"), "config.json": text(nested(3)), "model.weights.h5": weights });
}

/** `.h5` of Keras 2: the base is one layer, all that it trains before its moving statistics. */
function legacy(): Promise<Uint8Array> {
  return writeHdf5((file) => {
    file.text("model_config", nested(2));
    const group = file.group("model_weights");
    group.text("layer_names", ["pixels", "augmentation", "rescaling", "base", "predictions"]);
    for (const empty of ["pixels", "augmentation", "rescaling"]) group.group(empty).text("weight_names", []);
    for (const own of ["base", "predictions"]) {
      const weights = trained
        .filter((layer) => isHead(layer) === (own === "predictions"))
        .flatMap(({ name, tensors }) =>
          tensors.map((tensor, index) => [`${name}/${namesOf(name)[index]}:0`, tensor] as const),
        );
      const isMoving = ([path]: readonly [string, ...unknown[]]) => path.includes("/moving_");
      const ordered = [...weights.filter((each) => !isMoving(each)), ...weights.filter(isMoving)];
      group.group(own).text(
        "weight_names",
        ordered.map(([path]) => path),
      );
      for (const [path, tensor] of ordered) group.group(own).tensor(path, tensor);
    }
  });
}

async function answers({ network, weights }: OpenedModel): Promise<number[]> {
  const { graph } = lower(network, { mode: "inference", batchSize: 2 });
  const session = await nodePlatform.engine.createSession(
    toOnnx(graph, { weights: toEngineWeights(network, weights) }),
  );
  const { data } = (await session.run({ images: syntheticImages(2, [40, 36, 3]) }))[network.output] as FloatTensor;
  await session.dispose();
  return [...data];
}

test.each([
  [".keras", () => archive({ named: true }), "name"],
  [".keras of the first versions, without names", () => archive({ named: false }), "class"],
  [".h5 of Keras 2", legacy, "name"],
] as const)("a model within a model gives the answers of Keras: %s", async (_, bytes, by) => {
  const opened = await openModel(await bytes(), nodePlatform);
  expect(opened.report).toEqual({ by, taken: 25, initialized: [], missing: [], unexpected: [], wrongShape: [] });
  const actual = await answers(opened);
  const expected = probabilities.flat();
  expect(actual.length).toBe(expected.length);
  expect(Math.max(...actual.map((value, index) => Math.abs(value - expected[index]!)))).toBeLessThan(1e-4);
  expect(opened.preprocessing).toMatchObject({ scale: 1 / 255, offset: -0.5 });
  expect(opened.notes).toEqual([
    `Its rescaling of pixels, pixel · ${1 / 255} + -0.5, is part of the preprocessing here, not a layer.`,
  ]);
});

test("its layers are those of the model in one piece, without what only training needs", () => {
  const { network } = networkFromKeras(nested(3), "f.keras");
  const names = described.config.layers.map(({ name }) => (name === "image" ? "pixels" : name));
  expect(network.layers.map(({ name }) => name)).toEqual(names);
});

test("weights of the file's own network may be missing on purpose", async () => {
  const all = await archive({ named: true });
  const files = unzipSync(all);
  const headless = await writeHdf5((file) => {
    for (const { name, tensors } of trained.filter((layer) => !isHead(layer))) {
      const variables = file.group(`layers/${name}/vars`);
      variables.text("name", name);
      for (const [index, tensor] of tensors.entries()) variables.tensor(String(index), tensor);
    }
  });
  const source = (bytes: Uint8Array) => weightsSource(bytes, nodePlatform);
  const without = zipSync({ ...files, "model.weights.h5": headless });
  await expect(async () => openAs(await source(without))).rejects.toThrow(
    "they are not the weights of this network; missing: predictions/kernel, predictions/bias.",
  );
  const { network, report } = await openAs(await source(without), { allowMissing: "predictions/*" });
  expect(network.output).toBe("predictions");
  expect(report).toEqual({
    by: "name",
    taken: 23,
    initialized: ["predictions/kernel", "predictions/bias"],
    missing: ["predictions/kernel", "predictions/bias"],
    unexpected: [],
    wrongShape: [],
  });
  await expect(async () => openAs(await source(all), { allowMissing: "predictions/*" })).rejects.toThrow(
    "the file's own network has all its weights",
  );
});

test("a sequential model may begin with a model, which knows the shape of images", () => {
  const inner = {
    name: "base",
    layers: [{ class_name: "InputLayer", config: { name: "i", batch_shape: [null, 4, 5, 3] } }],
  };
  const layers = [
    { class_name: "Sequential", config: inner },
    { class_name: "GlobalAveragePooling2D", config: { name: "p" } },
  ];
  const model = JSON.stringify({ class_name: "Sequential", config: { name: "s", layers } });
  const { network } = networkFromKeras(model, "f.keras");
  expect(network.layers.map(({ name, outputShape }) => [name, outputShape])).toEqual([
    ["base_input", [4, 5, 3]],
    ["p", [3]],
  ]);
});

test.each([
  [{ scale: [1, 2, 3] }, 'f.keras, Rescaling "rescaling", field "scale": unsupported value; received [1, 2, 3]'],
  [{}, 'f.keras, Rescaling "rescaling", field "scale": missing field; expected a number.'],
])("a Rescaling by %o is refused", (rescaling, message) => {
  expect(() => networkFromKeras(nested(3, rescaling), "f.keras")).toThrow(message);
});

test("a Rescaling elsewhere than behind the input, or beside layers that read pixels as they are, is refused", () => {
  const model = (...layers: object[]) => {
    const config = { name: "f", layers, input_layers: ["i", 0, 0], output_layers: ["end", 0, 0] };
    return () => networkFromKeras(JSON.stringify({ class_name: "Functional", config }), "f.keras");
  };
  const first = { class_name: "InputLayer", config: { name: "i", batch_shape: [null, 4, 5, 3] }, inbound_nodes: [] };
  const rescaling = (inbound: string) => {
    return { class_name: "Rescaling", config: { name: "r", scale: 2 }, inbound_nodes: reading(inbound, 2) };
  };
  const late = model(
    first,
    { class_name: "ReLU", config: { name: "end" }, inbound_nodes: reading("i", 2) },
    rescaling("end"),
  );
  expect(late).toThrow(FormatError);
  expect(late).toThrow(
    'f.keras, Rescaling "r": it is not the first layer; expected one Rescaling directly after the input.',
  );
  const sum = {
    class_name: "Add",
    config: { name: "end" },
    inbound_nodes: [["i", "r"].map((name) => [name, 0, 0, {}])],
  };
  expect(model(first, rescaling("i"), sum)).toThrow('f.keras: Add "end": its inputs belong to different networks');
});

describe("arithmetic behind the input, as preprocess_input of keras.applications leaves it in a model", () => {
  const input = { class_name: "InputLayer", config: { name: "i", batch_shape: [null, 4, 5, 3] }, inbound_nodes: [] };
  const read = (...layers: readonly object[]) => {
    const end = (layers.at(-1) as { config: { name: string } }).config.name;
    const config = { name: "f", layers: [input, ...layers], input_layers: ["i", 0, 0], output_layers: [end, 0, 0] };
    return networkFromKeras(JSON.stringify({ class_name: "Functional", config }), "f.keras");
  };
  const tensor = (from: string) => ({ class_name: "__keras_tensor__", config: { keras_history: [from, 0, 0] } });
  const operation = (class_name: string, from: string, value: unknown, kwargs = {}) => {
    const name = class_name.toLowerCase();
    return { class_name, config: { name }, name, inbound_nodes: [{ args: [tensor(from), value], kwargs }] };
  };
  const lambda = (name: string, from: string, options: object) => {
    const config = { name: `tf.${name}`, trainable: true, dtype: "float32", function: name };
    return { class_name: "TFOpLambda", config, name: config.name, inbound_nodes: [[from, 0, 0, options]] };
  };
  const relu = (from: string) => ({ class_name: "ReLU", config: { name: "end" }, inbound_nodes: reading(from, 2) });

  test("of Keras 3 and of Keras 2 becomes a part of the preprocessing", () => {
    for (const layers of [
      [operation("TrueDivide", "i", 127.5), operation("Subtract", "truedivide", 1), relu("subtract")],
      [
        lambda("math.truediv", "i", { y: 127.5, name: null }),
        lambda("math.subtract", "tf.math.truediv", { y: 1, name: null }),
        relu("tf.math.subtract"),
      ],
    ]) {
      const { network, rescaling } = read(...layers);
      expect(network.layers.map(({ config }) => config.type)).toEqual(["InputLayer", "ReLU"]);
      expect(rescaling).toEqual({ scale: 1 / 127.5, offset: -1 });
    }
  });

  test("is taken in its order, also with a Rescaling", () => {
    const rescaling = { class_name: "Rescaling", config: { name: "r", scale: 0.5, offset: 3 } };
    const layers = [
      operation("Add", "i", 2),
      operation("Multiply", "add", 4),
      { ...rescaling, inbound_nodes: reading("multiply", 3) },
      relu("r"),
    ];
    // ((pixel + 2) · 4) / 2 + 3
    expect(read(...layers).rescaling).toEqual({ scale: 2, offset: 7 });
  });

  test("is refused elsewhere, of two layers, and by zero", () => {
    const messages = [
      [relu("i"), operation("Subtract", "end", 1)],
      [operation("TrueDivide", "i", 127.5), { ...relu("i") }, operation("Add", "end", tensor("truedivide"))],
      [operation("Multiply", "i", tensor("i"))],
      [operation("TrueDivide", "i", 0)],
      [lambda("math.reduce_mean", "i", { axis: 1 })],
      [lambda("math.add", "i", { y: ["i", 0, 0], name: null })],
      [operation("Subtract", "i", 1, { out: 2 })],
    ].map((layers) => {
      try {
        return read(...layers).network.name;
      } catch (error) {
        return (error as FormatError).message.replace(/one of .*, or arithmetic/, "one of …, or arithmetic");
      }
    });
    expect(messages).toMatchInlineSnapshot(`
      [
        "f.keras, Subtract "subtract": it is not the first layer; expected one Rescaling directly after the input.",
        "f.keras: Add "add": its inputs belong to different networks; received ["end", "i"]. Start all its inputs from one call of input().",
        "f.keras, Multiply "multiply": unsupported layer; received "Multiply"; expected one of …, or arithmetic with one number.",
        "f.keras, TrueDivide "truedivide": unsupported layer; received "TrueDivide"; expected one of …, or arithmetic with one number.",
        "f.keras, TFOpLambda "tf.math.reduce_mean": unsupported layer; received "TFOpLambda"; expected one of …, or arithmetic with one number.",
        "f.keras, TFOpLambda "tf.math.add": unsupported layer; received "TFOpLambda"; expected one of …, or arithmetic with one number.",
        "f.keras, Subtract "subtract": it is called with the argument "out"; received 2; expected the layer without arguments.",
      ]
    `);
  });
});

test("a model within itself a thousand times is refused", () => {
  let config: object = {
    name: "m",
    layers: [{ class_name: "InputLayer", config: { name: "i", batch_shape: [null, 4, 4, 3] } }],
  };
  for (let depth = 0; depth < 50; depth++) config = { name: "m", layers: [{ class_name: "Sequential", config }] };
  const copies = Array.from({ length: 50 }, () => ({ class_name: "Sequential", config }));
  const model = JSON.stringify({ class_name: "Sequential", config: { name: "s", layers: copies } });
  expect(() => networkFromKeras(model, "f.keras")).toThrow(
    "f.keras: too many layers; received 2600; expected at most 2000.",
  );
});
