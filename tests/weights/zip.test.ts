import { crc32 as crcOfZlib } from "node:zlib";
import fc from "fast-check";
import { strToU8, zipSync } from "fflate";
import { expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { crc32 } from "../../src/weights/crc32.ts";
import { readZip } from "../../src/weights/zip.ts";
import { damaged } from "./damaged.ts";

test("the check sum is the one of the standard, and zlib's", () => {
  expect(crc32(strToU8("123456789")).toString(16)).toBe("cbf43926");
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => crc32(bytes) === crcOfZlib(bytes)));
});

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
