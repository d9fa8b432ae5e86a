import { fromHalf } from "../tensor/half.ts";
import { type Shape, sizeOf } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";

/** Arrays of the stored bits of each format: always little-endian, named as in safetensors. */
const storedArrays = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  U16: Uint16Array,
  I16: Int16Array,
  U32: Uint32Array,
  I32: Int32Array,
  U64: BigUint64Array,
  I64: BigInt64Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  F32: Float32Array,
  F64: Float64Array,
} as const;

/** Number formats of files. */
export type NumberFormat = keyof typeof storedArrays;

export const numberFormats = Object.keys(storedArrays) as [NumberFormat, ...NumberFormat[]];

/** A tensor as stored in a file, in C order. */
export interface EncodedTensor {
  readonly format: NumberFormat;
  readonly shape: Shape;
  /** As many as shape and format imply; a view of the file, not a copy. */
  readonly bytes: Uint8Array;
}

export function bytesPerNumber(format: NumberFormat): number {
  return storedArrays[format].BYTES_PER_ELEMENT;
}

/** Converts to float32, rounding wider formats; float32 itself is copied only if it is unaligned. */
export function decodeFloats({ format, shape, bytes }: EncodedTensor): FloatTensor {
  const { buffer, byteOffset } = bytes.byteOffset % bytesPerNumber(format) === 0 ? bytes : bytes.slice();
  const stored = new storedArrays[format](buffer as ArrayBuffer, byteOffset, sizeOf(shape));
  return floatTensor(shape, asFloats(stored, format));
}

function asFloats(stored: InstanceType<(typeof storedArrays)[NumberFormat]>, format: NumberFormat) {
  if (stored instanceof Float32Array) return stored;
  if (format === "F16") return fromHalf(stored as Uint16Array);
  // The upper halves of float32.
  if (format === "BF16") return new Float32Array(Uint32Array.from(stored as Uint16Array, (bits) => bits << 16).buffer);
  const floats = new Float32Array(stored.length);
  for (let index = 0; index < floats.length; index++) floats[index] = Number(stored[index]);
  return floats;
}
