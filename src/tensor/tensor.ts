import { ShapeError } from "../base/errors.ts";
import { formatShape, type Shape, sizeOf, stridesOf } from "./shape.ts";

/** Element types of tensors exchanged with the engine. */
export interface DataOf {
  float32: Float32Array;
  uint8: Uint8Array;
  int8: Int8Array;
  int32: Int32Array;
  int64: BigInt64Array;
}
/** Element type of a tensor. */
export type DataType = keyof DataOf;

/** Values with a shape, in C (row-major) order. */
export interface Tensor<T extends DataType = DataType> {
  readonly type: T;
  readonly shape: Shape;
  readonly data: DataOf[T];
}

/** A float32 tensor. */
export type FloatTensor = Tensor<"float32">;

/** A tensor in a file, which is read on demand. */
export interface LazyTensor<Values = FloatTensor> {
  readonly shape: Shape;
  readonly read: () => Values;
}

/**
 * Creates a float32 tensor over `data`, without copying.
 * @throws {ShapeError} `data` does not have as many values as the shape.
 */
export function floatTensor(shape: Shape, data: Float32Array = new Float32Array(sizeOf(shape))): FloatTensor {
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError({
      where: "floatTensor",
      what: "the data does not fill the shape",
      received: `${data.length} values for ${formatShape(shape)}`,
      expected: `${sizeOf(shape)} values`,
    });
  }
  return { type: "float32", shape, data };
}

/** Creates a float32 tensor whose elements are all `value`. */
export function filledTensor(shape: Shape, value: number): FloatTensor {
  return floatTensor(shape, new Float32Array(sizeOf(shape)).fill(value));
}

/** Copies rows of a tensor, at most as many as it has: `[N, …]` → `[rows, …]`. */
export function selectRows<T extends Tensor>({ type, shape, data }: T, rows: ArrayLike<number>): T {
  const size = sizeOf(shape.slice(1));
  const chosen = data.slice(0, rows.length * size);
  for (let at = 0; at < rows.length; at++) {
    chosen.set(data.subarray(rows[at]! * size, (rows[at]! + 1) * size) as never, at * size);
  }
  return { type, shape: [rows.length, ...shape.slice(1)], data: chosen } as unknown as T;
}

/**
 * Transposes a tensor into a copy: axis `i` of the result is axis `permutation[i]` of `tensor`.
 * @example transpose(floatTensor([2, 3]), [1, 0]).shape // [3, 2]
 */
export function transpose(tensor: FloatTensor, permutation: readonly number[]): FloatTensor {
  const shape = permutation.map((axis) => tensor.shape[axis]!);
  const sourceStrides = stridesOf(tensor.shape);
  const strides = permutation.map((axis) => sourceStrides[axis]!);
  const result = new Float32Array(tensor.data.length);
  // Rows along the last axis that has more than one position.
  const last = shape.findLastIndex((size) => size > 1);
  const [length, stride] = [shape[last] ?? 1, strides[last] ?? 0];
  const { data } = tensor;
  const index = new Array<number>(shape.length).fill(0);
  let start = 0;
  for (let target = 0; target < result.length; target += length) {
    for (let at = 0; at < length; at++) result[target + at] = data[start + at * stride]!;
    // The next row: the last of the other axes that is not at its end moves on.
    for (let axis = last - 1; axis >= 0; axis--) {
      start += strides[axis]!;
      index[axis]! += 1;
      if (index[axis]! < shape[axis]!) break;
      start -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return { type: "float32", shape, data: result };
}

/** Returns whether numbers, or those from `start` to before `end`, are all finite. */
export function allFinite(data: Float32Array, start = 0, end = data.length): boolean {
  // 0 · x is 0 unless x is NaN or infinite: ten times as fast as asking each number.
  let sum = 0;
  for (let index = start; index < end; index++) sum += 0 * data[index]!;
  return sum === 0;
}
