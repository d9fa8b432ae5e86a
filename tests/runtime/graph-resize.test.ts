import { expect, test } from "vitest";
import { fits, interpolations } from "../../src/graph/preprocessing.ts";
import { preparationModel } from "../../src/model/images.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { resizeAsGraph } from "../../src/runtime/web/graph-resize.ts";
import { mulberry32 } from "../../src/tensor/random.ts";

/** Sizes of images, smaller and larger than the result, wide and tall. */
const sizes = [
  [71, 80],
  [1, 3],
  [37, 200],
  [201, 142],
  [450, 333],
] as const;

test.each(interpolations.flatMap((interpolation) => fits.map((fit) => [interpolation, fit] as const)))(
  "in a browser an image is resized to the bytes of the model's graph: %s, %s",
  async (interpolation, fit) => {
    const random = mulberry32(7);
    for (const cropRatio of [1, 0.875]) {
      const resize = { interpolation, fit, cropRatio, background: [10, 200, 90] } as const;
      const session = await nodePlatform.engine.createSession(await preparationModel([71, 80], resize), { threads: 1 });
      for (const [height, width] of sizes) {
        const data = new Uint8Array(3 * height * width).map(() => 256 * random());
        const { pixels } = await session.run({ images: { type: "uint8", shape: [1, height, width, 3], data } });
        const resized = resizeAsGraph({ width, height, data }, { ...resize, width: 80, height: 71 });
        expect([resized.width, resized.height]).toEqual([80, 71]);
        expect(Buffer.compare(resized.data, pixels!.data as Uint8Array)).toBe(0);
      }
      await session.dispose();
    }
  },
);
