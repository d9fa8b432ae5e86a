import { readFileSync } from "node:fs";
import fc from "fast-check";
import { unzipSync, zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { decodeFloats } from "../../src/formats/number-formats.ts";
import { isTorch } from "../../src/formats/signatures.ts";
import { readTorch } from "../../src/formats/torch/file.ts";
import { damaged } from "./damaged.ts";
import { fuzzRuns } from "./fuzz-runs.ts";

// Written by PyTorch 1.13 with tests/golden/torch-files.py.
const golden = (file: string) => new Uint8Array(readFileSync(new URL(`../golden/formats/${file}`, import.meta.url)));
const expected = JSON.parse(new TextDecoder().decode(golden("tensors.json"))) as Record<
  string,
  { shape: number[]; values: number[] }
>;

describe.each([
  ["tensors.pth", "zip"],
  ["tensors-legacy.pth", "legacy"],
] as const)("%s", (file, container) => {
  test("gives PyTorch's tensors: transposed, sliced, expanded, shared, of every type", () => {
    const bytes = golden(file);
    expect(isTorch(bytes)).toBe(true);
    const found = readTorch(bytes, file);
    expect(found).toMatchObject({ container, under: [] });
    const tensors = Object.fromEntries(
      [...found.tensors].map(([name, tensor]) => {
        const { shape, data } = decodeFloats(tensor.read());
        expect(tensor.shape).toEqual(shape);
        return [name, { shape, values: [...data] }];
      }),
    );
    expect(tensors).toEqual(expected);
  });

  test("whatever is damaged is refused with its name, or read", () => {
    const readAll = (bytes: Uint8Array): void => {
      try {
        for (const tensor of readTorch(bytes, "the file").tensors.values()) decodeFloats(tensor.read());
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        expect(error.message).toMatch(/^the file/);
      }
    };
    fc.assert(fc.property(damaged(golden(file)), readAll), fuzzRuns);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), readAll), fuzzRuns);
  });
});

test("a checkpoint gives its averaged weights, and leaves the rest alone", () => {
  const { tensors, under } = readTorch(golden("checkpoint.pth"), "checkpoint.pth");
  expect(under).toEqual(["state_dict_ema"]);
  expect([...tensors.keys()]).toEqual(["module.only"]);
  expect([...decodeFloats(tensors.get("module.only")!.read()).data]).toEqual([-1, -0.75]);
});

/** A zip file of PyTorch with this pickle, bytes or opcodes as text. */
function withPickle(pickle: string | readonly number[], entries: Record<string, Uint8Array> = {}): Uint8Array {
  const bytes =
    typeof pickle === "string" ? Uint8Array.from(pickle, (each) => each.charCodeAt(0)) : Uint8Array.from(pickle);
  return zipSync({ "archive/data.pkl": bytes, ...entries }, { level: 0 });
}

const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;

/** `{"w": _rebuild_tensor_v2(storage of `count` floats, offset, shape, strides, …)}`; numbers below 256. */
function tensorPickle(count: number, offset: number, shape: readonly number[], strides: readonly number[]): string {
  const tuple = (values: readonly number[]) => `(${values.map((value) => `K${String.fromCharCode(value)}`).join("")}t`;
  const storage = `(${text("storage")}ctorch\nFloatStorage\n${text("0")}${text("cpu")}K${String.fromCharCode(count)}tQ`;
  const values = `(${storage}K${String.fromCharCode(offset)}${tuple(shape)}${tuple(strides)}\x89}t`;
  return `\x80\x02}${text("w")}ctorch._utils\n_rebuild_tensor_v2\n${values}Rs.`;
}

const four = { "archive/data/0": new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer) };

test("a file made by hand, little-endian and big-endian", () => {
  const pickle = tensorPickle(4, 1, [3], [1]);
  const values = (file: Uint8Array) => [...decodeFloats(readTorch(file, "f").tensors.get("w")!.read()).data];
  expect(values(withPickle(pickle, four))).toEqual([2, 3, 4]);
  const big = Uint8Array.of(0, 0, 0, 0, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0, 0x40, 0x40, 0, 0);
  const order = new TextEncoder().encode("big");
  expect(values(withPickle(pickle, { "archive/byteorder": order, "archive/data/0": big }))).toEqual([1, -2, 3]);
});

