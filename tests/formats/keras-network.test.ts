import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { layerRules } from "../../src/formats/keras/layer-rules.ts";
import { networkFromKeras } from "../../src/formats/keras/network.ts";
import { activationNames } from "../../src/graph/layers.ts";

const where = "f.h5";
const image = { class_name: "InputLayer", config: { name: "image", batch_shape: [null, 8, 8, 3] } };
const conv = { name: "conv", filters: 4, kernel_size: [3, 3] };

function sequential(...layers: object[]): string {
  return JSON.stringify({ class_name: "Sequential", config: { name: "s", layers } });
}

function withLayer(className: string, config: object): () => unknown {
  return () => networkFromKeras(sequential(image, { class_name: className, config }), where);
}

test("an activation inside a convolution becomes a layer of its own", () => {
  const { network } = networkFromKeras(
    sequential(
      { class_name: "Conv2D", config: { ...conv, activation: "relu", batch_input_shape: [null, 8, 8, 3] } },
      { class_name: "BatchNormalization", config: { name: "conv_activation", scale: false } },
    ),
    where,
  );
  expect(network.layers.map(({ name, config }) => `${name}: ${config.type}`)).toEqual([
    "conv_input: InputLayer",
    "conv: Conv2D",
    "conv_activation_1: Activation",
    "conv_activation: BatchNormalization",
  ]);
  expect(network.layers.at(-1)!.outputShape).toEqual([6, 6, 4]);
});

test("a batch normalization without scale and center has neither gamma nor beta", () => {
  const bn = { class_name: "BatchNormalization", config: { name: "bn", scale: false, center: false, axis: [3] } };
  const { network } = networkFromKeras(sequential(image, bn), where);
  expect(network.layers[1]!.weights.map(({ name }) => name)).toEqual(["bn/moving_mean", "bn/moving_variance"]);
});

test.each([
  ["AveragePooling2D", { name: "a", pool_size: [3, 2] }, { poolSize: [3, 2], strides: [3, 2], padding: "valid" }],
  [
    "AvgPool2D",
    { name: "a", strides: [1, 1], padding: "same" },
    { poolSize: [2, 2], strides: [1, 1], padding: "same" },
  ],
  ["Flatten", { name: "f", data_format: "channels_last" }, { type: "Flatten" }],
  ["LeakyReLU", { name: "l", negative_slope: 0.2 }, { negativeSlope: 0.2 }],
  ["LeakyReLU", { name: "l", alpha: 0.1 }, { negativeSlope: 0.1 }],
  ["LeakyReLU", { name: "l" }, { negativeSlope: 0.3 }],
])("%s %j is read", (className, config, expected) => {
  const { network } = networkFromKeras(sequential(image, { class_name: className, config }), where);
  expect(network.layers[1]!.config).toMatchObject(expected);
});

describe("a Concatenate", () => {
  const entry = (class_name: string, config: object, inbound_nodes: unknown) => ({ class_name, config, inbound_nodes });
  const functional = (join: object) => {
    const layers = [{ ...image, inbound_nodes: [] }, entry("ReLU", { name: "r" }, [[["image", 0, 0, {}]]]), join];
    const ends = { input_layers: [["image", 0, 0]], output_layers: [["join", 0, 0]] };
    return JSON.stringify({ class_name: "Functional", config: { layers, ...ends } });
  };
  const sources = [
    [
      ["image", 0, 0, {}],
      ["r", 0, 0, {}],
    ],
  ];

  test.each([
    ["the channels", { axis: -1 }, 3, [8, 8, 6]],
    ["the channels by their number", { axis: 3 }, 3, [8, 8, 6]],
    ["the channels, by default", {}, 3, [8, 8, 6]],
    ["the rows", { axis: 1 }, 1, [16, 8, 3]],
    ["the columns", { axis: -2 }, 2, [8, 16, 3]],
  ])("along %s", (_, config, axis, shape) => {
    const model = functional(entry("Concatenate", { name: "join", ...config }, sources));
    const { network } = networkFromKeras(model, where);
    expect(network.layers.at(-1)).toMatchObject({ config: { axis }, inbound: ["image", "r"], outputShape: shape });
    const old = functional(entry("Merge", { name: "join", mode: "concat", concat_axis: axis }, sources));
    expect(networkFromKeras(old, where).network).toEqual(network);
  });

  test.each([
    [{ axis: 0 }, "axis 0 of 8×8×3 and 8×8×3"],
    [{ axis: 4 }, "axis 4 of"],
    [{ axis: 1.5 }, "axis 1.5 of"],
  ])("along no axis of theirs is refused: %j", (config, received) => {
    const model = functional(entry("Concatenate", { name: "join", ...config }, sources));
    expect(() => networkFromKeras(model, where)).toThrow(FormatError);
    expect(() => networkFromKeras(model, where)).toThrow(received);
  });
});

