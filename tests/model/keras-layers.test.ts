import { zipSync } from "fflate";
import { expect, test } from "vitest";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { writeHdf5 } from "../../src/formats/keras/hdf5.ts";
import { writeKerasArchive, writeLegacyModel } from "../../src/formats/keras/writer.ts";
import { writeTfjsModel } from "../../src/formats/tfjs/writer.ts";
import { countParameters, networkWeights } from "../../src/graph/network.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { openModel } from "../../src/model/open-weights.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor/tensor.ts";

// One model with every kind of layer beyond Xception's, in files as Keras 2, Keras 3 and TensorFlow.js write them, and its
// answer worked out by hand:
//   image            1 2 | 3 4
//   pad              1 2 0 | 3 4 0 | 0 0 0
//   conv, of ones    10 6 | 7 4
//   bn               (x − 7)/2 + 0.5 = 2 0 | 0.5 -1
//   leaky, slope 0.5 2 0 | 0.5 -0.5
//   average, same    0.5 -0.25 | 0 -0.5
//   joined, flat     2 0.5, 0 -0.25, 0.5 0, -0.5 -0.5
//   dense            the sum + 0.25, and the sum of each times its place + 1
const expected = [2, -3.75];

const tensor = (shape: readonly number[], ...values: number[]) => floatTensor(shape, Float32Array.from(values));
const weights: readonly (readonly [layer: string, variables: readonly (readonly [string, FloatTensor])[]])[] = [
  ["conv", [["kernel", tensor([2, 2, 1, 1], 1, 1, 1, 1)]]],
  [
    "bn",
    [
      ["beta", tensor([1], 0.5)],
      ["moving_mean", tensor([1], 7)],
      ["moving_variance", tensor([1], 3)],
    ],
  ],
  [
    "dense",
    [
      ["kernel", tensor([8, 2], 1, 0, 1, 1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1, 7)],
      ["bias", tensor([2], 0.25, 1)],
    ],
  ],
];

const window = { padding: "valid", data_format: "channels_last" };
const margins = [
  [0, 1],
  [0, 1],
];

/** Class, fields and inputs of each layer; what differs between the versions is given in pairs. */
function layers(version: 2 | 3) {
  const of = <T>(two: T, three: T): T => (version === 2 ? two : three);
  const initializer = (class_name: string) =>
    of<object>(
      { class_name, config: {} },
      { module: "keras.initializers", class_name, config: {}, registered_name: null },
    );
  const normalized = {
    axis: of<unknown>([3], -1),
    momentum: 0.99,
    epsilon: 1,
    center: true,
    scale: false,
    beta_initializer: initializer("Zeros"),
    gamma_initializer: initializer("Ones"),
  };
  return [
    ["InputLayer", "image", { [of("batch_input_shape", "batch_shape")]: [null, 2, 2, 1], sparse: false }, []],
    ["ZeroPadding2D", "pad", { padding: margins, data_format: "channels_last" }, ["image"]],
    ["Conv2D", "conv", { filters: 1, kernel_size: [2, 2], strides: [1, 1], ...window, use_bias: false }, ["pad"]],
    ["BatchNormalization", "bn", normalized, ["conv"]],
    ["LeakyReLU", "leaky", { [of("alpha", "negative_slope")]: 0.5 }, ["bn"]],
    ["AveragePooling2D", "average", { pool_size: [2, 2], ...window, padding: "same", strides: [1, 1] }, ["leaky"]],
    ["Concatenate", "joined", { axis: -1 }, ["leaky", "average"]],
    ["Flatten", "flat", { data_format: "channels_last" }, ["joined"]],
    ["Dense", "dense", { units: 2, activation: "linear", use_bias: true }, ["flat"]],
  ] as const;
}

function described(version: 2 | 3): object {
  const node = (type: string, inputs: readonly string[]): unknown[] => {
    if (inputs.length === 0) return [];
    if (version === 2) return [inputs.map((name) => [name, 0, 0, {}])];
    const tensors = inputs.map((name) => {
      return { class_name: "__keras_tensor__", config: { shape: [null], keras_history: [name, 0, 0] } };
    });
    return [{ args: type === "Concatenate" ? [tensors] : tensors, kwargs: {} }];
  };
  const entries = layers(version).map(([class_name, name, fields, inputs]) => ({
    ...(version === 3 && { module: "keras.layers", registered_name: null }),
    class_name,
    config: { name, trainable: true, dtype: "float32", ...fields },
    name,
    inbound_nodes: node(class_name, inputs),
  }));
  const ends = { input_layers: [["image", 0, 0]], output_layers: [["dense", 0, 0]] };
  return { class_name: "Functional", config: { name: "every_layer", trainable: true, layers: entries, ...ends } };
}

