import { type Shape, sizeOf } from "../../src/tensor/shape.ts";

/** Float64 numbers with a shape, in C (row-major) order: what the interpreter computes with. */
export interface NdArray {
  readonly shape: Shape;
  readonly data: Float64Array;
}

export function zeros(shape: Shape): NdArray {
  return { shape, data: new Float64Array(sizeOf(shape)) };
}

/** The array whose element at each index is `valueAt(index)`. */
export function fill(shape: Shape, valueAt: (index: readonly number[]) => number): NdArray {
  const array = zeros(shape);
  for (const [offset, index] of indicesOf(shape).entries()) array.data[offset] = valueAt(index);
  return array;
}

/** Every index of an array of this shape, the last axis fastest; a scalar has the one index `[]`. */
export function indicesOf(shape: Shape): number[][] {
  let indices: number[][] = [[]];
  for (const size of shape) {
    indices = indices.flatMap((outer) => Array.from({ length: size }, (_, inner) => [...outer, inner]));
  }
  return indices;
}

/** Position in `data` of the element at `index`. */
export function offsetOf(shape: Shape, index: readonly number[]): number {
  let offset = 0;
  for (let axis = 0; axis < index.length; axis++) offset = offset * shape[axis]! + index[axis]!;
  return offset;
}

export function at(array: NdArray, index: readonly number[]): number {
  return array.data[offsetOf(array.shape, index)]!;
}
