import fc from "fast-check";
import { strToU8, zipSync } from "fflate";
import { expect, test } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { readZip } from "../../src/formats/zip.ts";
import { damaged } from "./damaged.ts";

test("entries come out as they went in, packed or not; others are left alone", () => {
  const entries = fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), fc.uint8Array({ maxLength: 100 }));
  fc.assert(
    fc.property(entries, fc.constantFrom(0 as const, 6 as const), (files, level) => {
      const archive = zipSync({ ...files, wanted: strToU8("yes"), unwanted: strToU8("no") }, { level });
      const all = readZip(archive, (name) => (name === "unwanted" ? undefined : 100), "the file");
      expect(Object.fromEntries(all)).toEqual({ ...files, wanted: strToU8("yes") });
    }),
  );
});

test("a changed, cut or continued archive gives what was in it, or is refused", () => {
  const content = Uint8Array.from({ length: 300 }, (_, index) => (index * 7) % 256);
  const archive = zipSync({ a: content, b: [content.slice(0, 50), { level: 0 }] });
  fc.assert(
    fc.property(damaged(archive), (bytes) => {
      try {
        for (const entry of readZip(bytes, () => 1000, "the file").values()) {
          expect(content.subarray(0, entry.length)).toEqual(entry);
        }
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        expect(error.message).toMatch(/^the file/);
      }
    }),
    { numRuns: 500 },
  );
});

test("entries that share their bytes, so that together they are larger than any file, are refused", () => {
  const names = Array.from({ length: 2000 }, (_, index) => `e${String(index).padStart(4, "0")}`);
  const empty = Object.fromEntries(names.map((name) => [name, new Uint8Array()]));
  const archive = zipSync({ ...empty, e0000: new Uint8Array(100_000) }, { level: 0 });
  const view = new DataView(archive.buffer);
  // In the directory, every entry becomes the first one: checksum, sizes and place.
  for (let at = view.getUint32(archive.length - 6, true); view.getUint32(at, true) === 0x02014b50; at += 46 + 5) {
    view.setUint32(at + 20, 100_000, true);
    view.setUint32(at + 24, 100_000, true);
    view.setUint32(at + 42, 0, true);
  }
  expect(() => readZip(archive, () => archive.length, "the file")).toThrowErrorMatchingInlineSnapshot(
    `[FormatError: the file, entry e1363: with the entries before it, it claims to be larger than it can be; received "136400000 bytes"; expected at most 136393904.]`,
  );
});