/** `model.save("….h5")` of Keras 2. */
function h5(): Promise<Uint8Array> {
  return writeHdf5((file) => {
    file.text("backend", "tensorflow");
    file.text("keras_version", "2.15.0");
    file.text("model_config", JSON.stringify(described(2)));
    const group = file.group("model_weights");
    const names = layers(2).map(([, name]) => name);
    group.text("layer_names", names);
    for (const name of names) {
      const variables = weights.find(([layer]) => layer === name)?.[1] ?? [];
      const own = group.group(name);
      own.text(
        "weight_names",
        variables.map(([variable]) => `${name}/${variable}:0`),
      );
      for (const [variable, value] of variables) own.tensor(`${name}/${variable}:0`, value);
    }
  });
}

/** `model.save("….keras")` of Keras 3. */
async function archive(): Promise<Uint8Array> {
  const classes = new Map([
    ["conv", "conv2d"],
    ["bn", "batch_normalization"],
    ["dense", "dense"],
  ]);
  const values = await writeHdf5((file) => {
    for (const [layer, variables] of weights) {
      const group = file.group(`layers/${classes.get(layer)}/vars`);
      group.text("name", layer);
      for (const [index, [, value]] of variables.entries()) group.tensor(String(index), value);
    }
  });
  const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  return zipSync({
    "metadata.json": json({ keras_version: "3.12.0" }),
    "config.json": json(described(3)),
    "model.weights.h5": values,
  });
}

/** `model.json` and its only shard, of the TensorFlow.js converter. */
function tfjs() {
  const specs = weights.flatMap(([layer, variables]) =>
    variables.map(([name, { shape }]) => ({ name: `${layer}/${name}`, shape, dtype: "float32" })),
  );
  const numbers = weights.flatMap(([, variables]) => variables.flatMap(([, { data }]) => [...data]));
  const topology = { keras_version: "2.15.0", backend: "tensorflow", model_config: described(2) };
  const manifest = [{ paths: ["group1-shard1of1.bin"], weights: specs }];
  const model = { format: "layers-model", modelTopology: topology, weightsManifest: manifest };
  const shard = new Uint8Array(Float32Array.from(numbers).buffer);
  return {
    bytes: new TextEncoder().encode(JSON.stringify(model)),
    beside: new Map([["group1-shard1of1.bin", shard]]),
  };
}

type Files = { readonly bytes: Uint8Array; readonly beside: ReadonlyMap<string, Uint8Array> };

async function answerOf({ bytes, beside }: Files) {
  const inFolder = { files: { ...nodePlatform.files, read: async (path: string) => beside.get(path) ?? bytes } };
  const opened = await openModel("model.json", inFolder);
  const { network, weights } = opened;
  const { graph } = lower(network, { mode: "inference", batchSize: 1 });
  const onnx = toOnnx(graph, { weights: toEngineWeights(network, weights) });
  const session = await createSession(onnx, { threads: 1 });
  const { dense } = await session.run({ images: tensor([1, 2, 2, 1], 1, 2, 3, 4) });
  await session.dispose();
  return { answer: [...(dense as FloatTensor).data], opened };
}

const alone = (bytes: Uint8Array): Files => ({ bytes, beside: new Map() });

test.each([
  ["Keras 2's .h5", async () => alone(await h5())],
  ["Keras 3's .keras", async () => alone(await archive())],
  ["TensorFlow.js's model.json", async () => tfjs()],
])("every kind of layer computes what it should, read from %s and written again", async (_, files) => {
  const { answer, opened } = await answerOf(await files());
  expect(answer).toEqual(expected);
  expect(opened.network.layers.map(({ config }) => config.type)).toEqual(layers(2).map(([type]) => type));
  expect(countParameters(networkWeights(opened.network))).toEqual({ total: 25, trainable: 23, nonTrainable: 2 });
  for (const again of [
    alone(await writeLegacyModel(opened)),
    alone(await writeKerasArchive(opened, new Date(0))),
    writeTfjsModel(opened),
  ]) {
    const second = await answerOf(again);
    expect(second.answer).toEqual(expected);
    expect(second.opened.network).toEqual(opened.network);
  }
});
