import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layerOutputShape, windowGeometry } from "../../src/graph/layer-shapes.ts";
import type { LayerConfig } from "../../src/graph/layers.ts";
import type { Shape } from "../../src/tensor/shape.ts";

describe("windowGeometry", () => {
  it.each([
    // size, kernel, stride, padding, output, before, after
    [299, 3, 2, "valid", 149, 0, 0],
    [149, 3, 1, "valid", 147, 0, 0],
    [147, 3, 2, "same", 74, 1, 1],
    [74, 3, 2, "same", 37, 0, 1],
    [37, 3, 2, "same", 19, 1, 1],
    [19, 3, 2, "same", 10, 1, 1],
    [299, 3, 2, "same", 150, 1, 1],
    [147, 1, 2, "same", 74, 0, 0],
    [6, 4, 1, "same", 6, 1, 2],
    [5, 1, 3, "same", 2, 0, 0],
    [2, 3, 1, "valid", 0, 0, 0],
  ] as const)("size %d, kernel %d, stride %d, %s → %d, padding %d and %d", (size, kernel, stride, padding, ...rest) => {
    const [output, before, after] = rest;
    expect(windowGeometry(size, kernel, stride, padding, 0)).toEqual({ output, before, after });
  });

  it("pads as many pixels as it is told, along either axis", () => {
    // PyTorch: floor((n + 2·padding − kernel) / stride) + 1.
    expect(windowGeometry(74, 3, 2, [1, 0], 0)).toEqual({ output: 37, before: 1, after: 1 });
    expect(windowGeometry(74, 3, 2, [1, 0], 1)).toEqual({ output: 36, before: 0, after: 0 });
    expect(windowGeometry(7, 5, 1, [0, 2], 1)).toEqual({ output: 7, before: 2, after: 2 });
  });

  it("with `same` covers every pixel, pads no more than it must and the end at least as much as the start", () => {
    const sizes = fc.tuple(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 4 }),
    );
    fc.assert(
      fc.property(sizes, ([size, kernel, stride]) => {
        const { output, before, after } = windowGeometry(size, kernel, stride, "same", 0);
        expect(output).toBe(Math.ceil(size / stride));
        // The last window ends with the padded image, unless the stride jumps over the last pixels.
        const end = (output - 1) * stride + kernel;
        expect(before + after).toBe(Math.max(end - size, 0));
        expect([0, 1]).toContain(after - before);
      }),
    );
  });
});

