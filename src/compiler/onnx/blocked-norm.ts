import type { Value } from "../../graph/ops.ts";
import { sameShape } from "../../tensor/shape.ts";
import { takesFactor } from "./blocked-conv.ts";
import { type BlockedRules, type BlockedTools, fitsBlocks, type Shape4 } from "./blocked-tools.ts";
import { type Attributes, domains } from "./emitter.ts";
import { type BlockOrder, elementsPerChannel } from "./forms.ts";

/** Batch normalization and its gradient on blocks; each pass over an image is one convolution or pooling. */
export const normalizationRules: BlockedRules = {
  // With s = 1/√(variance + ε): scale = gamma·s, shift = beta − mean·scale.
  batchNormalization: (tools, { epsilon }, { inputs: [x, gamma, beta, mean, variance], outputs: [y] }) => {
    if (!fitsBlocks(x!.shape[1]!) || !tools.forms.isBlocked(x!)) return false;
    emitNormalized(tools, x!, y!, { gamma: gamma!, beta: beta!, mean: mean!, variance: variance!, epsilon });
    return true;
  },

  channelMoments: (tools, _, { inputs: [x], outputs: [mean, meanSquare] }) => {
    const { forms, kernels, nameOf } = tools;
    if (!fitsBlocks(x!.shape[1]!)) return false;
    const order = forms.blockOrder(x!);
    kernels.vectorBack(emitMean(tools, x!, order, mean!.name), mean!.shape, nameOf(mean!));
    kernels.vectorBack(emitMeanProduct(tools, x!, x!, order, meanSquare!.name), meanSquare!.shape, nameOf(meanSquare!));
    return true;
  },

  scaledSum: (tools, _, { inputs: [x, y, ...vectors], outputs: [sum] }) => {
    const { forms } = tools;
    if (!fitsBlocks(x!.shape[1]!) || !(forms.isBlocked(x!) || forms.isBlocked(y!))) return false;
    const [scale, shift, factor] = vectors.map((value) => tools.vector(value));
    emitFactoredSum(tools, [x!, y!], { scale: scale!, shift: shift!, factor: factor! }, sum!);
    return true;
  },

  // dgamma = Σ dy·(x − mean)·s = count·(mean(dy·x) − mean·m)·s with m = mean(dy).
  batchNormalizationAffineGradient: (tools, { epsilon }, { inputs, outputs: [dgamma, dbeta] }) => {
    const [dy, x, mean, variance] = inputs as [Value, Value, Value, Value];
    if (!fitsBlocks(x.shape[1]!) || !(tools.forms.isBlocked(x) || tools.forms.isBlocked(dy))) return false;
    const { emit, forms, kernels, nameOf } = tools;
    const order = forms.blockOrder(forms.isBlocked(x) ? x : dy);
    const compute = emit.steps(dgamma!.name);
    const m = emitGradientMean(tools, dy, order, dgamma!.name);
    const product = emitMeanProduct(tools, x, dy, order, dgamma!.name);
    const s = emitInverseDeviation(tools, tools.vector(variance), epsilon, dgamma!);
    const q = compute("q", "Mul", compute("centered", "Sub", product, compute("mm", "Mul", tools.vector(mean), m)), s);
    const count = emit.scalar(elementsPerChannel(x));
    kernels.vectorBack(compute("sumProduct", "Mul", q, count), dgamma!.shape, nameOf(dgamma!));
    kernels.vectorBack(compute("sum", "Mul", m, count), dbeta!.shape, nameOf(dbeta!));
    return true;
  },

  // Of each channel, as in the gradient of a bias.
  reduceSum: (tools, { axes, keepDims }, { inputs: [x], outputs: [sum] }) => {
    const isPerChannel = !keepDims && sameShape(axes, [0, 2, 3]);
    if (!isPerChannel || !fitsBlocks(x!.shape[1]!) || !tools.forms.isBlocked(x!)) return false;
    const { emit, forms, kernels, nameOf } = tools;
    const mean = emitGradientMean(tools, x!, forms.blockOrder(x!), sum!.name);
    const total = emit.compute(`${sum!.name}/total`, "Mul", [mean, emit.scalar(elementsPerChannel(x!))]);
    kernels.vectorBack(total, sum!.shape, nameOf(sum!));
    return true;
  },

  // One number per channel, as in the gradient of a normalization by moving statistics, or per pixel, as in that of average
  // pooling.
  multiply: (tools, _, { inputs: [x, scale], outputs: [y] }) => {
    const [batch, channels, rows, columns] = y!.shape as readonly [number, number, number, number];
    const isImage = y!.shape.length === 4 && sameShape(x!.shape, y!.shape);
    if (!isImage || !fitsBlocks(channels) || !tools.forms.isBlocked(x!)) return false;
    const { emit, forms, kernels, block } = tools;
    const order = forms.blockOrder(x!);
    if (sameShape(scale!.shape, [1, 1, rows, columns])) {
      const size = rows * columns;
      const pixels = emit.reshape(tools.plain(scale!), [size, 1]);
      const factors = emit.compute(`${y!.name}/factors`, "Expand", [pixels, emit.integers([size, block])]);
      const view = emit.reshape(forms.get(x!, order), [(batch * forms.lanes(channels)) / block, size * block]);
      const scaled = emit.compute(`${y!.name}/scaled`, "Mul", [view, emit.reshape(factors, [size * block])]);
      tools.definePlanes(y!, scaled, order);
      return true;
    }
    if (!sameShape(scale!.shape, [1, channels, 1, 1])) return false;
    const lanes = kernels.vector(emit.reshape(tools.plain(scale!), [channels]), channels);
    emitScale(tools, channels, [forms.get(x!, order), lanes], forms.define(y!, order));
    return true;
  },
};

