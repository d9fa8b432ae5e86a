import type { ElementType, OpKind, OpOf, Value, Window } from "../../graph/ops.ts";
import { type Shape, sameShape, sizeOf } from "../../tensor/shape.ts";
import { type Attributes, domains, type OnnxEmitter } from "./emitter.ts";
import { roundingRules } from "./rounding.ts";
import { elementTypeNumbers } from "./schema.ts";

/** Context of an operator's rule: the emitter, and the names of the operands in channels-first layout. */
export interface EmitContext<K extends OpKind = OpKind> {
  readonly emit: OnnxEmitter;
  readonly config: OpOf<K>;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** ONNX names of the inputs. */
  readonly x: readonly string[];
  /** ONNX names to give to the outputs. */
  readonly y: readonly string[];
}

type Operands = Omit<EmitContext, "config">;

/** For each operator, the ONNX nodes that compute it on any engine, channels first. */
export const emitRules: { readonly [K in OpKind]: (context: EmitContext<K>) => void } = {
  conv: ({ emit, config, x, y }) =>
    emit.node("Conv", x, y, { ...windowAttributes(config), group: { i: config.groups } }),
  convInputGradient: emitConvInputGradient,
  convFilterGradient: emitConvFilterGradient,
  batchNormalization: ({ emit, config, x, y }) =>
    emit.node("BatchNormalization", x, y, { epsilon: { f: config.epsilon } }),
  batchNormalizationTraining: ({ emit, config, inputs, x, y }) => {
    // With momentum 0 the operator's "running" outputs are the batch's own statistics, independent of its running inputs.
    // ONNX Runtime writes those outputs into the memory of the inputs: each needs a tensor that nothing else reads, that
    // is no constant, and that no optimization merges with another one.
    const varying = (index: number) =>
      "data" in inputs[index]! ? emitOnePixel(emit, x[0]!, inputs[index]!.shape) : x[index]!;
    const unused = [emit.compute("unused", "Neg", [varying(2)]), emit.compute("unused", "Abs", [varying(1)])];
    const attributes = { training_mode: { i: 1 }, momentum: { f: 0 }, epsilon: { f: config.epsilon } };
    emit.node("BatchNormalization", [...x, ...unused], y, attributes);
  },
  batchNormalizationGradient: emitBatchNormalizationGradient,
  batchNormalizationAffineGradient: ({ emit, config, inputs, x: [dy, x, mean, variance], y: [dgamma, dbeta] }) => {
    const compute = emit.steps(dgamma!);
    const alongImage = [emit.integers([0, 2, 3])];
    const keepNone = { keepdims: { i: 0 } };
    const centered = compute("centered", "Sub", x!, emit.reshape(mean!, [1, inputs[2]!.shape[0]!, 1, 1]));
    const products = compute("product", "Mul", dy!, centered);
    const sum = emit.compute(`${dgamma}/sum`, "ReduceSum", [products, ...alongImage], keepNone);
    const root = compute("root", "Sqrt", compute("shifted", "Add", variance!, emit.scalar(config.epsilon)));
    emit.node("Div", [sum, root], [dgamma!]);
    emit.node("ReduceSum", [dy!, ...alongImage], [dbeta!], keepNone);
  },
  channelMoments: ({ emit, x: [x], y: [mean, meanSquare] }) => {
    const average = (value: string, y: string) =>
      emit.node("ReduceMean", [value, emit.integers([0, 2, 3])], [y], { keepdims: { i: 0 } });
    average(x!, mean!);
    average(emit.compute(`${meanSquare}/squares`, "Mul", [x!, x!]), meanSquare!);
  },
  scaledSum: ({ emit, inputs, x: [x, y, ...vectors], y: [sum] }) => {
    const compute = emit.steps(sum!);
    const [scale, shift, factor] = vectors.map((name, index) =>
      emit.reshape(name, [1, inputs[2 + index]!.shape[0]!, 1, 1]),
    );
    const moved = compute("moved", "Add", compute("scaled", "Mul", x!, scale!), shift!);
    emit.node("Mul", [compute("sum", "Add", moved, y!), factor!], [sum!]);
  },
  maxPool: ({ emit, config, x, y }) => emit.node("MaxPool", x, y, poolAttributes(config)),
  maxPoolGradient: ({ emit, config, inputs, x: [dy, x], y: [dx] }) => {
    const [gradient, image] = inputs as [Value, Value, Value];
    const found = emit.unusedName(`${dx}/maximum`);
    const where = emit.unusedName(`${dx}/where`);
    emit.node("MaxPool", [x!], [found, where], poolAttributes(config));
    const zeros = emit.compute(`${dx}/zeros`, "Expand", [emit.scalar(0), emit.integers([sizeOf(image.shape)])]);
    const count = [sizeOf(gradient.shape)];
    const operands = [zeros, emit.reshape(where, count), emit.reshape(dy!, count)];
    const sum = emit.compute(`${dx}/flat`, "ScatterElements", operands, { axis: { i: 0 }, reduction: { s: "add" } });
    emit.node("Reshape", [sum, emit.integers(image.shape)], [dx!]);
  },
  averagePool: ({ emit, config, x, y }) => emit.node("AveragePool", x, y, poolAttributes(config)),
  pad: ({ emit, config: { pads }, x, y }) => {
    const [top, left, bottom, right] = pads;
    emit.node("Pad", [x[0]!, emit.integers([0, 0, top, left, 0, 0, bottom, right])], y);
  },
  relu: simple("Relu"),
  reluGradient: ({ emit, x: [dy, y], y: [dx] }) => {
    const isPositive = emit.compute(`${dx}/positive`, "Greater", [y!, emit.scalar(0)]);
    emit.node("Mul", [dy!, emit.compute(`${dx}/mask`, "Cast", [isPositive], castTo("float32"))], [dx!]);
  },
  elu: simple("Elu"),
  eluGradient: ({ emit, x: [dy, y], y: [dx] }) => {
    const negative = emit.compute(`${dx}/negative`, "Min", [y!, emit.scalar(0)]);
    emit.node("Mul", [dy!, emit.compute(`${dx}/slope`, "Add", [negative, emit.scalar(1)])], [dx!]);
  },
  leakyRelu: ({ emit, config, x, y }) => emit.node("LeakyRelu", x, y, { alpha: { f: config.slope } }),
  leakyReluGradient: ({ emit, config, x: [dy, y], y: [dx] }) => {
    const isPositive = emit.compute(`${dx}/positive`, "Greater", [y!, emit.scalar(0)]);
    const reduced = emit.compute(`${dx}/reduced`, "Mul", [dy!, emit.scalar(config.slope)]);
    emit.node("Where", [isPositive, dy!, reduced], [dx!]);
  },
  sigmoid: simple("Sigmoid"),
  exp: simple("Exp"),
  log: simple("Log"),
  sqrt: simple("Sqrt"),
  softplus: simple("Softplus"),
  add: pairwise("Add"),
  subtract: pairwise("Sub"),
  multiply: pairwise("Mul"),
  divide: pairwise("Div"),
  minimum: pairwise("Min"),
  maximum: pairwise("Max"),
  allReduceMean: simple("Identity"),
  softmax: simple("Softmax"),
  logSoftmax: simple("LogSoftmax"),
  reduceSum: reduction("ReduceSum"),
  reduceMean: reduction("ReduceMean"),
  matMul: ({ emit, config: { transposeA, transposeB }, x, y }) => {
    if (!transposeA && !transposeB) emit.node("MatMul", x, y);
    else emit.node("Gemm", x, y, { transA: { i: Number(transposeA) }, transB: { i: Number(transposeB) } });
  },
  transpose: ({ emit, config, x, y }) => emit.node("Transpose", x, y, { perm: { ints: config.permutation } }),
  reshape: ({ emit, config: { shape }, inputs, x, y }) => {
    // 0 keeps the size: the batch's, which may be left open.
    const keeps = shape.length > 0 && shape[0] === inputs[0]!.shape[0];
    emit.node("Reshape", [x[0]!, emit.integers(keeps ? [0, ...shape.slice(1)] : shape)], y);
  },
  expand: ({ emit, config, x, y }) => emit.node("Expand", [x[0]!, emit.integers(config.shape)], y),
  slice: ({ emit, config: { axis, start, end }, x, y }) =>
    emit.node("Slice", [x[0]!, ...emit.bounds([start], [end], [axis])], y),
  everyNth: ({ emit, config: { step }, inputs, x, y }) => {
    const bounds = emit.bounds([0], [inputs[0]!.shape[0]!], [0]);
    emit.node("Slice", [x[0]!, ...bounds, emit.integers([step])], y);
  },
  concatenate: ({ emit, config, x, y }) => emit.node("Concat", x, y, { axis: { i: config.axis } }),
  cast: ({ emit, config, x, y }) => emit.node("Cast", x, y, castTo(config.to)),
  quantizeLinear: ({ emit, config, x, y }) => emit.node("QuantizeLinear", [...x, emit.byte(config.zeroPoint)], y),
  dequantizeLinear: ({ emit, config: { zeroPoint, axis }, inputs: [q, scale], x, y }) => {
    // Weights are symmetric, and the engine multiplies integers only if their zero point is absent or 0.
    const [count] = scale!.shape;
    const zeroPoints = () =>
      count === undefined ? emit.byte(zeroPoint) : emit.bytes([count], new Array(count).fill(zeroPoint));
    const operands = q!.type === "uint8" ? [...x, zeroPoints()] : x;
    emit.node("DequantizeLinear", operands, y, count === undefined ? {} : { axis: { i: axis } });
  },
  ...roundingRules,
};

