import { describe, expect, it } from "vitest";
import type { Device, RgbImage } from "../../src/base/platform.ts";
import { imageInput } from "../../src/compiler/lower.ts";
import type { ImageResize } from "../../src/graph/preprocessing.ts";
import { preparationModel } from "../../src/model/images.ts";
import { createSession } from "../../src/runtime/node/engine.ts";
import golden from "../golden/pillow-resize.json" with { type: "json" };

const size = golden.size as [number, number];

/** The formula of tests/golden/pillow-resize.py: the middle bits of a linear congruential generator. */
function image(height: number, width: number): RgbImage {
  let state = 1n;
  const data = Uint8Array.from({ length: height * width * 3 }, () => {
    state = (state * 1103515245n + 12345n) % 2n ** 31n;
    return Number((state >> 16n) & 255n);
  });
  return { width, height, data };
}

async function sized(images: readonly RgbImage[], resize: ImageResize, device: Device): Promise<Uint8Array[]> {
  const session = await createSession(await preparationModel(size, resize), { device, threads: 1 });
  const results: Uint8Array[] = [];
  for (const { width, height, data } of images) {
    const { pixels } = await session.run({ [imageInput]: { type: "uint8", shape: [1, height, width, 3], data } });
    expect(pixels!.shape).toEqual([1, ...size, 3]);
    results.push(pixels!.data as Uint8Array);
  }
  await session.dispose();
  return results;
}

const kinds = new Map<string, typeof golden.cases>();
for (const each of golden.cases) {
  const name = `${each.interpolation}, ${each.fit}, ${each.cropRatio} of it`;
  kinds.set(name, [...(kinds.get(name) ?? []), each]);
}

describe("images in the graph", () => {
  it.each([...kinds])("%s: as Pillow, and bit for bit the same in WebAssembly", async (_, cases) => {
    const resize = cases[0] as unknown as ImageResize;
    const images = cases.map(({ shape }) => image(shape[0]!, shape[1]!));
    const [native, wasm] = await Promise.all([sized(images, resize, "cpu"), sized(images, resize, "wasm")]);
    expect(wasm).toEqual(native);
    for (const [index, { pixels, shape }] of cases.entries()) {
      const expected = new Uint8Array(Buffer.from(pixels, "base64"));
      const different = native[index]!.map((value, place) => Math.abs(value - expected[place]!));
      // Pillow computes its weights in float64, the engine in float32: where a pixel lies on the edge between two values, they
      // may choose differently. Nearest pixels are chosen by the same sums in float64.
      const allowed = { nearest: 0, bilinear: 0.04, bicubic: 0.01 }[resize.interpolation];
      expect(Math.max(...different), `${shape}`).toBeLessThanOrEqual(allowed > 0 ? 1 : 0);
      expect(different.filter((each) => each > 0).length, `${shape}`).toBeLessThanOrEqual(allowed * expected.length);
    }
  });
});