describe("a checkpoint with its weights under any key", () => {
  const dictionary = (items: Record<string, string>) =>
    `}(${Object.entries(items)
      .map(([key, value]) => `${text(key)}${value}`)
      .join("")}u`;
  // Without the protocol, the dictionary's brace, its key, the item and the end.
  const tensor = tensorPickle(4, 1, [3], [1]).slice(3 + text("w").length, -2);
  const weights = dictionary({ "conv.weight": tensor, "conv.bias": tensor });
  const optimizer = dictionary({
    state: `}K\0${dictionary({ exp_avg: tensor, exp_avg_sq: tensor })}s`,
    param_groups: "]",
  });
  const fileOf = (value: string) => withPickle(`\x80\x02${value}.`, four);
  const read = (items: Record<string, string>, key?: string) => readTorch(fileOf(dictionary(items)), "f.pth", key);

  test.each([
    [["model_state_dict"], { epoch: "K\x03", model_state_dict: weights, optimizer_state_dict: optimizer, acc: tensor }],
    [["net"], { net: weights, acc: tensor }],
    [["xception"], { xception: weights }],
    [["trainer", "net"], { trainer: dictionary({ net: weights, optimizer }) }],
    [["state_dict", "net"], { state_dict: dictionary({ net: weights, steps: "K\x03" }), ema: weights }],
    [[], { w: tensor, v: tensor, extra: dictionary({ w: tensor }) }],
  ])("finds the only one: %j", (under, items) => {
    const found = read(items);
    expect(found.under).toEqual(under);
    expect([...decodeFloats([...found.tensors.values()][0]!.read()).data]).toEqual([2, 3, 4]);
  });

  test("lists several, of which a key chooses one", () => {
    const several = { generator: weights, critic: dictionary({ net: weights }) };
    expect(() => read(several)).toThrow(
      new FormatError({
        where: "f.pth",
        what: "it has several dictionaries of tensors",
        received: ["generator", "critic/net"],
        expected: "one",
        remedy: "Choose one with --key (option key).",
      }),
    );
    expect(read(several, "critic/net").under).toEqual(["critic", "net"]);
    expect(() => read(several, "critic")).toThrow(
      'f.pth: it has no dictionary of tensors under this key; received "critic"; expected one of generator, critic/net.',
    );
  });

  test("is read from the pickle that PyTorch wrote, one level deeper", () => {
    const entries = unzipSync(golden("tensors.pth"));
    const name = Object.keys(entries).find((each) => each.endsWith("data.pkl"))!;
    const inner = String.fromCharCode(...entries[name]!.subarray(2, -1));
    const pickle = Uint8Array.from(`\x80\x02${dictionary({ net: inner, epoch: "K\x07" })}.`, (each) =>
      each.charCodeAt(0),
    );
    const { under, tensors } = readTorch(zipSync({ ...entries, [name]: pickle }, { level: 0 }), "f.pth");
    expect(under).toEqual(["net"]);
    expect([...tensors.keys()]).toEqual(Object.keys(expected));
  });
});