/** Attributes of ONNX's window operators. */
export function windowAttributes({ strides, pads }: Window): Attributes {
  return { strides: { ints: strides }, pads: { ints: pads } };
}

export function poolAttributes(config: OpOf<"maxPool" | "maxPoolGradient" | "averagePool">): Attributes {
  return { ...windowAttributes(config), kernel_shape: { ints: config.kernel } };
}

/** The first pixel of the first image, `[N, C, H, W] → [C]`. */
function emitOnePixel(emit: OnnxEmitter, x: string, shape: Shape): string {
  const bounds = emit.bounds([0, 0, 0], [1, 1, 1], [0, 2, 3]);
  return emit.reshape(emit.compute("pixel", "Slice", [x, ...bounds]), shape);
}

function simple(operator: string) {
  return ({ emit, x, y }: Operands) => emit.node(operator, x, y);
}

/**
 * ONNX Runtime combines a tensor and a scalar element by element, without vector instructions, if the tensor's last
 * axis has size 1, as the kernels of 1×1 convolutions do: those are viewed as vectors. A first axis of size 1 may stand for any
 * batch, which a view would fix.
 */
function pairwise(operator: string) {
  return ({ emit, inputs: [a, b], outputs: [y], x: names, y: [output] }: Operands) => {
    const isSlow = y!.shape[0] !== 1 && y!.shape.at(-1) === 1 && sizeOf(y!.shape) > 1 && !sameShape(a!.shape, b!.shape);
    const isScaled = [a!, b!].every((value) => sizeOf(value.shape) === 1 || sameShape(value.shape, y!.shape));
    if (!isSlow || !isScaled) {
      emit.node(operator, names, [output!]);
      return;
    }
    const views = [a!, b!].map((value, index) => emit.reshape(names[index]!, [sizeOf(value.shape)]));
    emit.node("Reshape", [emit.compute(`${output}/flat`, operator, views), emit.integers(y!.shape)], [output!]);
  };
}

