import { describe, expect, it } from "vitest";
import { nodePlatform } from "../../src/runtime/node.ts";
import { pixelsOf } from "../../src/tasks/model/image.ts";

describe("an image that is none", () => {
  it.each([
    [42, "number"],
    [null, "null"],
    [undefined, "undefined"],
    [{ width: 1, height: 1, data: [0, 0, 0] }, "object"],
  ])("%j", async (image, received) => {
    await expect(pixelsOf(image as never, { width: 2, height: 2 }, nodePlatform.images)).rejects.toThrow(
      `image: it is none of the things an image can be; received "${received}"; ` +
        "expected a path, the bytes of an encoded image, or pixels {width, height, data: Uint8Array}.",
    );
  });
});
