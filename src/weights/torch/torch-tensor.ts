import { type Shape, sizeOf, stridesOf } from "../../tensor/shape.ts";
import { bytesPerNumber, type EncodedTensor, type NumberFormat } from "../number-formats.ts";

/** Numbers in a file of PyTorch; several tensors may look at the same ones. */
export class TorchStorage {
  readonly format: NumberFormat;
  /** By what it goes in the file. */
  readonly key: string;
  /** How many numbers. */
  readonly count: number;

  constructor(format: NumberFormat, key: string, count: number) {
    this.format = format;
    this.key = key;
    this.count = count;
  }
}

/** A tensor as PyTorch stores it: a view of a storage. */
export class TorchTensor {
  readonly storage: TorchStorage;
  /** Of its first number in the storage. */
  readonly offset: number;
  readonly shape: Shape;
  /** In numbers, one for each axis. */
  readonly strides: Shape;

  constructor(storage: TorchStorage, offset: number, shape: Shape, strides: Shape) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }

  /** Whether all its numbers are in the storage. */
  get isInside(): boolean {
    if (sizeOf(this.shape) === 0) return true;
    const last = this.shape.reduce((sum, size, axis) => sum + (size - 1) * this.strides[axis]!, this.offset);
    return last < this.storage.count;
  }

  /**
   * Its numbers in C order: a part of the storage where they stand there in this order, else a copy.
   * @param stored the storage's numbers, little-endian.
   */
  encoded(stored: Uint8Array): EncodedTensor {
    const { format } = this.storage;
    const size = bytesPerNumber[format];
    const { shape, strides, offset } = this;
    const inOrder = stridesOf(shape);
    if (shape.every((length, axis) => length === 1 || strides[axis] === inOrder[axis])) {
      return { format, shape, bytes: stored.subarray(offset * size, (offset + sizeOf(shape)) * size) };
    }
    const bytes = new Uint8Array(sizeOf(shape) * size);
    const index = new Array<number>(shape.length).fill(0);
    let source = offset;
    for (let target = 0; target < bytes.length; target += size) {
      for (let byte = 0; byte < size; byte++) bytes[target + byte] = stored[source * size + byte]!;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        source += strides[axis]!;
        index[axis]!++;
        if (index[axis]! < shape[axis]!) break;
        source -= strides[axis]! * shape[axis]!;
        index[axis] = 0;
      }
    }
    return { format, shape, bytes };
  }
}

/** The same numbers with the bytes of each in the other order. */
export function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const result = bytes.slice();
  for (let begin = 0; begin + size <= result.length; begin += size) result.subarray(begin, begin + size).reverse();
  return result;
}