describe("layerOutputShape", () => {
  const window = { kernelSize: [3, 2], strides: [2, 1], padding: "same", useBias: false } as const;
  it.each<[LayerConfig, readonly Shape[], Shape]>([
    [{ type: "InputLayer", shape: [7, 5, 3] }, [], [7, 5, 3]],
    [{ type: "Conv2D", filters: 8, ...window }, [[7, 5, 3]], [4, 5, 8]],
    [{ type: "Conv2D", filters: 8, ...window, padding: "valid" }, [[7, 5, 3]], [3, 4, 8]],
    [{ type: "SeparableConv2D", filters: 8, ...window, intermediateActivation: "linear" }, [[7, 5, 3]], [4, 5, 8]],
    [{ type: "DepthwiseConv2D", ...window }, [[7, 5, 3]], [4, 5, 3]],
    [{ type: "DepthwiseConv2D", ...window, padding: [1, 0] }, [[7, 5, 3]], [4, 4, 3]],
    [{ type: "BatchNormalization", momentum: 0.99, epsilon: 1e-3, scale: false, center: true }, [[7, 5, 3]], [7, 5, 3]],
    [{ type: "Activation", activation: "elu" }, [[7, 5, 3]], [7, 5, 3]],
    [{ type: "ReLU" }, [[7, 5, 3]], [7, 5, 3]],
    [{ type: "MaxPooling2D", poolSize: [3, 3], strides: [2, 2], padding: "same" }, [[7, 6, 3]], [4, 3, 3]],
    [{ type: "MaxPooling2D", poolSize: [3, 3], strides: [2, 2], padding: "valid" }, [[7, 6, 3]], [3, 2, 3]],
    [{ type: "MaxPooling2D", poolSize: [3, 3], strides: [2, 2], padding: [1, 0] }, [[8, 7, 3]], [4, 3, 3]],
    [{ type: "LeakyReLU", negativeSlope: 0.3 }, [[7, 5, 3]], [7, 5, 3]],
    [{ type: "AveragePooling2D", poolSize: [3, 2], strides: [1, 2], padding: "same" }, [[7, 5, 3]], [7, 3, 3]],
    [
      {
        type: "ZeroPadding2D",
        padding: [
          [0, 1],
          [2, 3],
        ],
      },
      [[7, 5, 3]],
      [8, 10, 3],
    ],
    [
      { type: "Concatenate", axis: 3 },
      [
        [7, 5, 3],
        [7, 5, 4],
        [7, 5, 3],
      ],
      [7, 5, 10],
    ],
    [
      { type: "Concatenate", axis: 1 },
      [
        [7, 5, 3],
        [2, 5, 3],
      ],
      [9, 5, 3],
    ],
    [{ type: "Concatenate", axis: 1 }, [[4], [5]], [9]],
    [{ type: "Flatten" }, [[7, 5, 3]], [105]],
    [{ type: "GlobalAveragePooling2D" }, [[7, 5, 3]], [3]],
    [{ type: "GlobalMaxPooling2D" }, [[7, 5, 3]], [3]],
    [
      { type: "Add" },
      [
        [7, 5, 3],
        [7, 5, 3],
      ],
      [7, 5, 3],
    ],
    [{ type: "Dropout", rate: 0.5 }, [[3]], [3]],
    [{ type: "Dense", units: 10, activation: "softmax", useBias: true }, [[3]], [10]],
  ])("$type on %j gives %j", (config, inputs, expected) => {
    expect(layerOutputShape(config, inputs, "layer")).toEqual(expected);
  });

  it("refuses a sum of different shapes", () => {
    const sum = () =>
      layerOutputShape(
        { type: "Add" },
        [
          [7, 5, 3],
          [7, 5, 4],
        ],
        "add_1",
      );
    expect(sum).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: Add "add_1": the inputs have different shapes; received "7×5×3 and 7×5×4"; expected equal shapes. Give the shortcut's convolution the same strides and filters as the main path.]`,
    );
  });

  it.each<[number, readonly Shape[], string]>([
    [
      3,
      [
        [7, 5, 3],
        [7, 4, 3],
      ],
      'received "axis 3 of 7×5×3 and 7×4×3"; expected an axis from 1 to 3, and equal sizes along all others',
    ],
    [0, [[7, 5, 3]], 'received "axis 0 of 7×5×3"; expected an axis from 1 to 3'],
    [2, [[4], [4]], 'received "axis 2 of 4 and 4"; expected an axis from 1 to 1'],
  ])("refuses to join along axis %d what does not fit: %j", (axis, inputs, message) => {
    const joined = () => layerOutputShape({ type: "Concatenate", axis }, inputs, "mixed0");
    expect(joined).toThrow('Concatenate "mixed0": the inputs cannot be joined along this axis; ');
    expect(joined).toThrow(message);
    expect(joined).toThrow("Axis 0 is the batch, 1 and 2 are the height and width of feature maps, 3 their channels.");
  });

  it("refuses a dense layer on an image", () => {
    const config = { type: "Dense", units: 10, activation: "linear", useBias: true } as const;
    expect(() => layerOutputShape(config, [[7, 5, 3]], "predictions")).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: Dense "predictions": the input is not a vector; received "7×5×3"; expected one axis of features. Put a GlobalAveragePooling2D or a Flatten layer before it.]`,
    );
  });

  it("refuses pooling of a vector", () => {
    const pool = () => layerOutputShape({ type: "GlobalMaxPooling2D" }, [[10]], "pool");
    expect(pool).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: layer "pool": the input is not an image; received "10"; expected three axes: height, width, channels.]`,
    );
  });

  it("refuses a window larger than its input", () => {
    const config = { type: "Conv2D", filters: 8, ...window, padding: "valid" } as const;
    expect(() => layerOutputShape(config, [[2, 5, 3]], "conv2d")).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: Conv2D "conv2d": the window is larger than its input; received "a window of 3×2 on 2×5"; expected an input at least as large as the window. Use a larger input image.]`,
    );
  });
});
