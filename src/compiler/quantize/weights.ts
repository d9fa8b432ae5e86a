import { WeightsError } from "../../base/errors.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../tensor/tensor.ts";
import type { Quantization } from "./quantization.ts";

/** A kernel that is stored as integers. */
export interface IntegerKernel {
  /** Names of its parameters. */
  readonly kernel: string;
  readonly bias: string | undefined;
  /** Axis of the filters. */
  readonly axis: 0 | 1;
  /** Scale of the activation that the layer reads: the bias is added to products of both. */
  readonly inputScale: number;
}

/** Names of the two tensors that store a parameter as integers. */
export function integerNames(parameter: string, type: "int8" | "int32") {
  return { integers: `${parameter}~${type}`, scale: `${parameter}~scale` };
}

/**
 * Rounds the weights of some kernels and their biases to integers; the others stay the same.
 * @throws {WeightsError} a weight is NaN or infinite.
 */
export function integerWeights(
  weights: ReadonlyMap<string, FloatTensor>,
  kernels: readonly IntegerKernel[],
  { weightBits, perTensor }: Pick<Quantization, "weightBits" | "perTensor">,
): ReadonlyMap<string, Tensor> {
  const largest = 2 ** (weightBits - 1) - 1;
  const stored = new Map<string, Tensor>(weights);
  for (const { kernel, axis, bias, inputScale } of kernels) {
    if (bias !== undefined) assertFinite(bias, weights.get(bias)!);
    const { integers, scale } = integerKernel(kernel, weights.get(kernel)!, perTensor ? undefined : axis, largest);
    const names = integerNames(kernel, "int8");
    stored.set(names.integers, integers).set(names.scale, scale).delete(kernel);
    if (bias === undefined) continue;
    const rounded = integerBias(weights.get(bias)!, scale, inputScale);
    const biasNames = integerNames(bias, "int32");
    stored.set(biasNames.integers, rounded.integers).set(biasNames.scale, rounded.scale).delete(bias);
  }
  return stored;
}

function assertFinite(name: string, { data }: FloatTensor): void {
  const strange = data.find((value) => !Number.isFinite(value));
  if (strange === undefined) return;
  const what = "a number is NaN or infinite, which no integer stands for";
  throw new WeightsError({ where: `weight "${name}"`, what, received: strange, remedy: "Store float32." });
}

/**
 * Rounds a kernel to integers, each filter with a scale of its own.
 * @param name of its parameter, for errors.
 * @param axis of the filters; undefined: all filters have one scale.
 * @param largest integer, that of a filter's largest weight.
 * @throws {WeightsError} a weight is NaN or infinite.
 */
export function integerKernel(name: string, kernel: FloatTensor, axis: 0 | 1 | undefined, largest: number) {
  assertFinite(name, kernel);
  const { shape, data } = kernel;
  const filters = axis === undefined ? 1 : shape[axis]!;
  const inner = axis === undefined ? data.length : sizeOf(shape.slice(axis + 1));
  const scales = new Float32Array(filters);
  const filterOf = (index: number) => Math.floor(index / inner) % filters;
  for (let index = 0; index < data.length; index++) {
    const filter = filterOf(index);
    scales[filter] = Math.max(scales[filter]!, Math.abs(data[index]!));
  }
  for (const [filter, size] of scales.entries()) scales[filter] = size === 0 ? 1 : roundedUp(size / largest);
  const integers = new Int8Array(data.length);
  for (let index = 0; index < data.length; index++)
    integers[index] = Math.round(data[index]! / scales[filterOf(index)]!);
  const scale = floatTensor(axis === undefined ? [] : [filters], scales);
  return { integers: { type: "int8", shape, data: integers } as const, scale };
}

/** Limits of int32, within which its neighbors are still exact in float32. */
const largestBias = 2 ** 31 - 128;

function integerBias({ shape, data }: FloatTensor, kernelScale: FloatTensor, inputScale: number) {
  const scales = kernelScale.data.map((scale) => scale * inputScale);
  const integers = Int32Array.from(data, (value, index) => {
    return Math.max(-largestBias, Math.min(largestBias, Math.round(value / scales[index % scales.length]!)));
  });
  return { integers: { type: "int32", shape, data: integers } as const, scale: floatTensor(kernelScale.shape, scales) };
}

/**
 * Rounds a positive number up to 16 binary digits. Its products with integers of 8 bits are then exact in float32, so that
 * weights which were read from a file are rounded to the same integers again.
 */
function roundedUp(value: number): number {
  const unit = 2 ** (Math.floor(Math.log2(value)) - 15);
  return Math.fround(Math.ceil(value / unit) * unit);
}