function reduction(operator: string) {
  return ({ emit, config, x, y }: EmitContext<"reduceSum"> | EmitContext<"reduceMean">) =>
    emit.node(operator, [x[0]!, emit.integers(config.axes)], y, { keepdims: { i: Number(config.keepDims) } });
}

function castTo(type: ElementType): Attributes {
  return { to: { i: elementTypeNumbers[type] } };
}

function emitConvInputGradient({ emit, config, inputs, x, y }: EmitContext<"convInputGradient">): void {
  const [dy, kernel] = inputs as [Value, Value];
  const [size, dx] = [kernel.shape.slice(2), config.inputShape];
  emit.node("ConvTranspose", x, y, transposedAttributes(config, config.groups, dy.shape, size, dx));
}

/**
 * Attributes of a transposed convolution. Output padding makes up for the rows and columns at the end that the forward
 * window, with its stride, never reached.
 */
function transposedAttributes(window: Window, groups: number, dy: Shape, kernel: Shape, dx: Shape): Attributes {
  const { strides, pads } = window;
  const unreached = [0, 1].map((axis) => {
    const reached = (dy[axis + 2]! - 1) * strides[axis]! + kernel[axis]!;
    return dx[axis + 2]! + pads[axis]! + pads[axis + 2]! - reached;
  });
  return { ...windowAttributes(window), group: { i: groups }, output_padding: { ints: unreached } };
}

