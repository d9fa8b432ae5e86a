import { FormatError } from "../../src/base/errors.ts";
import { fromHalf } from "../../src/tensor/half.ts";
import { sizeOf } from "../../src/tensor/shape.ts";

/** Data types that inputs may have: pixels from 0 to 255, or encoded images. */
export const inputTypes = ["UINT8", "FP32", "FP16", "BYTES"] as const;
/** A data type of {@link inputTypes}. */
export type InputType = (typeof inputTypes)[number];

/** Elements of a tensor: pixels, or one byte string for each element. */
export type Elements = Uint8Array | readonly Uint8Array[];

/** Bytes of one element; those of `BYTES` differ. */
const elementBytes = { UINT8: 1, FP32: 4, FP16: 2 } as const;

/**
 * Reads a tensor in the binary tensor data extension's form: little-endian, row by row; a byte string is preceded by its
 * length as a 32-bit number.
 * @throws {FormatError} the bytes do not fill the shape, or a pixel is not from 0 to 255.
 */
export function elementsFromBytes(
  type: InputType,
  shape: readonly number[],
  bytes: Uint8Array,
  where: string,
): Elements {
  const count = sizeOf(shape);
  if (type === "BYTES") return byteStrings(bytes, count, where);
  const expected = count * elementBytes[type];
  if (bytes.length !== expected) {
    throw new FormatError({
      where,
      what: "its data do not fill its shape",
      received: `${bytes.length} bytes`,
      expected: `${expected} bytes for ${type} ${JSON.stringify(shape)}`,
    });
  }
  if (type === "UINT8") return bytes;
  // Aligned, and on every machine little-endian: Node runs on no other.
  const { buffer } = new Uint8Array(bytes);
  return pixelsOf(type === "FP32" ? new Float32Array(buffer) : fromHalf(new Uint16Array(buffer)), where);
}

/**
 * Reads a tensor of a JSON document: flat or nested lists of numbers, or of base64 strings for `BYTES`.
 * @throws {FormatError} the data do not fill the shape, or an element has another type or range.
 */
export function elementsFromJson(type: InputType, shape: readonly number[], data: unknown, where: string): Elements {
  if (type === "FP16") {
    throw new FormatError({
      where,
      what: "FP16 has no form in JSON",
      remedy: "Send it as binary data, or as FP32.",
    });
  }
  const values = (Array.isArray(data) ? data.flat(Number.POSITIVE_INFINITY) : [data]) as unknown[];
  if (values.length !== sizeOf(shape)) {
    throw new FormatError({
      where,
      what: "its data do not fill its shape",
      received: `${values.length} elements`,
      expected: `${sizeOf(shape)} elements for ${JSON.stringify(shape)}`,
    });
  }
  if (type === "BYTES") return values.map((value) => fromBase64(value, where));
  return pixelsOf(values, where);
}

/** Writes an output in the binary form of its data type: numbers of `FP32`, strings of `BYTES`. */
export function tensorBytes(values: Float32Array | readonly string[]): Uint8Array {
  if (values instanceof Float32Array) return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return Buffer.concat(
    values.flatMap((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

function byteStrings(bytes: Uint8Array, count: number, where: string): readonly Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const strings: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = at + 4 <= bytes.length ? view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > bytes.length) {
      throw new FormatError({
        where: `${where}, byte ${at}`,
        what: "an element of BYTES is cut short",
        expected: "its length in 4 bytes, little-endian, and as many bytes",
      });
    }
    strings.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  if (strings.length === count) return strings;
  throw new FormatError({
    where,
    what: "its data do not fill its shape",
    received: `${strings.length} elements`,
    expected: `${count} elements`,
  });
}

/** Decodes base64 strictly: Node would skip anything else. */
function fromBase64(value: unknown, where: string): Uint8Array {
  if (typeof value === "string" && value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
    return Buffer.from(value, "base64");
  }
  throw new FormatError({
    where,
    what: "an element of BYTES is not base64",
    received: typeof value === "string" ? value.slice(0, 40) : value,
    expected: "encoded images (JPEG, PNG …) as base64 strings",
  });
}

/** Rounds numbers to pixels. */
function pixelsOf(values: ArrayLike<unknown>, where: string): Uint8Array {
  const pixels = new Uint8Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (typeof value === "number" && value >= 0 && value <= 255) {
      pixels[index] = Math.round(value);
      continue;
    }
    const received = typeof value === "object" && value !== null ? "an object" : value;
    throw new FormatError({ where, what: "a pixel is out of range", received, expected: "numbers from 0 to 255" });
  }
  return pixels;
}
