import { GraphError } from "../base/errors.ts";
import type { Size2 } from "../graph/layers.ts";
import type { OpGraphBuilder } from "../graph/op-builder.ts";
import type { OpKind, OpOf, Value, Window } from "../graph/ops.ts";
import { type Shape, sameShape, sizeOf } from "../tensor/shape.ts";

/** Emits one gradient; called only if needed. */
type GradientWriter = () => Value;

/** An operator in the backward pass: its inputs, its outputs, and the gradients of its outputs. */
interface Step<K extends OpKind> {
  readonly build: OpGraphBuilder;
  readonly config: OpOf<K>;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Gradient of the target with respect to the first output. */
  readonly dy: Value;
}

/** Gradient rules: for each operator, the gradients of its inputs. */
export const gradientRules: { readonly [K in OpKind]: (step: Step<K>) => readonly GradientWriter[] } = {
  conv: ({ build, config: { strides, pads, groups }, inputs: [x, w], dy }) => [
    () =>
      build.op({ kind: "convInputGradient", strides, pads, groups, inputShape: x!.shape }, [dy, w!], `d.${x!.name}`),
    () =>
      build.op({ kind: "convFilterGradient", strides, pads, groups, kernelShape: w!.shape }, [x!, dy], `d.${w!.name}`),
    () => build.op({ kind: "reduceSum", axes: [0, 2, 3], keepDims: false }, [dy]),
  ],
  convInputGradient: notDifferentiable,
  convFilterGradient: notDifferentiable,

  // With s = 1/√(variance + ε) and x̂ = (x − mean)·s:  y = gamma·x̂ + beta, the statistics being constants.
  batchNormalization: ({ build, config, inputs: [x, gamma, , mean, variance], dy }) => {
    const perChannel = (value: Value) => build.op({ kind: "reshape", shape: [1, value.shape[0]!, 1, 1] }, [value]);
    const shifted = build.op({ kind: "add" }, [variance!, build.constant(config.epsilon)]);
    const s = build.op({ kind: "divide" }, [build.constant(1), build.op({ kind: "sqrt" }, [shifted])]);
    const scale = build.op({ kind: "multiply" }, [gamma!, s]);
    const sum = (value: Value) => build.op({ kind: "reduceSum", axes: [0, 2, 3], keepDims: false }, [value]);
    let affine: readonly Value[] | undefined;
    const affineGradient = () => {
      const kind = "batchNormalizationAffineGradient";
      const names = [`d.${gamma!.name}`, `d.${gamma!.name}.shift`];
      affine ??= build.ops({ kind, epsilon: config.epsilon }, [dy, x!, mean!, variance!], names);
      return affine;
    };
    return [
      () => build.op({ kind: "multiply" }, [dy, perChannel(scale)], `d.${x!.name}`),
      () => affineGradient()[0]!,
      () => affineGradient()[1]!,
      () => build.op({ kind: "multiply" }, [sum(dy), negated(build, scale)]),
      () => {
        const scaleByVariance = build.op({ kind: "divide" }, [gamma!, shifted]);
        const product = build.op({ kind: "multiply" }, [affineGradient()[0]!, scaleByVariance]);
        return build.op({ kind: "multiply" }, [product, build.constant(-0.5)]);
      },
    ];
  },
  batchNormalizationTraining: ({ build, config: { epsilon }, inputs: [x, gamma], outputs: [, mean, variance], dy }) => {
    const parts = build.ops(
      { kind: "batchNormalizationGradient", epsilon },
      [dy, x!, gamma!, mean!, variance!],
      [`d.${x!.name}`, `d.${gamma!.name}`, `d.${gamma!.name}.shift`],
    );
    return parts.map((part) => () => part);
  },
  batchNormalizationGradient: notDifferentiable,
  batchNormalizationAffineGradient: notDifferentiable,
  channelMoments: notDifferentiable,
  scaledSum: notDifferentiable,

  maxPool: ({ build, config: { strides, pads, kernel }, inputs: [x], outputs: [y], dy }) => [
    () => build.op({ kind: "maxPoolGradient", strides, pads, kernel }, [dy, x!, y!], `d.${x!.name}`),
  ],
  maxPoolGradient: notDifferentiable,
  // Each pixel gets an equal share from every window that it is in: a convolution of ones, backwards.
  averagePool: ({ build, config: { kernel, strides, pads }, inputs: [x], outputs: [y], dy }) => [
    () => {
      const [channels] = x!.shape.slice(1) as [number];
      const shares = build.constant(windowShares(kernel, { strides, pads }, x!.shape), [1, 1, ...y!.shape.slice(2)]);
      const part = build.op({ kind: "multiply" }, [dy, shares]);
      const ones = build.constant(new Float32Array(channels * sizeOf(kernel)).fill(1), [channels, 1, ...kernel]);
      const config = { kind: "convInputGradient", strides, pads, groups: channels } as const;
      return build.op({ ...config, inputShape: x!.shape }, [part, ones], `d.${x!.name}`);
    },
  ],
  pad: ({ build, config: { pads }, inputs: [x], dy }) => [
    () => {
      const [, , height, width] = x!.shape as readonly [number, number, number, number];
      const [top, left] = pads;
      const rows = build.op({ kind: "slice", axis: 2, start: top, end: top + height }, [dy]);
      return build.op({ kind: "slice", axis: 3, start: left, end: left + width }, [rows], `d.${x!.name}`);
    },
  ],

  relu: ({ build, inputs: [x], outputs: [y], dy }) => [
    () => build.op({ kind: "reluGradient" }, [dy, y!], `d.${x!.name}`),
  ],
  reluGradient: notDifferentiable,
  elu: ({ build, outputs: [y], dy }) => [() => build.op({ kind: "eluGradient" }, [dy, y!])],
  eluGradient: notDifferentiable,
  leakyRelu: ({ build, config: { slope }, outputs: [y], dy }) => [
    () => build.op({ kind: "leakyReluGradient", slope }, [dy, y!]),
  ],
  leakyReluGradient: notDifferentiable,
  // y' = y·(1 − y)
  sigmoid: ({ build, outputs: [y], dy }) => [
    () => {
      const rest = build.op({ kind: "subtract" }, [build.constant(1), y!]);
      return build.op({ kind: "multiply" }, [dy, build.op({ kind: "multiply" }, [y!, rest])]);
    },
  ],
  exp: ({ build, outputs: [y], dy }) => [() => build.op({ kind: "multiply" }, [dy, y!])],
  log: ({ build, inputs: [x], dy }) => [() => build.op({ kind: "divide" }, [dy, x!])],
  // y' = 1/(2y)
  sqrt: ({ build, outputs: [y], dy }) => [
    () => build.op({ kind: "divide" }, [dy, build.op({ kind: "multiply" }, [y!, build.constant(2)])]),
  ],
  softplus: ({ build, inputs: [x], dy }) => [
    () => build.op({ kind: "multiply" }, [dy, build.op({ kind: "sigmoid" }, [x!])]),
  ],

  add: ({ build, inputs: [a, b], dy }) => [() => sumTo(build, dy, a!.shape), () => sumTo(build, dy, b!.shape)],
  subtract: ({ build, inputs: [a, b], dy }) => [
    () => sumTo(build, dy, a!.shape),
    () => negated(build, sumTo(build, dy, b!.shape)),
  ],
  multiply: ({ build, inputs: [a, b], dy }) => [
    () => sumTo(build, build.op({ kind: "multiply" }, [dy, b!]), a!.shape),
    () => sumTo(build, build.op({ kind: "multiply" }, [dy, a!]), b!.shape),
  ],
  // ∂(a/b)/∂b = −y/b
  divide: ({ build, inputs: [a, b], outputs: [y], dy }) => [
    () => sumTo(build, build.op({ kind: "divide" }, [dy, b!]), a!.shape),
    () => {
      const slope = build.op({ kind: "divide" }, [y!, b!]);
      return negated(build, sumTo(build, build.op({ kind: "multiply" }, [dy, slope]), b!.shape));
    },
  ],
  minimum: notDifferentiable,
  maximum: notDifferentiable,

  // dx = y·(dy − Σ dy·y)
  softmax: ({ build, outputs: [y], dy }) => [
    () => {
      const product = build.op({ kind: "multiply" }, [dy, y!]);
      const rest = build.op({ kind: "subtract" }, [dy, sumOfLastAxis(build, product)]);
      return build.op({ kind: "multiply" }, [y!, rest]);
    },
  ],
  // dx = dy − eʸ·Σ dy
  logSoftmax: ({ build, outputs: [y], dy }) => [
    () => {
      const probabilities = build.op({ kind: "exp" }, [y!]);
      const product = build.op({ kind: "multiply" }, [probabilities, sumOfLastAxis(build, dy)]);
      return build.op({ kind: "subtract" }, [dy, product]);
    },
  ],

  reduceSum: ({ build, config, inputs: [x], dy }) => [() => spread(build, dy, x!.shape, config.axes)],
  reduceMean: ({ build, config, inputs: [x], dy }) => [
    () => {
      const count = config.axes.reduce((product, axis) => product * x!.shape[axis]!, 1);
      const share = build.op({ kind: "multiply" }, [dy, build.constant(1 / count)]);
      return spread(build, share, x!.shape, config.axes);
    },
  ],

  // Y = A·B:  dA = dY·Bᵀ, dB = Aᵀ·dY; a transposed operand gets the transposed product.
  matMul: ({ build, config: { transposeA, transposeB }, inputs: [a, b], dy }) => [
    () =>
      transposeA
        ? build.op({ kind: "matMul", transposeA: transposeB, transposeB: true }, [b!, dy])
        : build.op({ kind: "matMul", transposeA: false, transposeB: !transposeB }, [dy, b!]),
    () =>
      transposeB
        ? build.op({ kind: "matMul", transposeA: true, transposeB: transposeA }, [dy, a!])
        : build.op({ kind: "matMul", transposeA: !transposeA, transposeB: false }, [a!, dy]),
  ],
  transpose: ({ build, config: { permutation }, dy }) => [
    () => build.op({ kind: "transpose", permutation: permutation.map((_, axis) => permutation.indexOf(axis)) }, [dy]),
  ],
  reshape: ({ build, inputs: [x], dy }) => [() => build.op({ kind: "reshape", shape: x!.shape }, [dy])],
  expand: ({ build, inputs: [x], dy }) => [() => sumTo(build, dy, x!.shape)],
  slice: notDifferentiable,
  everyNth: notDifferentiable,
  concatenate: ({ build, config: { axis }, inputs, dy }) => {
    let end = 0;
    return inputs.map((x) => {
      const start = end;
      end += x.shape[axis]!;
      const part = { kind: "slice", axis, start, end } as const;
      return () => build.op(part, [dy], `d.${x.name}`);
    });
  },
  cast: notDifferentiable,
  quantizeLinear: notDifferentiable,
  dequantizeLinear: notDifferentiable,
  // Straight through: rounding counts as the identity, clipping as itself.
  fakeQuantize: ({ build, config, inputs: [x], dy }) => [
    () => build.op({ ...config, kind: "fakeQuantizeGradient" }, [dy, x!], `d.${x!.name}`),
  ],
  fakeQuantizeGradient: notDifferentiable,
  fakeQuantizeKernel: ({ dy }) => [() => dy],
  // The target is the mean of the ranks' targets, so each x gets the average of the gradients of all copies of y.
  allReduceMean: ({ build, inputs: [x], dy }) => [() => build.op({ kind: "allReduceMean" }, [dy], `d.${x!.name}`)],
};