/** scale·x + shift, with the ReLU or the addition after it, if only that reads the result. */
function emitNormalized(
  tools: BlockedTools,
  x: Value,
  y: Value,
  by: { readonly [Name in "gamma" | "beta" | "mean" | "variance"]: Value } & { readonly epsilon: number },
): void {
  const { forms } = tools;
  const channels = y.shape[1]!;
  const compute = tools.emit.steps(y.name);
  const [mean, variance] = [tools.vector(by.mean), tools.vector(by.variance)];
  const s = emitInverseDeviation(tools, variance, by.epsilon, y);
  const scale = compute("scale", "Mul", tools.vector(by.gamma), s);
  const beta = tools.vector(by.beta);
  const shift = compute("shift", "Sub", beta, compute("meanScale", "Mul", mean, scale));
  const order = forms.blockOrder(x);
  const [reader, ...others] = tools.readers(y);
  const only = others.length === 0 && !tools.isPublished(y) ? reader : undefined;
  const isRelu = only?.config.kind === "relu";
  const other = only?.config.kind === "add" ? only.inputs.find((value) => value !== y) : undefined;
  const isSum = other !== undefined && sameShape(other.shape, y.shape) && forms.isBlocked(other);
  const absorbed = isRelu || isSum ? only : undefined;
  if (absorbed) tools.absorbed.add(absorbed);
  const target = forms.define(absorbed ? absorbed.outputs[0]! : y, order);
  const attributes: Attributes = isRelu ? { activation: { s: "Relu" } } : {};
  const sum = isSum ? forms.get(other, order) : "";
  emitScale(tools, channels, [forms.get(x, order), scale, shift, sum], target, attributes);
}

/** scale·x + shift + sum as a depthwise convolution with a kernel of one pixel. */
function emitScale(
  tools: BlockedTools,
  channels: number,
  [x, scale, shift = "", sum = ""]: readonly [x: string, scale: string, shift?: string, sum?: string],
  y: string,
  attributes: Attributes = {},
): void {
  const lanes = tools.forms.lanes(channels);
  const kernel = tools.emit.reshape(scale, [lanes, 1, 1, 1]);
  tools.conv([x, kernel, shift, sum], y, { ...attributes, group: { i: lanes } });
}