/**
 * Shifts an image by each position of a window, and cuts it to the size of the output.
 * @param fill name of the padding's value; default 0.
 * @returns a function for each position, which writes the shifted image.
 */
function shiftedImages(
  emit: OnnxEmitter,
  { strides, pads: [top, left, bottom, right] }: Window,
  [height, width]: Shape,
  { name, hint, shape: [, , rows, columns], fill }: { name: string; hint: string; shape: Shape; fill?: string },
): readonly ((step: string) => string)[] {
  const isPadded = top + left + bottom + right > 0 || fill !== undefined;
  const amounts = emit.integers([0, 0, top, left, 0, 0, bottom, right]);
  const operands = fill === undefined ? [name, amounts] : [name, amounts, fill];
  const padded = isPadded ? emit.compute(`${hint}/padded`, "Pad", operands) : name;
  const isWhole = !isPadded && height === 1 && width === 1 && strides.every((stride) => stride === 1);
  return Array.from({ length: height! * width! }, (_, position) => (step: string) => {
    const [i, j] = [Math.floor(position / width!), position % width!];
    const ends = [i + (rows! - 1) * strides[0] + 1, j + (columns! - 1) * strides[1] + 1];
    const slice = [padded, ...emit.bounds([i, j], ends, [2, 3]), emit.integers(strides)];
    return isWhole ? padded : emit.compute(`${hint}/${step}`, "Slice", slice);
  });
}

/**
 * For each position (i, j) of the kernel, the image shifted by (i, j) against dy: across channels a matrix multiplication
 * summed over the batch, for depthwise kernels an elementwise product summed over all positions.
 */
function emitConvFilterGradient({
  emit,
  config,
  inputs,
  x: [x, dy],
  y: [dw],
}: EmitContext<"convFilterGradient">): void {
  const [image, gradient] = inputs as [Value, Value];
  const { groups, kernelShape } = config;
  const [batch, filters, rows, columns] = gradient.shape as [number, number, number, number];
  const source = { name: x!, hint: dw!, shape: gradient.shape };
  const positions = shiftedImages(emit, config, kernelShape.slice(2), source).map((shift) => {
    const operands = [emit, dw!, shift("shifted"), dy!] as const;
    if (groups === 1)
      return emitPointwiseFilterGradient(...operands, [batch, filters, image.shape[1]!, rows * columns]);
    return emitGroupedFilterGradient(...operands, [batch, groups, filters, kernelShape[1]!, rows, columns]);
  });
  const stacked =
    positions.length === 1 ? positions[0]! : emit.compute(`${dw}/all`, "Concat", positions, { axis: { i: -1 } });
  emit.node("Reshape", [stacked, emit.integers(kernelShape)], [dw!]);
}

/** dY·Xᵀ for each image, summed over the batch, with a last axis of 1: `[K, C, 1]`. */
function emitPointwiseFilterGradient(
  emit: OnnxEmitter,
  dw: string,
  x: string,
  dy: string,
  [batch, filters, channels, positions]: readonly [number, number, number, number],
): string {
  const rows = emit.reshape(dy, [batch, filters, positions]);
  const columns = emit.reshape(x, [batch, channels, positions]);
  const transposed = { transA: { i: 0 }, transB: { i: 1 } };
  const products = emit.compute(`${dw}/products`, "FusedMatMul", [rows, columns], transposed, domains.microsoft);
  const keepNone = { keepdims: { i: 0 } };
  const sum = emit.compute(`${dw}/sum`, "ReduceSum", [products, emit.integers([0])], keepNone);
  return emit.reshape(sum, [filters, channels, 1]);
}

/** Σ dy·x over batch and positions, `[K, C/groups, 1]`; x is repeated for the filters of its group. */
function emitGroupedFilterGradient(
  emit: OnnxEmitter,
  dw: string,
  x: string,
  dy: string,
  [batch, groups, filters, channelsPerGroup, rows, columns]: readonly number[],
): string {
  const perGroup = filters! / groups!;
  const gradient = emit.reshape(dy, [batch!, groups!, perGroup, 1, rows!, columns!]);
  const image = emit.reshape(x, [batch!, groups!, 1, channelsPerGroup!, rows!, columns!]);
  const product = emit.compute(`${dw}/product`, "Mul", [gradient, image]);
  const sum = emit.compute(`${dw}/sum`, "ReduceSum", [product, emit.integers([0, 4, 5])], { keepdims: { i: 0 } });
  return emit.reshape(sum, [filters!, channelsPerGroup!, 1]);
}

