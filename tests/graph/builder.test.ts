import { describe, expect, it } from "vitest";
import * as build from "../../src/graph/builder.ts";

const image = () => build.input([9, 8, 3]);

describe("the name of a layer", () => {
  it("is the author's, or Keras's automatic one", () => {
    let x = image();
    expect(x.name).toBe("input_layer");
    x = build.conv2d(x, { filters: 4, kernelSize: 3 });
    expect(x.name).toBe("conv2d");
    x = build.conv2d(x, { filters: 4, kernelSize: 3, name: "stem" });
    expect(x.name).toBe("stem");
    x = build.conv2d(x, { filters: 4, kernelSize: 3 });
    expect(x.name).toBe("conv2d_1");
    expect(build.separableConv2d(x, { filters: 4, kernelSize: 1 }).name).toBe("separable_conv2d");
    expect(build.depthwiseConv2d(x, { kernelSize: 1 }).name).toBe("depthwise_conv2d");
    expect(build.batchNormalization(x).name).toBe("batch_normalization");
    expect(build.activation(x, "relu").name).toBe("activation");
    expect(build.relu(x).name).toBe("re_lu");
    expect(build.maxPooling2d(x, { kernelSize: 2 }).name).toBe("max_pooling2d");
    expect(build.leakyRelu(x).name).toBe("leaky_re_lu");
    expect(build.averagePooling2d(x, { kernelSize: 2 }).name).toBe("average_pooling2d");
    expect(build.zeroPadding2d(x, 1).name).toBe("zero_padding2d");
    expect(build.concatenate([x, x]).name).toBe("concatenate");
    expect(build.flatten(x).name).toBe("flatten");
    expect(build.add([x, x]).name).toBe("add");
    expect(build.globalAveragePooling2d(x).name).toBe("global_average_pooling2d");
    x = build.globalMaxPooling2d(x);
    expect(x.name).toBe("global_max_pooling2d");
    expect(build.dropout(x, 0.5).name).toBe("dropout");
    expect(build.dense(x, { units: 2 }).name).toBe("dense");
  });

  it("starts from the beginning in each network", () => {
    build.relu(build.relu(image()));
    expect(build.relu(image()).name).toBe("re_lu");
  });

  it("steps aside for a name that the author took", () => {
    const x = build.relu(image(), { name: "re_lu_1" });
    expect([build.relu(x).name, build.relu(x).name]).toEqual(["re_lu", "re_lu_2"]);
    expect(build.activation(build.relu(image(), { name: "activation" }), "elu").name).toBe("activation_1");
  });

  it("may not be given twice", () => {
    const x = build.relu(image(), { name: "act" });
    expect(() => build.relu(x, { name: "act" })).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: layer "act": another layer of this network has the same name. Give every layer a name of its own.]`,
    );
    const automatic = build.relu(build.relu(image()));
    expect(() => build.relu(automatic, { name: "re_lu_1" })).toThrow('layer "re_lu_1": another layer of this network');
  });
});

describe("the defaults of a layer", () => {
  it("are Keras's", () => {
    const x = image();
    expect(build.conv2d(x, { filters: 4, kernelSize: 3 }).config).toEqual({
      type: "Conv2D",
      filters: 4,
      kernelSize: [3, 3],
      strides: [1, 1],
      padding: "valid",
      useBias: true,
    });
    expect(build.separableConv2d(x, { filters: 4, kernelSize: [3, 1], strides: [1, 2] }).config).toMatchObject({
      kernelSize: [3, 1],
      strides: [1, 2],
      intermediateActivation: "linear",
    });
    expect(build.batchNormalization(x).config).toMatchObject({ momentum: 0.99, epsilon: 1e-3 });
    expect(build.maxPooling2d(x, { kernelSize: [3, 2] }).config).toMatchObject({
      poolSize: [3, 2],
      strides: [3, 2],
      padding: "valid",
    });
    expect(build.averagePooling2d(x, { kernelSize: 3 }).config).toMatchObject({ strides: [3, 3], padding: "valid" });
    expect(build.leakyRelu(x).config).toMatchObject({ negativeSlope: 0.3 });
    expect(build.concatenate([x, x]).config).toMatchObject({ axis: 3 });
    expect(build.concatenate([x, x], { axis: -3 }).config).toMatchObject({ axis: 1 });
    const vector = build.globalAveragePooling2d(x);
    expect(build.concatenate([vector, vector]).config).toMatchObject({ axis: 1 });
    expect(build.dense(vector, { units: 5 }).config).toMatchObject({ units: 5, activation: "linear", useBias: true });
  });
});

describe("a layer that cannot be", () => {
  const x = image();
  const vector = build.globalAveragePooling2d(x);

  it("has a size that is not a positive integer", () => {
    expect(() => build.conv2d(x, { filters: 0, kernelSize: 3 })).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: Conv2D "conv2d", option "filters": this value is not allowed; received 0; expected positive integers.]`,
    );
    expect(() => build.conv2d(x, { filters: 4, kernelSize: [3, 1.5] })).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: Conv2D "conv2d_1", option "kernelSize": this value is not allowed; received [3, 1.5]; expected positive integers.]`,
    );
    expect(() => build.maxPooling2d(x, { kernelSize: 2, strides: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: MaxPooling2D "max_pooling2d", option "strides": this value is not allowed; received [0, 0]; expected positive integers.]`,
    );
    expect(() => build.dense(vector, { units: -1, name: "top" })).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: Dense "top", option "units": this value is not allowed; received -1; expected positive integers.]`,
    );
    expect(() => build.input([0, 5, 3])).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: InputLayer "input_layer", option "shape": this value is not allowed; received [0, 5, 3]; expected positive integers.]`,
    );
  });

  it("has a negative slope below 0, or less than no zeros around it", () => {
    expect(() => build.leakyRelu(x, -0.1)).toThrow(
      'LeakyReLU "leaky_re_lu", option "negativeSlope": this value is not allowed; received -0.1; expected a number from 0.',
    );
    const margins = [
      [0, -1],
      [1, 1],
    ] as const;
    expect(() => build.zeroPadding2d(x, margins)).toThrow(
      'ZeroPadding2D "zero_padding2d", option "padding": this value is not allowed; received [[0, -1], [1, 1]]; expected whole numbers from 0.',
    );
  });

  it("pads a whole window or more", () => {
    expect(() => build.maxPooling2d(x, { kernelSize: 3, padding: 3 })).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: MaxPooling2D "max_pooling2d_1", option "padding": this value is not allowed; received [3, 3]; expected whole numbers from 0 to less than [3, 3].]`,
    );
    expect(() => build.conv2d(x, { filters: 4, kernelSize: [1, 3], padding: [1, 1] })).toThrow("received [1, 1]");
    expect(() => build.depthwiseConv2d(x, { kernelSize: 3, padding: -1 })).toThrow("received [-1, -1]");
    expect(() => build.depthwiseConv2d(x, { kernelSize: 3, padding: 0.5 })).toThrow("received [0.5, 0.5]");
    expect(build.conv2d(x, { filters: 4, kernelSize: 3, padding: 2 }).shape).toEqual([11, 10, 4]);
  });

  it("drops everything, or what is not a share", () => {
    expect(() => build.dropout(vector, 1)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: Dropout "dropout", option "rate": this value is not allowed; received 1; expected a number from 0, below 1.]`,
    );
    expect(() => build.dropout(vector, Number.NaN)).toThrow("received NaN");
  });

  it("reads from two networks", () => {
    expect(() => build.add([x, image()])).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: Add "add": its inputs belong to different networks; received ["input_layer", "input_layer"]. Start all its inputs from one call of input().]`,
    );
  });
});
