import { expect, test } from "vitest";
import { decodeFloats, type NumberFormat } from "../../src/formats/number-formats.ts";

function decode(format: NumberFormat, data: ArrayBufferView<ArrayBuffer>, shape: readonly number[]) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [...decodeFloats({ format, shape, bytes }).data];
}

test("every float16 has the value of its definition", () => {
  const values = decode(
    "F16",
    Uint16Array.from({ length: 65536 }, (_, bits) => bits),
    [65536],
  );
  for (const [bits, value] of values.entries()) {
    const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    const finite = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    const expected = exponent < 31 ? finite : fraction === 0 ? Infinity : Number.NaN;
    if (!Object.is(value, sign * expected)) expect(value, `float16 0x${bits.toString(16)}`).toBe(sign * expected);
  }
});

test("a bfloat16 is the upper half of a float32", () => {
  const floats = Float32Array.of(1, -2.5, 3.140625, 2 ** 127, 2 ** -126, Infinity, -0);
  const upper = Uint16Array.from(new Uint32Array(floats.buffer), (bits) => bits >>> 16);
  expect(decode("BF16", upper, [7])).toEqual([...floats]);
});

test.each([
  ["BOOL", Uint8Array.of(0, 1), [0, 1]],
  ["U8", Uint8Array.of(0, 255), [0, 255]],
  ["I8", Int8Array.of(-128, 127), [-128, 127]],
  ["U16", Uint16Array.of(0, 65535), [0, 65535]],
  ["I16", Int16Array.of(-32768, 32767), [-32768, 32767]],
  ["U32", Uint32Array.of(0, 2 ** 32 - 1), [0, 2 ** 32]],
  ["I32", Int32Array.of(-(2 ** 31), 7), [-(2 ** 31), 7]],
  ["U64", BigUint64Array.of(0n, 2n ** 64n - 1n), [0, 2 ** 64]],
  ["I64", BigInt64Array.of(-(2n ** 63n), 5004n), [-(2 ** 63), 5004]],
  ["F32", Float32Array.of(0.1, -1), [Math.fround(0.1), -1]],
  ["F64", Float64Array.of(0.1, -1), [Math.fround(0.1), -1]],
] as const)("%s", (format, data, values) => {
  expect(decode(format, data, [2])).toEqual(values);
});

test("float32 is not copied where it may stay", () => {
  const file = new Uint8Array(20);
  const at = (offset: number) => decodeFloats({ format: "F32", shape: [2], bytes: file.subarray(offset, offset + 8) });
  expect(at(4).data.buffer).toBe(file.buffer);
  expect(at(3).data.buffer).not.toBe(file.buffer);
});