/**
 * With s = 1/√(variance + ε), x̂ = (x − mean)·s and means over batch and image:
 * dx = gamma·s·(dy − mean(dy) − x̂·mean(dy·x̂)), dgamma = Σ dy·x̂, dbeta = Σ dy (Ioffe and Szegedy 2015, section 3).
 */
function emitBatchNormalizationGradient(context: EmitContext<"batchNormalizationGradient">): void {
  const { emit, config, inputs, x: names, y } = context;
  const [dy, x, gamma, mean, variance] = names as [string, string, string, string, string];
  const [dx, dgamma, dbeta] = y as [string, string, string];
  const channels = inputs[2]!.shape[0]!;
  const count = sizeOf(inputs[0]!.shape) / channels;
  const compute = emit.steps(dx);
  const perChannel = (name: string) => emit.reshape(name, [1, channels, 1, 1]);
  const sum = (name: string, output: string) =>
    emit.node("ReduceSum", [name, emit.integers([0, 2, 3])], [output], { keepdims: { i: 0 } });

  const root = compute("root", "Sqrt", compute("shifted", "Add", variance, emit.scalar(config.epsilon)));
  const s = compute("s", "Div", emit.scalar(1), root);
  const centered = compute("centered", "Sub", x, perChannel(mean));
  const normalized = compute("normalized", "Mul", centered, perChannel(s));
  sum(compute("product", "Mul", dy, normalized), dgamma);
  sum(dy, dbeta);
  const share = emit.scalar(1 / count);
  const offset = compute("offset", "Sub", dy, perChannel(compute("meanDy", "Mul", dbeta, share)));
  const slope = compute("slope", "Mul", normalized, perChannel(compute("meanProduct", "Mul", dgamma, share)));
  const scale = perChannel(compute("scale", "Mul", gamma, s));
  emit.node("Mul", [compute("rest", "Sub", offset, slope), scale], [dx]);
}

/** Padding below every number that pooling finds. */
const border = -3e38;

/**
 * Max pooling's gradient for engines whose pooling does not return the indices of the maxima: the candidates of each window
 * are compared with the maximum in order, and the first that equals it takes the gradient that is left. A transposed
 * convolution, whose kernels hold a single 1 each, adds it up at the candidates' places.
 */
export function emitComparedMaxima({
  emit,
  config,
  inputs,
  x: [dy, x, maxima],
  y: [dx],
}: EmitContext<"maxPoolGradient">): void {
  const [gradient, image] = inputs as [Value, Value];
  const [height, width] = config.kernel as [number, number];
  const [batch, channels, rows, columns] = gradient.shape as [number, number, number, number];
  const source = { name: x!, hint: dx!, shape: gradient.shape, fill: emit.scalar(border) };
  let rest = dy!;
  const parts = shiftedImages(emit, config, config.kernel, source).map((candidate) => {
    const isMaximum = emit.compute(`${dx}/isMaximum`, "Equal", [candidate("candidate"), maxima!]);
    const share = emit.compute(`${dx}/share`, "Cast", [isMaximum], castTo("float32"));
    const part = emit.compute(`${dx}/part`, "Mul", [share, rest]);
    rest = emit.compute(`${dx}/rest`, "Sub", [rest, part]);
    return emit.reshape(part, [batch, channels, 1, rows, columns]);
  });
  const positions = height * width;
  const together = emit.compute(`${dx}/parts`, "Concat", parts, { axis: { i: 2 } });
  const stacked = emit.reshape(together, [batch, channels * positions, rows, columns]);
  const kernels = new Float32Array(channels * positions ** 2);
  for (let index = 0; index < channels * positions; index++) kernels[index * positions + (index % positions)] = 1;
  const places = emit.unusedName(`${dx}/places`);
  emit.floats(places, [channels * positions, 1, height, width], kernels);
  const attributes = transposedAttributes(config, channels, gradient.shape, config.kernel, image.shape);
  emit.node("ConvTranspose", [stacked, places], [dx!], attributes);
}
