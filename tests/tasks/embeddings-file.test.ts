import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError, UsageError } from "../../src/base/errors.ts";
import { metadataKey } from "../../src/formats/format.ts";
import { writeSafetensors } from "../../src/formats/safetensors.ts";
import {
  type Embeddings,
  type EmbeddingsOrigin,
  embeddingsWriter,
  readEmbeddings,
} from "../../src/tasks/features/embeddings.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const origin: EmbeddingsOrigin = {
  model: "../run/model.onnx",
  digest: "0123456789abcdef".repeat(4),
  network: { includeTop: false, inputShape: [150, 150, 3] },
  architecture: "xception",
  allowMissing: "block14*",
  layer: "add_11",
  pooling: "avg",
  folder: "../photos",
};
const small: Embeddings = {
  images: [{ file: 'cat/a "b", c.jpg', label: "cat" }, { file: "d.jpg" }],
  values: floatTensor([2, 3], Float32Array.of(0.1, -2.5, 1e-30, 0, 16777216, 1 / 3)),
  origin,
};
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const read = (content: string | Uint8Array) => () =>
  readEmbeddings(typeof content === "string" ? new TextEncoder().encode(content) : content, "file");

describe("embeddings in files", () => {
  it.each([".safetensors", ".json", ".csv"])("come back from %s, bit for bit", (extension) => {
    const finite = fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
    const image = fc.record(
      { file: fc.string({ minLength: 1 }), label: fc.string({ minLength: 1 }) },
      { requiredKeys: ["file"] },
    );
    const rows = fc.array(fc.tuple(image, fc.array(finite, { minLength: 3, maxLength: 3 })), { minLength: 1 });
    fc.assert(
      fc.property(rows, (list) => {
        const values = floatTensor([list.length, 3], Float32Array.from(list.flatMap(([, row]) => row)));
        const embeddings = { images: list.map(([each]) => each), values, origin };
        const back = readEmbeddings(embeddingsWriter(`x${extension}`)(embeddings), "file");
        expect(back).toEqual(extension === ".csv" ? { ...embeddings, origin: undefined } : embeddings);
      }),
      { numRuns: 50 },
    );
  });

  it("are CSV that any program reads, and JSON with a line for each image", () => {
    expect(text(embeddingsWriter("X.CSV")(small))).toBe(
      'file,label,e0,e1,e2\r\n"cat/a ""b"", c.jpg",cat,0.1,-2.5,1e-30\r\nd.jpg,,0,16777216,0.33333334\r\n',
    );
    const lines = text(embeddingsWriter("x.json")(small)).split("\n");
    expect(lines).toHaveLength(5);
    expect(JSON.parse(lines[1]!.slice(0, -1))).toEqual({ ...small.images[0], values: [0.1, -2.5, 1e-30] });
  });

  it("are written by the ending of the name", () => {
    expect(() => embeddingsWriter("x.npy")).toThrow(UsageError);
    expect(() => embeddingsWriter("x.npy")).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: embeddings file: the extension does not identify a format; received "x.npy"; expected .safetensors, .csv, .json.]`,
    );
  });
});

describe("files that hold no embeddings", () => {
  const document = { formatVersion: 1, origin, images: [{ file: "a.jpg" }, { file: "b.jpg" }] };
  const safetensors = (name: string, shape: readonly number[], said: unknown = document) =>
    writeSafetensors(new Map([[name, floatTensor(shape)]]), new Map([[metadataKey, JSON.stringify(said)]]));

  it("are refused as safetensors", () => {
    expect(read(safetensors("weights", [2, 3]))).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file: it contains no embeddings; received "tensors weights"; expected tensor "embeddings", and "xception-ts" in the header's metadata. Write them with \`xception embed\`.]`,
    );
    expect(read(safetensors("embeddings", [3, 3]))).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file: its values do not match its images; received "values [3,3] for 2 images"; expected [images, dimensions], one image at least.]`,
    );
    expect(read(safetensors("embeddings", [2, 0]))).toThrow(
      'its values do not match its images; received "values [2,0] for 2 images"',
    );
    expect(read(safetensors("embeddings", [0, 3], { ...document, images: [] }))).toThrow("one image at least");
    const named = (changes: object) => read(safetensors("embeddings", [2, 3], { ...document, ...changes }));
    expect(named({ formatVersion: 2 })).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file, metadata "xception-ts", field formatVersion: this value is not allowed; received 2; expected 1.]`,
    );
    expect(named({ origin: { ...origin, digest: "abc" } })).toThrow(
      'file, metadata "xception-ts", field origin.digest: this value is not allowed; received "abc"; expected 64 hexadecimal digits.',
    );
    expect(named({ origin: { ...origin, pooling: "sum" } })).toThrow(
      'field origin.pooling: this value is not allowed; received "sum"; expected one of avg, max.',
    );
    expect(named({ origin: { ...origin, architecture: "lenet" } })).toThrow(
      'field origin.architecture: this value is not allowed; received "lenet"; expected one of xception, ',
    );
    expect(named({ images: [{ file: 1 }] })).toThrow(
      "field images.0.file: this value is not allowed; received 1; expected a name.",
    );
    const noJson = writeSafetensors(new Map([["embeddings", floatTensor([1, 1])]]), new Map([[metadataKey, "{"]]));
    expect(read(noJson)).toThrow('file, metadata "xception-ts", character 1: this is not JSON.');
  });

  it("are refused as JSON", () => {
    const json = (...rows: unknown[]) => read(JSON.stringify({ formatVersion: 1, images: rows }));
    expect(read("{")).toThrow("file, character 1: this is not JSON.");
    expect(json()).toThrow("file: its values do not match its images;");
    expect(json({ file: "a", values: [1, 2] }, { file: "b", values: [1] })).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file, image "b": it has another number of values than the first one; received 1; expected 2.]`,
    );
    expect(json({ file: "a", values: [1, 1e39] })).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file, image "a", dimension 1: the value is not finite; received Infinity.]`,
    );
    expect(json({ file: "a", values: ["1"] })).toThrow(
      'file, field images.0.values.0: this value is not allowed; received "1"; expected a number.',
    );
  });

  it("are refused as CSV", () => {
    expect(read("")).toThrow("file: it contains no embeddings;");
    expect(read("name,e0\r\na,1\r\n")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file: it contains no embeddings; received "name,e0"; expected a safetensors file, a JSON object, or CSV with the columns file,label,e0. Write them with \`xception embed\`.]`,
    );
    expect(read("file,label,e0\r\na,,x\r\n")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file, image "a": this is not a finite number; received "x".]`,
    );
    expect(read("file,label,e0,e1\r\na,,1,\r\n")).toThrow('file, image "a": this is not a finite number; received "".');
    expect(read("file,label,e0\r\na,,1\r\nb,,1,2\r\n")).toThrow('file, image "b": it has another number of values');
    expect(read("file,label,e0\r\n")).toThrow("its values do not match its images");
    expect(read(Uint8Array.of(0xff, 0xfe, 0x41))).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file: it contains no embeddings; expected a safetensors file, or text.]`,
    );
  });

  it("give an error of the format and nothing else, whatever was cut off or changed", () => {
    for (const extension of [".safetensors", ".json", ".csv"]) {
      const whole = embeddingsWriter(`x${extension}`)(small);
      const damaged = fc
        .tuple(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255))
        .map(([length, at, byte]) => {
          const bytes = whole.slice(0, length);
          if (at < length) bytes[at] = byte;
          return bytes;
        });
      fc.assert(
        fc.property(fc.oneof(damaged, fc.uint8Array()), (bytes) => {
          try {
            readEmbeddings(bytes, "file");
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        }),
      );
    }
  });
});
