import fc from "fast-check";
import type { Size2 } from "../../src/graph/layers.ts";
import type { OpConfig, OpKind, OpOf, Pads, Window } from "../../src/graph/ops.ts";
import { type Shape, sizeOf } from "../../src/tensor/shape.ts";

/** An operator with shapes of inputs it accepts. */
export interface OpCase<C extends OpConfig = OpConfig> {
  readonly config: C;
  readonly inputs: readonly Shape[];
}

/** For each operator, its valid cases: odd, even, non-square and tiny sizes, strides, groups and uneven padding. */
export const opCases: { readonly [K in OpKind]: fc.Arbitrary<OpCase<OpOf<K>>> } = {
  conv: convolutions().chain(({ x, w, y: _, ...window }) =>
    fc.constantFrom([x, w], [x, w, [w[0]!]]).map((inputs) => ({ config: { kind: "conv", ...window }, inputs })),
  ),
  convInputGradient: convolutions().map(({ x, w, y, ...window }) => ({
    config: { kind: "convInputGradient", ...window, inputShape: x },
    inputs: [y, w],
  })),
  convFilterGradient: convolutions().map(({ x, w, y, ...window }) => ({
    config: { kind: "convFilterGradient", ...window, kernelShape: w },
    inputs: [x, y],
  })),
  batchNormalization: normalizations("batchNormalization", (x, vector) => [x, vector, vector, vector, vector]),
  batchNormalizationTraining: normalizations("batchNormalizationTraining", (x, vector) => [x, vector, vector]),
  batchNormalizationGradient: normalizations("batchNormalizationGradient", (x, vector) => [
    x,
    x,
    vector,
    vector,
    vector,
  ]),
  batchNormalizationAffineGradient: normalizations("batchNormalizationAffineGradient", (x, vector) => [
    x,
    x,
    vector,
    vector,
  ]),
  channelMoments: images().map((x) => ({ config: { kind: "channelMoments" }, inputs: [x] })),
  scaledSum: images().map((x) => ({ config: { kind: "scaledSum" }, inputs: [x, x, [x[1]], [x[1]], [x[1]]] })),
  maxPool: pools().map(({ x, y: _, ...window }) => ({ config: { kind: "maxPool", ...window }, inputs: [x] })),
  maxPoolGradient: pools().map(({ x, y, ...window }) => ({
    config: { kind: "maxPoolGradient", ...window },
    inputs: [y, x, y],
  })),
  averagePool: pools().map(({ x, y: _, ...window }) => ({ config: { kind: "averagePool", ...window }, inputs: [x] })),
  pad: fc
    .tuple(images(), fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)))
    .map(([x, pads]) => ({ config: { kind: "pad", pads }, inputs: [x] })),
  relu: alone("relu"),
  reluGradient: twins("reluGradient"),
  elu: alone("elu"),
  eluGradient: twins("eluGradient"),
  leakyRelu: alone("leakyRelu").map(({ inputs }) => ({ config: { kind: "leakyRelu", slope: 0.25 }, inputs })),
  leakyReluGradient: twins("leakyReluGradient").map(({ inputs }) => ({
    config: { kind: "leakyReluGradient", slope: 0.25 },
    inputs,
  })),
  sigmoid: alone("sigmoid"),
  exp: alone("exp"),
  log: alone("log"),
  sqrt: alone("sqrt"),
  softplus: alone("softplus"),
  add: broadcastPairs("add"),
  subtract: broadcastPairs("subtract"),
  multiply: broadcastPairs("multiply"),
  divide: broadcastPairs("divide"),
  minimum: broadcastPairs("minimum"),
  maximum: broadcastPairs("maximum"),
  allReduceMean: alone("allReduceMean"),
  softmax: alone("softmax", 1),
  logSoftmax: alone("logSoftmax", 1),
  reduceSum: reductions("reduceSum"),
  reduceMean: reductions("reduceMean"),
  matMul: fc
    .tuple(fc.tuple(size(4), size(4), size(4)), fc.boolean(), fc.boolean())
    .map(([[rows, inner, columns], transposeA, transposeB]) => ({
      config: { kind: "matMul", transposeA, transposeB },
      inputs: [transposeA ? [inner, rows] : [rows, inner], transposeB ? [columns, inner] : [inner, columns]],
    })),
  transpose: shapes().chain((shape) => {
    const axes = [...shape.keys()];
    return fc
      .shuffledSubarray(axes, { minLength: axes.length })
      .map((permutation) => ({ config: { kind: "transpose", permutation }, inputs: [shape] }));
  }),
  reshape: shapes().chain((shape) =>
    fc
      .constantFrom([sizeOf(shape)], [1, ...shape], shape.toReversed())
      .map((to) => ({ config: { kind: "reshape", shape: to }, inputs: [shape] })),
  ),
  expand: shapes().chain((shape) =>
    stretchable(shape).map((from) => ({ config: { kind: "expand", shape }, inputs: [from] })),
  ),
  slice: shapes(1).chain((shape) =>
    fc
      .nat(shape.length - 1)
      .chain((axis) => fc.tuple(fc.constant(axis), fc.nat(shape[axis]! - 1)))
      .chain(([axis, start]) =>
        fc
          .integer({ min: start + 1, max: shape[axis]! })
          .map((end) => ({ config: { kind: "slice", axis, start, end }, inputs: [shape] })),
      ),
  ),
  everyNth: fc
    .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 7 }))
    .map(([size, step]) => ({ config: { kind: "everyNth", step }, inputs: [[size]] })),
  concatenate: shapes(1).chain((shape) =>
    fc.tuple(fc.nat(shape.length - 1), fc.array(size(3), { minLength: 1, maxLength: 3 })).map(([axis, sizes]) => ({
      config: { kind: "concatenate", axis },
      inputs: sizes.map((each) => shape.with(axis, each)),
    })),
  ),
  cast: alone("cast").map(({ inputs }) => ({ config: { kind: "cast", to: "float32" }, inputs })),
  quantizeLinear: fc.tuple(shapes(), fc.nat(255)).map(([shape, zeroPoint]) => ({
    config: { kind: "quantizeLinear", zeroPoint },
    inputs: [shape, []],
  })),
  dequantizeLinear: fc.tuple(images(), fc.nat(255), fc.nat(4)).map(([shape, zeroPoint, axis]) => ({
    config: { kind: "dequantizeLinear", zeroPoint, axis: axis % 4 },
    inputs: [shape, axis < 4 ? [shape[axis]!] : []],
  })),
  // Some of −1 … 1 are clipped.
  fakeQuantize: fc.tuple(shapes(), fc.nat(255)).map(([shape, zeroPoint]) => ({
    config: { kind: "fakeQuantize", scale: 2 ** -8, zeroPoint },
    inputs: [shape],
  })),
  fakeQuantizeGradient: fc.tuple(shapes(), fc.nat(255)).map(([shape, zeroPoint]) => ({
    config: { kind: "fakeQuantizeGradient", scale: 2 ** -8, zeroPoint },
    inputs: [shape, shape],
  })),
  fakeQuantizeKernel: shapes(1)
    .chain((shape) => fc.tuple(fc.constant(shape), fc.subarray([...shape.keys()], { minLength: 1 })))
    .map(([shape, axes]) => ({ config: { kind: "fakeQuantizeKernel", axes, largest: 63 }, inputs: [shape] })),
};

