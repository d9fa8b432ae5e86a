import { ShapeError } from "../base/errors.ts";
import { formatShape, type Shape, sameShape, sizeOf } from "../tensor/shape.ts";
import type { ConfigOf, LayerConfig, LayerType, Padding, Size2 } from "./layers.ts";

const rules: { readonly [T in LayerType]: (config: ConfigOf<T>, inputs: readonly Shape[], name: string) => Shape } = {
  InputLayer: (config) => config.shape,
  Conv2D: (config, inputs, name) => {
    const { filters, kernelSize, groups = 1 } = config;
    const size = windowed(config, kernelSize, inputs, name);
    const channels = inputs[0]![2]!;
    if (channels % groups === 0 && filters % groups === 0) return [...size, filters];
    throw new ShapeError({
      where: `Conv2D "${name}"`,
      what: "the channels cannot be divided into these groups",
      received: `${groups} groups of ${channels} input and ${filters} output channels`,
      expected: "both divisible by the number of groups",
    });
  },
  SeparableConv2D: (config, inputs, name) => [...windowed(config, config.kernelSize, inputs, name), config.filters],
  DepthwiseConv2D: (config, inputs, name) => [...windowed(config, config.kernelSize, inputs, name), inputs[0]![2]!],
  BatchNormalization: unchanged,
  Activation: unchanged,
  ReLU: unchanged,
  LeakyReLU: unchanged,
  MaxPooling2D: (config, inputs, name) => [...windowed(config, config.poolSize, inputs, name), inputs[0]![2]!],
  AveragePooling2D: (config, inputs, name) => [...windowed(config, config.poolSize, inputs, name), inputs[0]![2]!],
  ZeroPadding2D: ({ padding: [rows, columns] }, inputs, name) => {
    const [height, width, channels] = image(inputs, name) as readonly [number, number, number];
    return [height + rows[0] + rows[1], width + columns[0] + columns[1], channels];
  },
  GlobalAveragePooling2D: (_, inputs, name) => [image(inputs, name)[2]!],
  GlobalMaxPooling2D: (_, inputs, name) => [image(inputs, name)[2]!],
  Add: (_, inputs, name) => {
    const first = inputs[0]!;
    for (const other of inputs) {
      if (sameShape(first, other)) continue;
      throw new ShapeError({
        where: `Add "${name}"`,
        what: "the inputs have different shapes",
        received: inputs.map(formatShape).join(" and "),
        expected: "equal shapes",
        remedy: "Give the shortcut's convolution the same strides and filters as the main path.",
      });
    }
    return first;
  },
  Concatenate: ({ axis }, inputs, name) => {
    const first = inputs[0]!;
    const place = axis - 1;
    const isAlike = (shape: Shape) =>
      shape.length === first.length && shape.every((size, each) => each === place || size === first[each]);
    if (place in first && inputs.every(isAlike)) {
      const size = inputs.reduce((sum, shape) => sum + shape[place]!, 0);
      return first.with(place, size);
    }
    throw new ShapeError({
      where: `Concatenate "${name}"`,
      what: "the inputs cannot be joined along this axis",
      received: `axis ${axis} of ${inputs.map(formatShape).join(" and ")}`,
      expected: `an axis from 1 to ${first.length}, and equal sizes along all others`,
      remedy: "Axis 0 is the batch, 1 and 2 are the height and width of feature maps, 3 their channels.",
    });
  },
  Flatten: (_, inputs) => [sizeOf(inputs[0]!)],
  Dropout: unchanged,
  Dense: (config, inputs, name) => {
    if (inputs[0]!.length !== 1) {
      throw new ShapeError({
        where: `Dense "${name}"`,
        what: "the input is not a vector",
        received: formatShape(inputs[0]!),
        expected: "one axis of features",
        remedy: "Put a GlobalAveragePooling2D or a Flatten layer before it.",
      });
    }
    return [config.units];
  },
};

/**
 * Shape of a layer's output without the batch axis, channels last: `[H, W, C]` or `[features]`.
 * @throws {ShapeError} the inputs do not fit the layer.
 */
export function layerOutputShape(config: LayerConfig, inputs: readonly Shape[], name: string): Shape {
  const rule = rules[config.type] as (config: LayerConfig, inputs: readonly Shape[], name: string) => Shape;
  return rule(config, inputs, name);
}

/**
 * Size of a window operation's output along one axis and the padding before and after.
 * @param axis 0: rows, 1: columns.
 * @see Keras `padding="same"`: total = max((ceil(n/s) − 1)·s + k − n, 0), the smaller half first.
 */
export function windowGeometry(size: number, kernel: number, stride: number, padding: Padding, axis: 0 | 1) {
  if (padding !== "same") {
    const each = padding === "valid" ? 0 : padding[axis];
    return { output: Math.floor((size + 2 * each - kernel) / stride) + 1, before: each, after: each };
  }
  const output = Math.ceil(size / stride);
  const total = Math.max((output - 1) * stride + kernel - size, 0);
  const before = Math.floor(total / 2);
  return { output, before, after: total - before };
}

function unchanged(_: LayerConfig, inputs: readonly Shape[]): Shape {
  return inputs[0]!;
}

function image(inputs: readonly Shape[], name: string): Shape {
  const shape = inputs[0]!;
  if (shape.length !== 3) {
    throw new ShapeError({
      where: `layer "${name}"`,
      what: "the input is not an image",
      received: formatShape(shape),
      expected: "three axes: height, width, channels",
    });
  }
  return shape;
}

function windowed(
  config: { readonly type: string; readonly strides: Size2; readonly padding: Padding },
  kernel: Size2,
  inputs: readonly Shape[],
  name: string,
): Size2 {
  const [height, width] = image(inputs, name) as readonly [number, number, number];
  const rows = windowGeometry(height, kernel[0], config.strides[0], config.padding, 0).output;
  const columns = windowGeometry(width, kernel[1], config.strides[1], config.padding, 1).output;
  if (rows < 1 || columns < 1) {
    throw new ShapeError({
      where: `${config.type} "${name}"`,
      what: "the window is larger than its input",
      received: `a window of ${formatShape(kernel)} on ${formatShape([height, width])}`,
      expected: "an input at least as large as the window",
      remedy: "Use a larger input image.",
    });
  }
  return [rows, columns];
}
