import { GraphError } from "../../src/base/errors.ts";
import type { ByteScale, OpConfig, OpGraph, OpKind, OpOf, Value } from "../../src/graph/ops.ts";
import { type Shape, sizeOf } from "../../src/tensor/shape.ts";
import { at, fill, indicesOf, type NdArray, offsetOf, zeros } from "./nd-array.ts";
import {
  batchNormalization,
  batchNormalizationAffineGradient,
  batchNormalizationGradient,
  batchNormalizationTraining,
  channelMoments,
  scaledSum,
} from "./normalization-rules.ts";
import { averagePool, conv, convFilterGradient, convInputGradient, maxPool, maxPoolGradient } from "./window-rules.ts";

/**
 * What each operator means, as loops over float64 numbers written for the eye. Shapes come out of the loops, not out of
 * the shape rules, so that the two can be held against each other.
 */
const rules: { readonly [K in OpKind]: (config: OpOf<K>, inputs: readonly NdArray[]) => readonly NdArray[] } = {
  conv,
  convInputGradient,
  convFilterGradient,
  batchNormalization,
  batchNormalizationTraining,
  batchNormalizationGradient,
  batchNormalizationAffineGradient,
  channelMoments,
  scaledSum,
  maxPool,
  maxPoolGradient,
  averagePool,
  pad: ({ pads: [top, left, bottom, right] }, [x]) => {
    const [batch, channels, height, width] = x!.shape as readonly [number, number, number, number];
    const shape = [batch, channels, top + height + bottom, left + width + right];
    const inside = (row: number, column: number) => row >= 0 && row < height && column >= 0 && column < width;
    return [
      fill(shape, ([image, channel, row, column]) => {
        const [y, z] = [row! - top, column! - left];
        return inside(y, z) ? at(x!, [image!, channel!, y, z]) : 0;
      }),
    ];
  },
  relu: each((x) => Math.max(x, 0)),
  reluGradient: pairwise((dy, y) => (y > 0 ? dy : 0)),
  elu: each((x) => (x > 0 ? x : Math.expm1(x))),
  eluGradient: pairwise((dy, y) => dy * (Math.min(y, 0) + 1)),
  leakyRelu: (config, inputs) => each((x) => (x > 0 ? x : config.slope * x))(config, inputs),
  leakyReluGradient: (config, inputs) => pairwise((dy, y) => (y > 0 ? dy : config.slope * dy))(config, inputs),
  sigmoid: each((x) => 1 / (1 + Math.exp(-x))),
  exp: each(Math.exp),
  log: each(Math.log),
  sqrt: each(Math.sqrt),
  softplus: each((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  add: pairwise((a, b) => a + b),
  subtract: pairwise((a, b) => a - b),
  multiply: pairwise((a, b) => a * b),
  divide: pairwise((a, b) => a / b),
  minimum: pairwise((a, b) => Math.min(a, b)),
  maximum: pairwise((a, b) => Math.max(a, b)),
  allReduceMean: each((x) => x),
  softmax: rowwise((row) => {
    const exponentials = row.map((x) => Math.exp(x - Math.max(...row)));
    return exponentials.map((value) => value / sum(exponentials));
  }),
  logSoftmax: rowwise((row) => {
    const highest = Math.max(...row);
    const logOfSum = highest + Math.log(sum(row.map((x) => Math.exp(x - highest))));
    return row.map((x) => x - logOfSum);
  }),
  reduceSum: (config, [x]) => [reduceSum(x!, config)],
  reduceMean: (config, [x]) => {
    const { shape, data } = reduceSum(x!, config);
    return [{ shape, data: data.map((value) => value / (x!.data.length / data.length)) }];
  },
  matMul: ({ transposeA, transposeB }, inputs) => {
    const a = transposeA ? transpose(inputs[0]!, [1, 0]) : inputs[0]!;
    const b = transposeB ? transpose(inputs[1]!, [1, 0]) : inputs[1]!;
    const inner = Array.from({ length: a.shape[1]! }, (_, k) => k);
    const product = fill([a.shape[0]!, b.shape[1]!], ([row, column]) =>
      sum(inner.map((k) => at(a, [row!, k]) * at(b, [k, column!]))),
    );
    return [product];
  },
  transpose: (config, [x]) => [transpose(x!, config.permutation)],
  reshape: (config, [x]) => [{ shape: config.shape, data: x!.data }],
  expand: (config, [x]) => [fill(config.shape, (index) => at(x!, stretched(index, x!.shape)))],
  slice: ({ axis, start, end }, [x]) => {
    const shape = x!.shape.map((size, each) => (each === axis ? end - start : size));
    return [
      fill(shape, (index) =>
        at(
          x!,
          index.map((position, each) => (each === axis ? start + position : position)),
        ),
      ),
    ];
  },
  everyNth: ({ step }, [x]) => {
    const chosen = x!.data.filter((_, index) => index % step === 0);
    return [{ shape: [chosen.length], data: chosen }];
  },
  concatenate: ({ axis }, inputs) => {
    const starts = inputs.map((_, index) => sum(inputs.slice(0, index).map(({ shape }) => shape[axis]!)));
    const size = sum(inputs.map(({ shape }) => shape[axis]!));
    const place = (index: readonly number[]) => {
      const from = starts.findLastIndex((start) => start <= index[axis]!);
      return at(inputs[from]!, index.with(axis, index[axis]! - starts[from]!));
    };
    return [fill(inputs[0]!.shape.with(axis, size), place)];
  },
  cast: ({ to }, [x]) => [{ shape: x!.shape, data: x!.data.map(conversions[to]) }],
  quantizeLinear: ({ zeroPoint }, [x, scale]) => [
    { shape: x!.shape, data: x!.data.map((value) => clamped(byteOf(value, { scale: scale!.data[0]!, zeroPoint }))) },
  ],
  dequantizeLinear: ({ zeroPoint, axis }, [q, scale]) => {
    const scaleAt = (index: readonly number[]) => scale!.data[scale!.shape.length === 0 ? 0 : index[axis]!]!;
    return [fill(q!.shape, (index) => (at(q!, index) - zeroPoint) * scaleAt(index))];
  },
  fakeQuantize: (config, inputs) =>
    each((x) => (clamped(byteOf(x, config)) - config.zeroPoint) * config.scale)(config, inputs),
  fakeQuantizeGradient: (config, inputs) =>
    pairwise((dy, x) => (clamped(byteOf(x, config)) === byteOf(x, config) ? dy : 0))(config, inputs),
  fakeQuantizeKernel: ({ axes, largest }, [w]) => {
    const others = (index: readonly number[]) =>
      String(index.map((position, axis) => (axes.includes(axis) ? 0 : position)));
    const sizes = new Map<string, number>();
    for (const index of indicesOf(w!.shape)) {
      sizes.set(others(index), Math.max(sizes.get(others(index)) ?? 0, Math.abs(at(w!, index))));
    }
    return [
      fill(w!.shape, (index) => {
        const scale = sizes.get(others(index))! / largest;
        return scale === 0 ? 0 : roundHalfToEven(at(w!, index) / scale) * scale;
      }),
    ];
  },
};

function byteOf(x: number, { scale, zeroPoint }: ByteScale): number {
  return roundHalfToEven(x / scale) + zeroPoint;
}

function clamped(byte: number): number {
  return Math.min(Math.max(byte, 0), 255);
}

function roundHalfToEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

const conversions = {
  float32: (x: number) => x,
  uint8: (x: number) => Math.trunc(x),
  int8: (x: number) => Math.trunc(x),
  int32: (x: number) => Math.trunc(x),
  int64: (x: number) => Math.trunc(x),
  bool: (x: number) => (x === 0 ? 0 : 1),
} as const;

/**
 * Every value of a graph by its name, constants included.
 * @param feeds numbers of the inputs and parameters by name; an operator's output named here is not computed but taken
 *   as given, to ask how the rest depends on it.
 * @throws {GraphError} a feed is missing or has the wrong number of values.
 */
export function evaluate(graph: OpGraph, feeds: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, NdArray> {
  const values = new Map<string, NdArray>();
  for (const value of [...graph.inputs, ...graph.parameters]) values.set(value.name, fed(value, feeds));
  for (const { name, shape, data } of graph.constants) values.set(name, { shape, data: Float64Array.from(data) });
  for (const { config, inputs, outputs } of graph.operations) {
    const rule = rules[config.kind] as (config: OpConfig, inputs: readonly NdArray[]) => readonly NdArray[];
    const results = rule(
      config,
      inputs.map(({ name }) => values.get(name)!),
    );
    for (const [position, value] of outputs.entries()) {
      values.set(value.name, feeds.has(value.name) ? fed(value, feeds) : results[position]!);
    }
  }
  return values;
}

/** The outputs of a graph by their public names; `feeds` as in {@link evaluate}. */
export function interpret(graph: OpGraph, feeds: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> {
  const values = evaluate(graph, feeds);
  return new Map([...graph.outputs].map(([name, value]) => [name, values.get(value.name)!.data]));
}

function fed({ name, shape }: Value, feeds: ReadonlyMap<string, Float64Array>): NdArray {
  const data = feeds.get(name);
  if (data?.length !== sizeOf(shape)) {
    throw new GraphError({
      where: `interpreter, feed "${name}"`,
      what: "the numbers do not fill the shape",
      received: data ? `${data.length} values` : "nothing",
      expected: `${sizeOf(shape)} values`,
    });
  }
  return { shape, data };
}

function each(value: (x: number) => number) {
  return (_: OpConfig, [x]: readonly NdArray[]): NdArray[] => [{ shape: x!.shape, data: x!.data.map((v) => value(v)) }];
}

/** Two operands element by element, aligned at the last axis, sizes of 1 stretched. */
function pairwise(value: (a: number, b: number) => number) {
  return (_: OpConfig, [a, b]: readonly NdArray[]): NdArray[] => {
    const rank = Math.max(a!.shape.length, b!.shape.length);
    const padded = (shape: Shape) => [...new Array<number>(rank - shape.length).fill(1), ...shape];
    const shapeOfB = padded(b!.shape);
    const shape = padded(a!.shape).map((size, axis) => (size === 1 ? shapeOfB[axis]! : size));
    return [fill(shape, (index) => value(at(a!, stretched(index, a!.shape)), at(b!, stretched(index, b!.shape))))];
  };
}

/** Where an operand of this shape is read when the result is written at `index`. */
function stretched(index: readonly number[], shape: Shape): number[] {
  const first = index.length - shape.length;
  return shape.map((size, axis) => (size === 1 ? 0 : index[first + axis]!));
}

/** Each row along the last axis on its own. */
function rowwise(value: (row: readonly number[]) => readonly number[]) {
  return (_: OpConfig, [x]: readonly NdArray[]): NdArray[] => {
    const { shape, data } = x!;
    const size = shape.at(-1)!;
    const result = zeros(shape);
    for (let start = 0; start < data.length; start += size) {
      result.data.set(value([...data.slice(start, start + size)]), start);
    }
    return [result];
  };
}

function reduceSum(
  x: NdArray,
  { axes, keepDims }: { readonly axes: readonly number[]; readonly keepDims: boolean },
): NdArray {
  const sums = zeros(x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)));
  for (const index of indicesOf(x.shape))
    sums.data[offsetOf(sums.shape, stretched(index, sums.shape))]! += at(x, index);
  return { shape: keepDims ? sums.shape : x.shape.filter((_, axis) => !axes.includes(axis)), data: sums.data };
}

function transpose(x: NdArray, permutation: readonly number[]): NdArray {
  const result = zeros(permutation.map((axis) => x.shape[axis]!));
  for (const index of indicesOf(x.shape)) {
    const moved = permutation.map((axis) => index[axis]!);
    result.data[offsetOf(result.shape, moved)] = at(x, index);
  }
  return result;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