function size(max: number): fc.Arbitrary<number> {
  return fc.integer({ min: 1, max });
}

function shapes(minRank = 0): fc.Arbitrary<Shape> {
  return fc.array(size(3), { minLength: minRank, maxLength: 3 });
}

function alone<K extends OpKind>(kind: K, minRank = 0): fc.Arbitrary<OpCase<{ kind: K } & OpOf<K>>> {
  return shapes(minRank).map((shape) => ({ config: { kind } as { kind: K } & OpOf<K>, inputs: [shape] }));
}

function twins<K extends OpKind>(kind: K): fc.Arbitrary<OpCase<{ kind: K } & OpOf<K>>> {
  return alone(kind).map(({ config, inputs: [shape] }) => ({ config, inputs: [shape!, shape!] }));
}

/** Some shape that broadcasting stretches to `shape`: leading axes left out, others set to 1. */
function stretchable(shape: Shape): fc.Arbitrary<Shape> {
  return fc
    .tuple(fc.nat(shape.length), fc.tuple(...shape.map(() => fc.boolean())))
    .map(([dropped, kept]) => shape.map((each, axis) => (kept[axis] ? each : 1)).slice(dropped));
}

function broadcastPairs<K extends OpKind>(kind: K): fc.Arbitrary<OpCase<{ kind: K } & OpOf<K>>> {
  return shapes()
    .chain((shape) => fc.tuple(stretchable(shape), stretchable(shape)))
    .map((inputs) => ({ config: { kind } as { kind: K } & OpOf<K>, inputs }));
}