describe("a ZeroPadding2D", () => {
  const around = (padding: unknown) => ({ class_name: "ZeroPadding2D", config: { name: "pad", padding } });
  const reader = { class_name: "DepthwiseConv2D", config: { name: "reader", kernel_size: 3, strides: 2 } };

  test.each([
    [1, [1, 1]],
    [
      [2, 0],
      [2, 0],
    ],
    [
      [
        [0, 0],
        [2, 2],
      ],
      [0, 2],
    ],
  ])("with %j is the padding of the convolution behind it", (padding, expected) => {
    const { network } = networkFromKeras(sequential(image, around(padding), reader), where);
    expect(network.layers.map(({ name }) => name)).toEqual(["image", "reader"]);
    expect(network.layers[1]!.config).toMatchObject({ padding: expected, strides: [2, 2] });
  });

  test("may stand in front of a model, and be read by several layers", () => {
    const inner = { class_name: "Sequential", config: { name: "inner", layers: [image, reader] } };
    const { network } = networkFromKeras(sequential(image, around(1), inner), where);
    expect(network.layers[1]).toMatchObject({ name: "reader", config: { padding: [1, 1] }, outputShape: [4, 4, 3] });
  });

  const uneven = [
    [0, 1],
    [0, 1],
  ];

  test.each([
    ["uneven, as before MobileNet's strided convolutions", [around(uneven), reader], [9, 9, 3], [4, 4, 3]],
    ["before a pooling", [around(1), { class_name: "MaxPooling2D", config: { name: "p" } }], [10, 10, 3], [5, 5, 3]],
    [
      "before a convolution that pads by itself",
      [around(1), { class_name: "Conv2D", config: { ...conv, padding: "same" } }],
      [10, 10, 3],
      [10, 10, 4],
    ],
    ["of a whole window", [around(3), { class_name: "Conv2D", config: conv }], [14, 14, 3], [12, 12, 4]],
    ["at the end", [around([1, 2])], [10, 12, 3], [10, 12, 3]],
  ])("stays a layer: %s", (_, layers, padded, last) => {
    const { network } = networkFromKeras(sequential(image, ...layers), where);
    expect(network.layers[1]).toMatchObject({ name: "pad", config: { type: "ZeroPadding2D" }, outputShape: padded });
    expect(network.layers.at(-1)!.outputShape).toEqual(last);
  });

  test.each([-1, [1], [[1, 2], 3.5], "same"])("of %j is refused", (padding) => {
    expect(() => networkFromKeras(sequential(image, around(padding)), where)).toThrow(
      `f.h5, ZeroPadding2D "pad", field "padding": unsupported value; received ${JSON.stringify(padding).replaceAll(",", ", ")}; ` +
        "expected one number, two, or two pairs: rows and columns of zeros on each side.",
    );
  });
});