describe("refuses", () => {
  const refusal = (bytes: Uint8Array): string => {
    try {
      for (const tensor of readTorch(bytes, "the file").tensors.values()) tensor.read();
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
      return (error as Error).message;
    }
    throw new Error("it was not refused");
  };

  test.each([
    ["a function of the system", "\x80\x02cposix\nsystem\nX\x02\0\0\0ls\x85R."],
    ["a class of a model", "\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81."],
    ["an opcode that makes objects of any class", "\x80\x02i__main__\nEvil\n."],
    ["a call of a value", "\x80\x02K\x01)R."],
    ["a call of a type of storage", "\x80\x02ctorch\nFloatStorage\n)R."],
    ["a dictionary that copies another one", "\x80\x02ccollections\nOrderedDict\n]\x85R."],
    ["a missing value", "\x80\x02R."],
    ["a missing mark", "\x80\x02t."],
    ["a mark as a value", "\x80\x02(."],
    ["a value that is not remembered", "\x80\x02h\x07."],
    ["a key without a value", "\x80\x02}(K\x01u."],
    ["appending to a number", "\x80\x02K\x01K\x02a."],
    ["a text that is no UTF-8", "\x80\x02U\x01\xff."],
    ["a text longer than the file", "\x80\x02X\xff\xff\xff\x7f."],
    ["an absurd integer", "\x80\x02\x8b\xff\xff\xff\x7f."],
    ["an end in the middle", "\x80\x02}"],
    ["a name without an end", "\x80\x02ctorch"],
    ["something outside that is no storage", "\x80\x02K\x01Q."],
    ["a tensor without a storage", "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\0))tR."],
    ["a parameter of nothing", "\x80\x02ctorch._utils\n_rebuild_parameter\n(K\x01\x89)tR."],
    ["a number alone", "\x80\x02K\x01."],
    ["a dictionary without tensors", "\x80\x02}."],
    ["a dictionary that holds itself", "\x80\x02}q\0X\x05\0\0\0modelh\0s."],
  ])("%s", (name, pickle) => {
    expect(refusal(withPickle(pickle))).toMatchSnapshot(name);
  });

  test.each([
    ["a tensor beyond its storage", tensorPickle(4, 2, [3], [1])],
    ["strides beyond the storage", tensorPickle(4, 0, [2, 2], [3, 1])],
    ["a shape without strides", tensorPickle(4, 0, [4], [])],
    ["numbers repeated without end", tensorPickle(4, 0, [255, 255, 255], [0, 0, 0])],
    ["a storage longer than its entry", tensorPickle(5, 0, [5], [1])],
  ])("%s", (name, pickle) => {
    expect(refusal(withPickle(pickle, four))).toMatchSnapshot(name);
  });

  test("a storage that is not there, and a pickle that is not", () => {
    expect(refusal(withPickle(tensorPickle(4, 0, [4], [1])))).toMatchInlineSnapshot(
      `"the file, tensor "w": its storage "0" is missing or truncated; received "nothing"; expected 16 bytes."`,
    );
    expect(refusal(zipSync({ "other.txt": Uint8Array.of(1) }))).toMatchInlineSnapshot(
      `"the file: the zip archive has no pickle; expected data.pkl."`,
    );
  });

  test("deep nesting and endless values without running out of stack or memory", () => {
    const deep = `\x80\x02)${"\x85".repeat(200_000)}.`;
    expect(refusal(withPickle(deep))).toContain("no dictionary of tensors");
    const wide = Uint8Array.from({ length: 5_000_000 }, (_, index) => (index < 2 ? [0x80, 2][index]! : 0x4e));
    expect(refusal(withPickle("", { "archive/data.pkl": wide }))).toContain("more values than weights can have");
  });

  test("a directory that claims to have thousands of millions of entries", () => {
    // PyTorch writes the wide directory, whose number of entries has 64 bits.
    const bytes = golden("tensors.pth");
    const view = new DataView(bytes.buffer);
    const wide = view.getUint32(bytes.length - 22 - 12, true);
    expect(view.getUint32(wide, true)).toBe(0x06064b50);
    view.setUint32(wide + 32, 2 ** 32 - 1, true);
    expect(refusal(bytes)).toMatchInlineSnapshot(
      `"the file, byte 4185: the zip archive is damaged (expected a directory entry here). Is the file truncated? Copy or download it again."`,
    );
  });

  test("a zip archive of something else is not taken for one of PyTorch", () => {
    expect(isTorch(withPickle("\x80\x02}."))).toBe(true);
    expect(isTorch(zipSync({ "config.json": Uint8Array.of(1) }))).toBe(false);
  });
});