function reductions<K extends "reduceSum" | "reduceMean">(kind: K) {
  return shapes(1)
    .chain((shape) => fc.tuple(fc.constant(shape), fc.subarray([...shape.keys()], { minLength: 1 }), fc.boolean()))
    .map(([shape, axes, keepDims]) => ({ config: { kind, axes, keepDims }, inputs: [shape] }));
}

function images(): fc.Arbitrary<[number, number, number, number]> {
  return fc.tuple(size(2), size(3), size(3), size(3));
}

function normalizations<K extends OpKind>(kind: K, inputs: (x: Shape, vector: Shape) => readonly Shape[]) {
  return images().map((x) => ({ config: { kind, epsilon: 0.1 }, inputs: inputs(x, [x[1]]) }));
}

interface Sliding extends Window {
  readonly size: Size2;
  readonly kernel: Size2;
  readonly output: Size2;
}

/** A window over a small image; the padding is smaller than the window, as every engine demands. */
function slidings(): fc.Arbitrary<Sliding> {
  const axis = fc
    .tuple(size(6), size(3), size(3))
    .chain(([length, kernel, stride]) =>
      fc.record({
        length: fc.constant(length),
        kernel: fc.constant(kernel),
        stride: fc.constant(stride),
        before: fc.nat(kernel - 1),
        after: fc.nat(kernel - 1),
      }),
    )
    .map((each) => ({
      ...each,
      output: Math.floor((each.length + each.before + each.after - each.kernel) / each.stride) + 1,
    }))
    .filter(({ output }) => output >= 1);
  return fc.tuple(axis, axis).map(([rows, columns]) => ({
    size: [rows.length, columns.length],
    kernel: [rows.kernel, columns.kernel],
    strides: [rows.stride, columns.stride],
    pads: [rows.before, columns.before, rows.after, columns.after] satisfies Pads,
    output: [rows.output, columns.output],
  }));
}

function convolutions() {
  return fc
    .tuple(slidings(), size(2), size(3), size(2), size(2))
    .map(([{ size, kernel, output, strides, pads }, batch, groups, channelsOfGroup, filtersOfGroup]) => ({
      strides,
      pads,
      groups,
      x: [batch, groups * channelsOfGroup, ...size],
      w: [groups * filtersOfGroup, channelsOfGroup, ...kernel],
      y: [batch, groups * filtersOfGroup, ...output],
    }));
}

function pools() {
  return fc.tuple(slidings(), size(2), size(2)).map(([{ size, kernel, output, strides, pads }, batch, channels]) => ({
    strides,
    pads,
    kernel,
    x: [batch, channels, ...size],
    y: [batch, channels, ...output],
  }));
}
