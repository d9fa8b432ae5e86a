import { crc32 as crcOfZlib } from "node:zlib";
import fc from "fast-check";
import { strToU8 } from "fflate";
import { expect, test } from "vitest";
import { crc32, crc32c } from "../../src/base/checksums.ts";

test("the checksum of zip archives is the one of the standard, and zlib's", () => {
  expect(crc32(strToU8("123456789")).toString(16)).toBe("cbf43926");
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => crc32(bytes) === crcOfZlib(bytes)));
});

test("CRC-32C is the one of RFC 3720, and of a slow division bit by bit", () => {
  expect(crc32c(strToU8("123456789")).toString(16)).toBe("e3069283");
  // Appendix B.4: 32 bytes of zeros, of ones, and counting up.
  expect(crc32c(new Uint8Array(32)).toString(16)).toBe("8a9136aa");
  expect(crc32c(new Uint8Array(32).fill(255)).toString(16)).toBe("62a8ab43");
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)).toString(16)).toBe("46dd794e");
  const slow = (bytes: Uint8Array) => {
    let rest = 0xffffffff;
    for (const byte of bytes) {
      rest ^= byte;
      for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0x82f63b78 : rest >>> 1;
    }
    return ~rest >>> 0;
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => crc32c(bytes) === slow(bytes)));
});
