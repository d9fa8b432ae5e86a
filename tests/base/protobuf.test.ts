import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { decodeMessage } from "../../src/base/protobuf.ts";
import { encodeMessage } from "../../src/base/protobuf-writer.ts";
import { WireReader } from "../../src/base/wire.ts";
import { modelProto } from "../../src/compiler/onnx/schema.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { smallModel } from "../model/small-model.ts";
import { ModelProto } from "../oracles/onnx-proto.ts";

const files = {
  "a model of ours": encodeModel(smallModel()),
  "a graph of PyTorch": new Uint8Array(readFileSync("tests/golden/formats/torch-plain.onnx")),
};

test.each(Object.entries(files))(
  "reads %s as protobufjs does from the schema, and writes the same bytes",
  (_, bytes) => {
    const wanted = ModelProto.toObject(ModelProto.decode(bytes), { longs: Number });
    const found = decodeMessage(modelProto, new WireReader(bytes));
    expect(found).toEqual(wanted);
    expect(encodeMessage(modelProto, found)).toEqual(
      new Uint8Array(ModelProto.encode(ModelProto.fromObject(wanted)).finish()),
    );
  },
);

const fields = {
  count: [1, "int64"],
  counts: [2, "int64", "repeated"],
  text: [3, "string"],
  data: [4, "bytes"],
  ratio: [5, "float"],
  exact: [6, "double"],
  inner: [7, { name: [1, "string"], size: [2, "int32"] }],
  words: [8, "string", "repeated"],
} as const;

const decode = (bytes: readonly number[], whole = false) =>
  decodeMessage(fields, new WireReader(Uint8Array.from(bytes)), { whole });

test("writes fields in the order of their numbers, without those that have their default value", () => {
  const message = { words: ["", "b"], count: 300, text: "", ratio: 0, exact: -0, inner: { size: -1 }, counts: [] };
  expect([...encodeMessage(fields, message)]).toEqual([
    ...[0x08, 0xac, 0x02],
    ...[0x31, 0, 0, 0, 0, 0, 0, 0, 0x80],
    ...[0x3a, 11, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ...[0x42, 0, 0x42, 1, 0x62],
  ]);
});

test("reads lists packed or not, joins parts of a message, and lets a later value win", () => {
  expect(decode([0x10, 1, 0x12, 2, 2, 3, 0x10, 4])).toEqual({ counts: [1, 2, 3, 4] });
  expect(decode([0x3a, 3, 0x0a, 1, 0x61, 0x3a, 2, 0x10, 5])).toEqual({ inner: { name: "a", size: 5 } });
  expect(decode([0x08, 7, 0x08, 0])).toEqual({});
});

test("drops unknown fields, or keeps them for writing", () => {
  const bytes = [0x08, 1, 0x78, 9, 0x0d, 1, 2, 3, 4];
  expect(decode(bytes)).toEqual({ count: 1 });
  expect([...encodeMessage(fields, decode(bytes))]).toEqual([0x08, 1]);
  expect([...encodeMessage(fields, decode(bytes, true))]).toEqual(bytes);
});

test("keeps integers that a number cannot represent, for writing", () => {
  const largest = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
  expect(decode(largest)).toEqual({ count: 2 ** 63 });
  expect([...encodeMessage(fields, decode(largest, true))]).toEqual(largest);
});

test.each([
  ["an end within a number", [0x08, 0x80]],
  ["a string longer than the bytes", [0x1a, 5, 0x61]],
  ["a message longer than the bytes", [0x3a, 5, 0x0a]],
  ["a list that ends within a number", [0x12, 1, 0x80]],
  ["an unknown wire type", [0x0f]],
  ["text that is not UTF-8", [0x1a, 1, 0xff]],
])("rejects %s", (_, bytes) => {
  expect(() => decode(bytes)).toThrow();
});
