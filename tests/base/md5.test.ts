import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { md5 } from "../../src/base/md5.ts";

test("MD5 is that of Node, for every number of bytes beyond a block", () => {
  const bytes = Uint8Array.from({ length: 200 }, (_, index) => (index * 167 + 13) % 256);
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    expect(md5(part)).toBe(createHash("md5").update(part).digest("hex"));
  }
});
