import { fromHalf } from "../tensor/half.ts";
import { type Shape, sizeOf } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";

/** How files store numbers, always little-endian: letter and bits, as safetensors calls them. */
export type NumberFormat =
  | "BOOL"
  | "U8"
  | "I8"
  | "U16"
  | "I16"
  | "U32"
  | "I32"
  | "U64"
  | "I64"
  | "F16"
  | "BF16"
  | "F32"
  | "F64";

/** Numbers with a shape as they lie in a file, in C order. */
export interface EncodedTensor {
  readonly format: NumberFormat;
  readonly shape: Shape;
  /** As many as shape and format ask for; a part of the file, not a copy. */
  readonly bytes: Uint8Array;
}

export const bytesPerNumber: Readonly<Record<NumberFormat, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  U16: 2,
  I16: 2,
  U32: 4,
  I32: 4,
  U64: 8,
  I64: 8,
  F16: 2,
  BF16: 2,
  F32: 4,
  F64: 8,
};

const decoders: Readonly<
  Record<NumberFormat, (buffer: ArrayBufferLike, offset: number, count: number) => Float32Array>
> = {
  BOOL: (buffer, offset, count) => Float32Array.from(new Uint8Array(buffer, offset, count)),
  U8: (buffer, offset, count) => Float32Array.from(new Uint8Array(buffer, offset, count)),
  I8: (buffer, offset, count) => Float32Array.from(new Int8Array(buffer, offset, count)),
  U16: (buffer, offset, count) => Float32Array.from(new Uint16Array(buffer, offset, count)),
  I16: (buffer, offset, count) => Float32Array.from(new Int16Array(buffer, offset, count)),
  U32: (buffer, offset, count) => Float32Array.from(new Uint32Array(buffer, offset, count)),
  I32: (buffer, offset, count) => Float32Array.from(new Int32Array(buffer, offset, count)),
  U64: (buffer, offset, count) => fromBigInts(new BigUint64Array(buffer, offset, count)),
  I64: (buffer, offset, count) => fromBigInts(new BigInt64Array(buffer, offset, count)),
  F16: (buffer, offset, count) => fromHalf(new Uint16Array(buffer, offset, count)),
  BF16: (buffer, offset, count) => fromBrainFloats(new Uint16Array(buffer, offset, count)),
  F32: (buffer, offset, count) => new Float32Array(buffer as ArrayBuffer, offset, count),
  F64: (buffer, offset, count) => Float32Array.from(new Float64Array(buffer, offset, count)),
};

/** As float32, rounded where the format holds more; float32 itself is not copied unless it lies at an odd address. */
export function decodeFloats({ format, shape, bytes }: EncodedTensor): FloatTensor {
  const { buffer, byteOffset } = byteOffsetFits(bytes, bytesPerNumber[format]) ? bytes : bytes.slice();
  return floatTensor(shape, decoders[format](buffer, byteOffset, sizeOf(shape)));
}

function byteOffsetFits({ byteOffset }: Uint8Array, size: number): boolean {
  return byteOffset % size === 0;
}

function fromBigInts(values: BigInt64Array | BigUint64Array): Float32Array {
  const result = new Float32Array(values.length);
  for (let index = 0; index < values.length; index++) result[index] = Number(values[index]);
  return result;
}

/** The upper halves of float32. */
function fromBrainFloats(values: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(values, (bits) => bits << 16).buffer);
}
