import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError, UsageError } from "../../src/base/errors.ts";
import { decodeFloats } from "../../src/formats/number-formats.ts";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.ts";
import { isSafetensors } from "../../src/formats/signatures.ts";
import { floatTensor, type Tensor } from "../../src/tensor/tensor.ts";
import { damaged } from "./damaged.ts";
import { fuzzRuns } from "./fuzz-runs.ts";

/** A file from its header, as text or object, and so many bytes of data. */
function file(header: unknown, dataLength = 0, headerLength?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength ?? text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function refusal(bytes: Uint8Array): string {
  try {
    readSafetensors(bytes, "the file");
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return (error as Error).message;
  }
  throw new Error("it was not refused");
}

const vector = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
const two = new Map<string, Tensor>([
  ["a/kernel", floatTensor([2, 1], Float32Array.of(1.5, -2))],
  ["steps", { type: "int64", shape: [], data: BigInt64Array.of(5004n) }],
]);

test("a file is written byte for byte as the format wants it", () => {
  const bytes = writeSafetensors(two, new Map([["format", "pt"]]));
  const header =
    '{"__metadata__":{"format":"pt"},"steps":{"dtype":"I64","shape":[],"data_offsets":[0,8]},' +
    '"a/kernel":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]}}';
  const length = Math.ceil((header.length + 8) / 8) * 8 - 8;
  expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(BigInt(length));
  expect(new TextDecoder().decode(bytes.subarray(8, 8 + length))).toBe(header.padEnd(length, " "));
  expect([...bytes.subarray(8 + length)]).toEqual([0x8c, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]);
  expect(isSafetensors(bytes)).toBe(true);
});

test("what was written reads back, whatever the names, shapes and numbers", () => {
  const tensor = fc.array(fc.nat(3), { maxLength: 3 }).chain((shape) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const data = fc.array(fc.float(), { minLength: length, maxLength: length });
    return data.map((values) => floatTensor(shape, Float32Array.from(values)));
  });
  const names = fc.string().filter((name) => name !== "__metadata__");
  const tensors = fc.array(fc.tuple(names, tensor), { maxLength: 6 }).map((list) => new Map(list));
  const metadata = fc.array(fc.tuple(fc.string(), fc.string())).map((list) => new Map(list));
  fc.assert(
    fc.property(tensors, metadata, (written, texts) => {
      const read = readSafetensors(writeSafetensors(written, texts), "the file");
      expect(new Map([...read.tensors].map(([name, encoded]) => [name, decodeFloats(encoded)]))).toEqual(written);
      expect(read.metadata).toEqual(texts);
    }),
    fuzzRuns,
  );
});

test("all kinds of numbers of our tensors are kept", () => {
  const tensors = new Map<string, Tensor>([
    ["bytes", { type: "uint8", shape: [3], data: Uint8Array.of(1, 2, 255) }],
    ["whole", { type: "int32", shape: [1], data: Int32Array.of(-7) }],
    ["floats", floatTensor([1], Float32Array.of(0.5))],
    ["long", { type: "int64", shape: [1], data: BigInt64Array.of(-(2n ** 60n)) }],
  ]);
  const read = readSafetensors(writeSafetensors(tensors), "the file").tensors;
  expect([...read].map(([name, { format }]) => [name, format])).toEqual([
    ["long", "I64"],
    ["whole", "I32"],
    ["floats", "F32"],
    ["bytes", "U8"],
  ]);
  for (const [name, { bytes }] of read) expect(bytes).toEqual(new Uint8Array(tensors.get(name)!.data.buffer));
});

test("the name of the metadata is not one for a tensor", () => {
  expect(() => writeSafetensors(new Map([["__metadata__", floatTensor([1])]]))).toThrow(
    new UsageError({ where: "writeSafetensors", what: "reserved tensor name", received: "__metadata__" }),
  );
});

test("names and metadata longer than a header may be are not written", () => {
  expect(() => writeSafetensors(two, new Map([["long", "x".repeat(2 ** 25)]]))).toThrow(
    /^writeSafetensors: the header is too long; received 33554\d+; expected at most 33554432 bytes\.$/,
  );
});

test("a header as long as in an attack is refused before it is parsed", () => {
  const entries = (count: number) => `{${Array.from({ length: count }, (_, index) => `"${index}":{}`).join(",")}}`;
  expect(refusal(file(entries(600_000)))).toBe(
    "the file, header at byte 8: it has too many values; expected at most 1048576 lists, objects and keys.",
  );
  const nested = "[".repeat(30_000_000);
  expect(refusal(file(`{"a":${nested}`))).toContain("lists and objects are nested too deeply");
  expect(refusal(file(`{"a":"${" ".repeat(89_000_000)}"}`))).toMatch(
    /^the file, byte 0: invalid header length; received "89000008 in .*"; expected from 2 to 33554432, /,
  );
});

describe("refuses", () => {
  test.each([
    ["an empty file", new Uint8Array()],
    ["a file that is cut short in its header", file({ a: vector }, 8).subarray(0, 30)],
    ["a header longer than the file", file({}, 0, 2 ** 40)],
    ["a header longer than any", file({}, 0, Number.MAX_SAFE_INTEGER)],
    ["a header that is no JSON", file('{"a":')],
    ["a header that is no UTF-8", file("{}  ").with(9, 0xff)],
    ["a header that is a list", file([])],
    ["a header that does not begin with its brace", file(" {}")],
    ["a name that is there twice", file(`{"a":${JSON.stringify(vector)},"\\u0061":${JSON.stringify(vector)}}`, 8)],
    ["a field that is there twice", file('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8)],
    ["numbers of an unknown kind", file({ a: { ...vector, dtype: "F8_E4M3" } }, 8)],
    ["a missing shape", file({ a: { dtype: "F32", data_offsets: [0, 8] } }, 8)],
    ["a negative size", file({ a: { ...vector, shape: [-2] } }, 8)],
    ["a size that is no whole number", file({ a: { ...vector, shape: [0.5] } }, 8)],
    ["a shape beyond all numbers", file({ a: { ...vector, shape: [2 ** 52, 2 ** 52] } }, 8)],
    ["data that do not fill the shape", file({ a: { ...vector, shape: [3] } }, 8)],
    ["data beyond the file", file({ a: vector }, 4)],
    ["data that end before they begin", file({ a: { ...vector, data_offsets: [8, 0] } }, 8)],
    ["tensors that overlap", file({ a: vector, b: { ...vector, data_offsets: [4, 12] } }, 12)],
    ["a gap between tensors", file({ a: vector, b: { ...vector, data_offsets: [12, 20] } }, 20)],
    ["bytes after the last tensor", file({ a: vector }, 9)],
    ["metadata that are no texts", file({ __metadata__: { epoch: 3 } })],
    ["metadata that are a list", file({ __metadata__: ["epoch"] })],
    ["metadata that are null", file({ __metadata__: null })],
  ])("%s", (name, bytes) => {
    expect(refusal(bytes)).toMatchSnapshot(name);
  });

  test("whatever is damaged with the file's name, or reads it", () => {
    const good = writeSafetensors(two, new Map([["format", "pt"]]));
    const read = (bytes: Uint8Array): void => {
      try {
        readSafetensors(bytes, "the file").tensors.forEach(decodeFloats);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        expect(error.message).toMatch(/^the file/);
      }
    };
    fc.assert(fc.property(damaged(good), read), fuzzRuns);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), read), fuzzRuns);
    const json = fc.json({ maxDepth: 4 }).map((text) => file(text, 8));
    fc.assert(fc.property(json, read), fuzzRuns);
  });
});
