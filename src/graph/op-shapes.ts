import { ShapeError } from "../base/errors.ts";
import { broadcastShapes, formatShape, type Shape, sameShape, sizeOf } from "../tensor/shape.ts";
import type { OpConfig, OpKind, OpOf, Window } from "./ops.ts";

const rules: { readonly [K in OpKind]: (config: OpOf<K>, inputs: readonly Shape[]) => readonly Shape[] } = {
  conv: (config, [x, w, bias]) => {
    const y = convolved(config, x, w);
    if (bias !== undefined && !sameShape(bias, [y[1]!])) {
      throw mismatch("conv", "the bias does not fit the kernel", [bias, w], `[${y[1]}]`);
    }
    return [y];
  },
  convInputGradient: (config, [dy, w]) => {
    expectGradient(config.kind, dy, convolved(config, config.inputShape, w));
    return [config.inputShape];
  },
  convFilterGradient: (config, [x, dy]) => {
    expectGradient(config.kind, dy, convolved(config, x, config.kernelShape));
    return [config.kernelShape];
  },
  batchNormalization: (_, inputs) => [normalized("batchNormalization", inputs, 4)],
  batchNormalizationTraining: (_, inputs) => {
    const shape = normalized("batchNormalizationTraining", inputs, 2);
    return [shape, [shape[1]!], [shape[1]!]];
  },
  batchNormalizationGradient: ({ kind }, [dy, ...inputs]) => {
    const x = normalized(kind, inputs, 3);
    expectGradient(kind, dy, x);
    return [x, [x[1]!], [x[1]!]];
  },
  batchNormalizationAffineGradient: ({ kind }, [dy, ...inputs]) => {
    const x = normalized(kind, inputs, 2);
    expectGradient(kind, dy, x);
    return [[x[1]!], [x[1]!]];
  },
  channelMoments: ({ kind }, [x]) => {
    const [, channels] = image(kind, x);
    return [[channels], [channels]];
  },
  scaledSum: ({ kind }, [x, y, ...vectors]) => {
    const sum = both({ kind }, [x!, y!])[0]!;
    return [normalized(kind, [sum, ...vectors], 3)];
  },
  maxPool: (config, [x]) => [pooled(config, x)],
  maxPoolGradient: (config, [dy, x]) => {
    expectGradient(config.kind, dy, pooled(config, x));
    return [x!];
  },
  averagePool: (config, [x]) => [pooled(config, x)],
  pad: ({ kind, pads: [top, left, bottom, right] }, [x]) => {
    const [batch, channels, height, width] = image(kind, x);
    return [[batch, channels, top + height + bottom, left + width + right]];
  },
  relu: first,
  reluGradient: both,
  elu: first,
  eluGradient: both,
  leakyRelu: first,
  leakyReluGradient: both,
  sigmoid: first,
  exp: first,
  log: first,
  sqrt: first,
  softplus: first,
  add: broadcast,
  subtract: broadcast,
  multiply: broadcast,
  divide: broadcast,
  minimum: broadcast,
  maximum: broadcast,
  allReduceMean: first,
  softmax: first,
  logSoftmax: first,
  reduceSum: reduced,
  reduceMean: reduced,
  matMul: (config, [a, b]) => {
    if (a?.length !== 2 || b?.length !== 2) throw mismatch("matMul", "the inputs are not matrices", [a, b], "two axes");
    const [rows, inner] = config.transposeA ? [a[1]!, a[0]!] : [a[0]!, a[1]!];
    const [innerB, columns] = config.transposeB ? [b[1]!, b[0]!] : [b[0]!, b[1]!];
    if (inner !== innerB) throw mismatch("matMul", "the inner sizes differ", [a, b], "[M, K] and [K, N]");
    return [[rows, columns]];
  },
  transpose: (config, [x]) => {
    const sorted = config.permutation.toSorted((a, b) => a - b);
    if (!sameShape(sorted, [...x!.keys()])) {
      throw mismatch(
        "transpose",
        "the permutation does not name each axis once",
        [config.permutation, x],
        "a permutation",
      );
    }
    return [config.permutation.map((axis) => x![axis]!)];
  },
  reshape: (config, [x]) => {
    if (sizeOf(config.shape) !== sizeOf(x!)) {
      throw mismatch("reshape", "the number of elements changes", [x, config.shape], "as many elements as before");
    }
    return [config.shape];
  },
  expand: (config, [x]) => {
    if (!sameShape(broadcastShapes(x!, config.shape), config.shape)) {
      throw mismatch("expand", "only axes of size 1 can be stretched", [x, config.shape], "sizes of 1 or equal sizes");
    }
    return [config.shape];
  },
  slice: ({ axis, start, end }, [x]) => {
    const isInside = axis in x! && start >= 0 && start < end && end <= x![axis]!;
    if (!isInside) throw mismatch("slice", "it lies outside", [[axis, start, end], x], "a part of one axis");
    return [x!.map((size, each) => (each === axis ? end - start : size))];
  },
  everyNth: ({ kind, step }, [x]) => {
    if (x!.length !== 1 || step < 1)
      throw mismatch(kind, "it is not a row of numbers", [x!, [step]], "one axis, and a step of at least 1");
    return [[Math.ceil(x![0]! / step)]];
  },
  concatenate: ({ kind, axis }, [x, ...others]) => {
    const fit = x !== undefined && axis in x && others.every((shape) => isAlike(shape, x, axis));
    if (!fit) throw mismatch(kind, "the inputs do not fit", [x, ...others], `equal sizes but for axis ${axis}`);
    return [
      x.with(
        axis,
        others.reduce((sum, shape) => sum + shape[axis]!, x[axis]!),
      ),
    ];
  },
  cast: first,
  quantizeLinear: ({ kind }, [x, scale]) => {
    if (scale === undefined || scale.length > 0)
      throw mismatch(kind, "the scale is not one number", [scale], "a scalar");
    return [x!];
  },
  dequantizeLinear: ({ kind, axis }, [x, scale]) => {
    const isPerAxis = scale?.length === 1 && axis in x! && scale[0] === x![axis];
    if (scale?.length === 0 || isPerAxis) return [x!];
    throw mismatch(kind, `the scale does not fit axis ${axis}`, [x, scale], "a scalar, or a number for each index");
  },
  fakeQuantize: first,
  fakeQuantizeGradient: both,
  fakeQuantizeKernel: ({ kind, axes }, [w]) => {
    reduced({ kind, axes, keepDims: true }, [w!]);
    return [w!];
  },
};