function notDifferentiable({ config }: { readonly config: { readonly kind: string } }): never {
  throw new GraphError({
    where: `gradient of ${config.kind}`,
    what: "this operator has no gradient rule",
    remedy: "Ask for gradients of values after it, or leave it out of the target.",
  });
}

/** 1 / the number of pixels inside the image, for each window. */
function windowShares(kernel: Size2, { strides, pads }: Window, image: Shape): number[] {
  const [rows, columns] = ([0, 1] as const).map((axis) => {
    const [size, before, after] = [image[axis + 2]!, pads[axis], pads[axis + 2]!];
    const count = Math.floor((size + before + after - kernel[axis]) / strides[axis]) + 1;
    return Array.from({ length: count }, (_, index) => {
      const start = index * strides[axis] - before;
      return Math.min(start + kernel[axis], size) - Math.max(start, 0);
    });
  }) as [number[], number[]];
  return rows.flatMap((height) => columns.map((width) => 1 / (height * width)));
}

/** Undoes a broadcast: sums over the axes that were stretched. */
function sumTo(build: OpGraphBuilder, dy: Value, shape: Shape): Value {
  const added = dy.shape.length - shape.length;
  const axes = dy.shape.flatMap((size, axis) =>
    axis < added || (size !== 1 && shape[axis - added] === 1) ? [axis] : [],
  );
  const summed = axes.length === 0 ? dy : build.op({ kind: "reduceSum", axes, keepDims: false }, [dy]);
  const isDone = summed.shape.length === shape.length;
  return isDone ? summed : build.op({ kind: "reshape", shape }, [summed]);
}

/** Undoes a reduction over `axes`: copies the gradient to every summed element. */
function spread(build: OpGraphBuilder, dy: Value, shape: Shape, axes: readonly number[]): Value {
  const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const reshaped = sameShape(kept, dy.shape) ? dy : build.op({ kind: "reshape", shape: kept }, [dy]);
  return build.op({ kind: "expand", shape }, [reshaped]);
}

function sumOfLastAxis(build: OpGraphBuilder, x: Value): Value {
  return build.op({ kind: "reduceSum", axes: [x.shape.length - 1], keepDims: true }, [x]);
}

function negated(build: OpGraphBuilder, x: Value): Value {
  return build.op({ kind: "multiply" }, [x, build.constant(-1)]);
}
