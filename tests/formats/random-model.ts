import fc from "fast-check";
import * as layers from "../../src/graph/builder.ts";
import { type Network, network, networkWeights } from "../../src/graph/network.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { sizeOf } from "../../src/tensor/shape.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

/** Every kind of float32, signed zeros, denormal numbers, infinities and NaN among them. */
const float = fc.oneof(
  fc.float({ noNaN: true }),
  fc.constantFrom(-0, 1.401298464324817e-45, -1.1754942106924411e-38, Infinity, -Infinity, Number.NaN),
);

const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,12}$/);

/** A small network of layers that Keras has, and any numbers as its weights. */
export const randomModel: fc.Arbitrary<{ readonly network: Network; readonly weights: Weights }> = fc
  .record({
    shape: fc.tuple(fc.integer({ min: 4, max: 9 }), fc.integer({ min: 4, max: 9 }), fc.integer({ min: 1, max: 4 })),
    names: fc.uniqueArray(name, { minLength: 12, maxLength: 12 }),
    steps: fc.array(
      fc.constantFrom(
        ...(["conv", "padded", "separable", "depthwise", "norm", "relu", "elu", "pool", "residual"] as const),
        ...(["unscaled", "leaky", "average", "zeros", "joined", "stacked"] as const),
      ),
      {
        maxLength: 6,
      },
    ),
    bias: fc.boolean(),
    padding: fc.constantFrom("same" as const, "valid" as const),
    top: fc.constantFrom("avg", "max", "dropout", "flat", "none"),
    values: fc.array(float, { minLength: 1, maxLength: 40 }),
  })
  .map(({ shape, names, steps, bias, padding, top, values }) => {
    const free = [...names];
    const named = () => ({ name: free.shift() });
    let x = layers.input(shape, named());
    for (const step of steps) x = appendix[step]!(x, { bias, padding, named });
    if (top === "avg" || top === "dropout") x = layers.globalAveragePooling2d(x, named());
    if (top === "max") x = layers.globalMaxPooling2d(x, named());
    if (top === "flat") x = layers.flatten(x, named());
    if (top === "dropout") x = layers.dropout(x, 0.25);
    if (top !== "none") x = layers.dense(x, { units: 3, activation: "softmax", useBias: bias, ...named() });
    const net = network("random_net", x);
    let next = 0;
    const weights = networkWeights(net).map((spec) => {
      const data = Float32Array.from({ length: sizeOf(spec.shape) }, () => values[next++ % values.length]!);
      return [spec.name, floatTensor(spec.shape, data)] as const;
    });
    return { network: net, weights: new Map(weights) };
  });

interface Choices {
  readonly bias: boolean;
  readonly padding: "same" | "valid";
  readonly named: () => layers.Named;
}

const appendix: Record<string, (x: layers.LayerOutput, choices: Choices) => layers.LayerOutput> = {
  conv: (x, { bias, named }) =>
    layers.conv2d(x, { filters: 3, kernelSize: [2, 1], useBias: bias, padding: "same", ...named() }),
  padded: (x, { bias, named }) =>
    layers.conv2d(x, { filters: 2, kernelSize: [2, 3], strides: 2, useBias: bias, padding: [1, 2], ...named() }),
  separable: (x, { bias, named }) =>
    layers.separableConv2d(x, { filters: 5, kernelSize: 3, useBias: bias, padding: "same", ...named() }),
  depthwise: (x, { bias, named }) =>
    layers.depthwiseConv2d(x, { kernelSize: 3, useBias: bias, padding: "same", ...named() }),
  norm: (x) => layers.batchNormalization(x, { momentum: 0.9, epsilon: 1e-5 }),
  relu: (x, { named }) => layers.relu(x, named()),
  elu: (x) => layers.activation(x, "elu"),
  pool: (x, { padding }) =>
    layers.maxPooling2d(x, {
      kernelSize: 2,
      strides: 1,
      padding: Math.min(x.shape[0]!, x.shape[1]!) > 2 ? padding : "same",
    }),
  unscaled: (x, { bias, named }) => layers.batchNormalization(x, { scale: false, center: bias, ...named() }),
  leaky: (x, { named }) => layers.leakyRelu(x, 0.125, named()),
  average: (x, { named }) => layers.averagePooling2d(x, { kernelSize: 2, strides: 1, padding: "same", ...named() }),
  zeros: (x, { named }) => {
    const margins = [
      [0, 1],
      [2, 0],
    ] as const;
    return layers.zeroPadding2d(x, margins, named());
  },
  joined: (x, { named }) => layers.concatenate([layers.relu(x), x], named()),
  stacked: (x, { named }) => layers.concatenate([x, x], { axis: 1, ...named() }),
  residual: (x) => layers.add([layers.activation(x, "relu"), x]),
};