/**
 * Shapes of an operator's outputs.
 * @throws {ShapeError} the inputs do not fit the operator.
 */
export function opOutputShapes(config: OpConfig, inputs: readonly Shape[]): readonly Shape[] {
  const rule = rules[config.kind] as (config: OpConfig, inputs: readonly Shape[]) => readonly Shape[];
  return rule(config, inputs);
}

function first(_: OpConfig, inputs: readonly Shape[]): readonly Shape[] {
  return [inputs[0]!];
}

function both(config: OpConfig, [a, b]: readonly Shape[]): readonly Shape[] {
  if (!a || !b || !sameShape(a, b)) throw mismatch(config.kind, "the inputs differ", [a, b], "equal shapes");
  return [a];
}

function broadcast(_: OpConfig, [a, b]: readonly Shape[]): readonly Shape[] {
  return [broadcastShapes(a!, b!)];
}

function reduced(
  config: { readonly kind: string; readonly axes: readonly number[]; readonly keepDims: boolean },
  [x]: readonly Shape[],
): readonly Shape[] {
  const { axes, kind } = config;
  const ascending = axes.every((axis, position) => position === 0 || axis > axes[position - 1]!);
  if (axes.length === 0 || !ascending || axes[0]! < 0 || axes.at(-1)! >= x!.length) {
    throw new ShapeError({
      where: kind,
      what: "the axes do not fit",
      received: `axes ${axes.join(" ")} of ${formatShape(x!)}`,
      expected: "at least one axis of the input, in ascending order",
    });
  }
  if (config.keepDims) return [x!.map((size, axis) => (config.axes.includes(axis) ? 1 : size))];
  return [x!.filter((_, axis) => !config.axes.includes(axis))];
}

function image(kind: string, x: Shape | undefined): readonly [number, number, number, number] {
  if (x?.length !== 4) throw mismatch(kind, "the input is not a batch of images", [x], "[N, C, H, W]");
  return x as unknown as readonly [number, number, number, number];
}

function normalized(kind: string, [x, ...vectors]: readonly Shape[], count: number): Shape {
  const [, channels] = image(kind, x);
  const fit = vectors.length === count && vectors.every((vector) => sameShape(vector, [channels]));
  if (!fit) throw mismatch(kind, "a statistic or scale does not fit", vectors, `${count} vectors of ${channels}`);
  return x!;
}

function convolved(config: OpOf<"conv" | "convInputGradient" | "convFilterGradient">, x?: Shape, w?: Shape): Shape {
  const [batch, channels] = image(config.kind, x);
  if (w?.length !== 4 || w[1]! * config.groups !== channels || w[0]! % config.groups !== 0) {
    throw mismatch(
      config.kind,
      "the kernel does not fit the channels",
      [x, w],
      "[K, C/groups, kh, kw], K divisible by groups",
    );
  }
  return [batch, w[0]!, ...slide(config, [w[2]!, w[3]!], x!)];
}

function pooled(config: OpOf<"maxPool" | "maxPoolGradient" | "averagePool">, x?: Shape): Shape {
  const [batch, channels] = image(config.kind, x);
  return [batch, channels, ...slide(config, config.kernel, x!)];
}

function expectGradient(kind: OpKind, dy: Shape | undefined, y: Shape): void {
  if (dy && sameShape(dy, y)) return;
  throw mismatch(kind, "the gradient does not have the shape of the output", [dy], formatShape(y));
}

function slide(window: Window, kernel: readonly [number, number], x: Shape): [number, number] {
  const [top, left, bottom, right] = window.pads;
  const rows = Math.floor((x[2]! + top + bottom - kernel[0]) / window.strides[0]) + 1;
  const columns = Math.floor((x[3]! + left + right - kernel[1]) / window.strides[1]) + 1;
  if (rows < 1 || columns < 1) {
    throw mismatch("window", "the window is larger than the image", [kernel, x], "an image as large as the window");
  }
  return [rows, columns];
}

/** Returns whether two shapes differ in the size of at most one axis. */
function isAlike(a: Shape, b: Shape, axis: number): boolean {
  return a.length === b.length && a.every((size, each) => each === axis || size === b[each]);
}

function mismatch(where: string, what: string, received: readonly (Shape | undefined)[], expected: string): ShapeError {
  return new ShapeError({
    where,
    what,
    received: received.map((shape) => (shape === undefined ? "nothing" : formatShape(shape))).join(", "),
    expected,
  });
}