/**
 * factor·(scale·x + shift + y). The sum is one pass; the factor is left to the matrix multiplications that read the result,
 * where it scales the rows of a small kernel, and is a second pass only for other readers.
 */
function emitFactoredSum(
  tools: BlockedTools,
  [x, y]: readonly [Value, Value],
  { scale, shift, factor }: { readonly scale: string; readonly shift: string; readonly factor: string },
  result: Value,
): void {
  const { emit, forms, factors } = tools;
  const channels = x.shape[1]!;
  const order = forms.blockOrder(forms.isBlocked(x) ? x : y);
  const isLeft = !tools.isPublished(result) && tools.readers(result).every((reader) => takesFactor(tools, reader));
  const sum = isLeft ? forms.define(result, order) : emit.unusedName(`${result.name}/sum`);
  emitScale(tools, channels, [forms.get(x, order), scale, shift, forms.get(y, order)], sum);
  if (isLeft) factors.set(result.name, factor);
  else emitScale(tools, channels, [sum, factor], forms.define(result, order));
}

function emitInverseDeviation(tools: BlockedTools, variance: string, epsilon: number, of: Value): string {
  const compute = tools.emit.steps(of.name);
  const root = compute("root", "Sqrt", compute("shifted", "Add", variance, tools.emit.scalar(epsilon)));
  return compute("s", "Div", tools.emit.scalar(1), root);
}

/** Mean over batch and image for each channel, `[C']`: first over each plane, which keeps the rounding small. */
function emitMean(tools: BlockedTools, x: Value, order: BlockOrder, hint: string): string {
  const planes = tools.planes(x, order);
  const means = tools.emit.compute(`${hint}/means`, "GlobalAveragePool", [planes], {}, domains.blocked);
  return emitMeanOfBatch(tools, means, x, order, hint);
}

/** Mean over batch and image of a gradient, `[C']`; if a pooling has spread it, computed from the small one before. */
function emitGradientMean(tools: BlockedTools, dy: Value, order: BlockOrder, hint: string): string {
  const { emit, forms, spread } = tools;
  const source = spread.get(dy.name);
  if (!source) return emitMean(tools, dy, order, hint);
  const mean = emitMean(tools, source, forms.blockOrder(source), hint);
  const share = emit.scalar(elementsPerChannel(source) / elementsPerChannel(dy));
  return emit.compute(`${hint}/spreadMean`, "Mul", [mean, share]);
}

/** Mean over batch and image of x·y for each channel, `[C']`. */
function emitMeanProduct(tools: BlockedTools, x: Value, y: Value, order: BlockOrder, hint: string): string {
  const { emit, forms } = tools;
  const [batch, channels, height, width] = x.shape as Shape4;
  const planes = batch * forms.lanes(channels);
  const image = tools.planes(x, order);
  const kernel = emit.reshape(forms.get(y, order), [planes, 1, height, width]);
  const products = emit.unusedName(`${hint}/products`);
  tools.conv([image, kernel], products, { group: { i: planes } });
  const mean = emitMeanOfBatch(tools, products, x, order, hint);
  return emit.compute(`${hint}/meanProduct`, "Mul", [mean, emit.scalar(1 / (height * width))]);
}

/** Averages one number per plane to one per channel. */
function emitMeanOfBatch(tools: BlockedTools, planes: string, x: Value, order: BlockOrder, hint: string): string {
  const { emit, forms, block } = tools;
  const [batch, channels] = x.shape as Shape4;
  const lanes = forms.lanes(channels);
  if (batch === 1) return emit.reshape(planes, [lanes]);
  const [shape, axis] = order === "blocks" ? [[batch, lanes], 0] : [[lanes / block, batch, block], 1];
  const view = emit.reshape(planes, shape);
  const mean = emit.compute(`${hint}/mean`, "ReduceMean", [view, emit.integers([axis])], { keepdims: { i: 0 } });
  return order === "blocks" ? mean : emit.reshape(mean, [lanes]);
}