test("the words of Keras 1 are understood", () => {
  const layers = (x: object, y: object) => sequential(image, x, y);
  const window = { nb_row: 3, nb_col: 2, subsample: [2, 1], border_mode: "same", dim_ordering: "tf", bias: false };
  const old = layers(
    { class_name: "Convolution2D", config: { name: "c", nb_filter: 4, ...window } },
    { class_name: "SeparableConvolution2D", config: { name: "s", nb_filter: 5, ...window, depth_multiplier: 1 } },
  );
  const today = { kernel_size: [3, 2], strides: [2, 1], padding: "same", use_bias: false };
  const recent = layers(
    { class_name: "Conv2D", config: { name: "c", filters: 4, ...today } },
    { class_name: "SeparableConv2D", config: { name: "s", filters: 5, ...today } },
  );
  expect(networkFromKeras(old, where)).toEqual(networkFromKeras(recent, where));
  const channelsFirst = { name: "c", nb_filter: 4, ...window, dim_ordering: "th" };
  expect(withLayer("Convolution2D", channelsFirst)).toThrow('unsupported value; received "channels_first"');
});

test("an open size of images is taken from the caller", () => {
  const open = { class_name: "InputLayer", config: { name: "image", batch_shape: [null, null, null, 3] } };
  const config = sequential(open, { class_name: "Conv2D", config: conv });
  expect(networkFromKeras(config, where, [9, 8, 3]).network.layers.at(-1)!.outputShape).toEqual([7, 6, 4]);
  expect(() => networkFromKeras(config, where)).toThrow(
    'f.h5, InputLayer "image": unknown input shape; received [null, null, 3]; expected [height, width, channels]. Give the input shape.',
  );
  expect(() => networkFromKeras(config, where, [9, 8, 1])).toThrow(
    'f.h5, InputLayer "image": the network has another input shape; received [9, 8, 1]; expected [9, 8, 3].',
  );
});

