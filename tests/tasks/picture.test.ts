import { describe, expect, it } from "vitest";
import { nodePlatform } from "../../src/runtime/node.ts";
import { pixelsOf } from "../../src/tasks/model/picture.ts";

describe("a picture that is none", () => {
  it.each([
    [42, "number"],
    [null, "null"],
    [undefined, "undefined"],
    [{ width: 1, height: 1, data: [0, 0, 0] }, "object"],
  ])("%j", async (picture, received) => {
    await expect(pixelsOf(picture as never, { width: 2, height: 2 }, nodePlatform)).rejects.toThrow(
      `picture: it is none of the things a picture can be; received "${received}"; ` +
        "expected a path, the bytes of an encoded picture, or pixels {width, height, data: Uint8Array}.",
    );
  });
});
