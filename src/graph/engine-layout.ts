import type { Shape } from "../tensor/shape.ts";
import { type FloatTensor, transpose } from "../tensor/tensor.ts";
import type { WeightRole, WeightSpec } from "./layer-weights.ts";

/**
 * From Keras's layout of a kernel to the engine's (ONNX): `[kh, kw, in, out] → [out, in, kh, kw]`, depthwise
 * `[kh, kw, channels, 1] → [channels, 1, kh, kw]`. Dense kernels and vectors are the same in both.
 */
const permutations: { readonly [R in WeightRole]?: readonly number[] } = {
  kernel: [3, 2, 0, 1],
  pointwiseKernel: [3, 2, 0, 1],
  depthwiseKernel: [2, 3, 0, 1],
};

/** Shape of a weight in the engine's layout. */
export function engineShape({ role, shape }: WeightSpec): Shape {
  return permutations[role]?.map((axis) => shape[axis]!) ?? shape;
}

/** A weight in the engine's layout, from Keras's; the same object where the layouts agree. */
export function toEngineLayout({ role }: WeightSpec, tensor: FloatTensor): FloatTensor {
  const permutation = permutations[role];
  return permutation ? transpose(tensor, permutation) : tensor;
}

/** A weight in Keras's layout, from the engine's; the same object where the layouts agree. */
export function fromEngineLayout({ role }: WeightSpec, tensor: FloatTensor): FloatTensor {
  const permutation = permutations[role];
  if (!permutation) return tensor;
  return transpose(
    tensor,
    permutation.map((_, axis) => permutation.indexOf(axis)),
  );
}