describe("what we cannot do is refused by its name", () => {
  test.each([
    [
      "LSTM",
      { name: "l" },
      `f.h5, LSTM "l": unsupported layer; received "LSTM"; expected one of ${Object.keys(layerRules).join(", ")}, or arithmetic with one number.`,
    ],
    ["constructor", { name: "c" }, 'unsupported layer; received "constructor"'],
    [
      "Conv2D",
      { ...conv, dilation_rate: [2, 2] },
      'f.h5, Conv2D "conv", field "dilation_rate": unsupported value; received [2, 2]; expected [1,1] or 1.',
    ],
    ["Conv2D", { ...conv, groups: 2 }, 'f.h5: Conv2D "conv": the channels cannot be divided into these groups'],
    [
      "Conv2D",
      { ...conv, data_format: "channels_first" },
      'field "data_format": unsupported value; received "channels_first"; expected "channels_last".',
    ],
    [
      "Conv2D",
      { ...conv, activation: "gelu" },
      `field "activation": unsupported value; received "gelu"; expected one of ${activationNames.join(", ")}.`,
    ],
    [
      "Conv2D",
      { ...conv, activation: "softmax" },
      'field "activation": softmax of feature maps is not supported; received [6, 6, 4]; expected one axis of features.',
    ],
    [
      "Conv2D",
      { ...conv, padding: "causal" },
      'field "padding": unsupported value; received "causal"; expected "valid" or "same".',
    ],
    [
      "Conv2D",
      { ...conv, kernel_size: [3] },
      'field "kernel_size": unsupported value; received [3]; expected one or two positive integers.',
    ],
    ["Conv2D", { name: "conv", kernel_size: 3 }, 'field "filters": missing field; expected a positive integer.'],
    ["Conv2D", { ...conv, use_bias: 1 }, 'field "use_bias": unsupported value; received 1; expected true or false.'],
    [
      "SeparableConv2D",
      { ...conv, depth_multiplier: 2 },
      'field "depth_multiplier": unsupported value; received 2; expected 1.',
    ],
    [
      "BatchNormalization",
      { name: "bn", axis: 1 },
      'field "axis": unsupported value; received 1; expected -1 or 3 or [-1] or [3].',
    ],
    [
      "BatchNormalization",
      { name: "bn", epsilon: "x" },
      'field "epsilon": unsupported value; received "x"; expected a number.',
    ],
    ["Conv2D", { ...conv, kernel_size: 9 }, 'f.h5: Conv2D "conv": the window is larger than its input'],
  ])("%s %o", (className, config, message) => {
    expect(withLayer(className, config)).toThrow(FormatError);
    expect(withLayer(className, config)).toThrow(message);
  });

  test.each([
    ["no JSON", "{", "f.h5, character 1: the description of the network is not JSON."],
    ["no object", "7", "f.h5: the description of the network is not an object."],
    [
      "a class of one's own",
      '{"class_name":"MyModel","config":{}}',
      'f.h5: the model is not described by its layers; received "MyModel"; expected a Functional or Sequential model.',
    ],
    ["nothing", sequential(), "f.h5: the model has no layers."],
    [
      "a layer without config",
      sequential({ class_name: "Add" }),
      'f.h5: a layer has no class or no config; received {"class_name":"Add"}.',
    ],
    ["a layer without name", sequential({ class_name: "Add", config: {} }), "f.h5: a layer of class Add has no name."],
    [
      "too many layers",
      sequential(...Array.from({ length: 2001 }, () => image)),
      "f.h5: too many layers; received 2001; expected at most 2000.",
    ],
  ])("%s", (_, config, message) => {
    expect(() => networkFromKeras(config, where)).toThrow(message);
  });

  test.each([
    ["a layer not before it", [[["later", 0, 0, {}]]], 'f.h5, ReLU "r": its input "later" is not an earlier layer.'],
    [
      "two uses",
      [[["image", 0, 0, {}]], [["image", 0, 0, {}]]],
      'f.h5, ReLU "r": shared layers are not supported; received 2; expected one call.',
    ],
    [
      "training for ever",
      [{ args: [], kwargs: { training: true } }],
      'f.h5, ReLU "r": it is called with the argument "training"; received true; expected the layer without arguments.',
    ],
    [
      "a constant",
      [{ args: [3], kwargs: {} }],
      'f.h5, ReLU "r": an argument of its call is not the output of a layer; received 3.',
    ],
    [
      "another output",
      [[["image", 0, 1, {}]]],
      'f.h5, ReLU "r": unknown form of inputs; received ["image", 0, 1, {}]; expected [name, 0, 0].',
    ],
    ["nothing", undefined, 'f.h5, ReLU "r": its inputs are missing.'],
    ["a text", ["image"], 'f.h5, ReLU "r": unknown form of inputs; received "image".'],
    [
      "two inputs",
      [
        [
          ["image", 0, 0, {}],
          ["image", 0, 0, {}],
        ],
      ],
      'f.h5, ReLU "r": wrong number of inputs; received 2; expected 1.',
    ],
  ])("a functional model that reads %s", (_, inbound, message) => {
    const layers = [
      { ...image, inbound_nodes: [] },
      { class_name: "ReLU", config: { name: "r" }, inbound_nodes: inbound },
    ];
    const model = {
      class_name: "Functional",
      config: { layers, input_layers: [["image", 0, 0]], output_layers: ["r", 0, 0] },
    };
    expect(() => networkFromKeras(JSON.stringify(model), where)).toThrow(message);
  });

  test("a functional model of two outputs", () => {
    const outputs = [
      ["a", 0, 0],
      ["b", 0, 0],
    ];
    const model = {
      class_name: "Functional",
      config: { layers: [], input_layers: [["image", 0, 0]], output_layers: outputs },
    };
    expect(() => networkFromKeras(JSON.stringify(model), where)).toThrow(
      'f.h5, field "output_layers": only networks with one input and one output are supported; received [["a", 0, 0], ["b", 0, 0]]; expected one layer.',
    );
  });
});
