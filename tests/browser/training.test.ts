import { afterAll, beforeAll, expect, test } from "vitest";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { train } from "../../src/node.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

const size = 72;
const images = 8;
/** One step of Xception at a quarter of its width. */
const oneStep = {
  imageSize: size,
  width: 0.25,
  batchSize: images,
  seed: 5,
  augment: "none",
  epochs: 1,
} as const satisfies Omit<TrainingRequest, "platform">;

const pixels = (() => {
  const random = mulberry32(11);
  return Uint8Array.from({ length: images * size * size * 3 }, () => 256 * random());
})();

function dataset(): ImageDataset {
  const bytes = size * size * 3;
  const samples = Array.from({ length: images }, (_, index) => ({
    name: `${index}.png`,
    label: index % 2,
    image: { width: size, height: size, data: pixels.slice(index * bytes, (index + 1) * bytes) },
  }));
  return { classes: ["even", "odd"], samples };
}

let browser: BrowserTest;
beforeAll(async () => {
  if (whyNoBrowser === undefined) browser = await startBrowserTest();
});
afterAll(() => browser?.close());

test("the first loss on a page is that of Node", async (context) => {
  if (whyNoBrowser !== undefined) context.skip(whyNoBrowser);
  const losses: number[] = [];
  await train(dataset(), { ...oneStep, onProgress: ({ stepLoss }) => void losses.push(stepLoss) });
  browser.serve("/pixels", pixels);
  const page = await browser.open();
  const found = await page.evaluate(
    async ({ oneStep, size, images }) => {
      const pixels = new Uint8Array(await (await fetch("pixels")).arrayBuffer());
      const bytes = size * size * 3;
      const samples = Array.from({ length: images }, (_, index) => ({
        name: `${index}.png`,
        label: index % 2,
        image: { width: size, height: size, data: pixels.slice(index * bytes, (index + 1) * bytes) },
      }));
      const losses: number[] = [];
      const onProgress = ({ stepLoss }: { stepLoss: number }) => void losses.push(stepLoss);
      const { labels, steps } = await xception.train({ classes: ["even", "odd"], samples }, { ...oneStep, onProgress });
      return { losses, labels, steps };
    },
    { oneStep, size, images },
  );
  expect(found).toMatchObject({ labels: ["even", "odd"], steps: 1 });
  expect(found.losses).toHaveLength(1);
  expect(Math.abs(found.losses[0]! - losses[0]!)).toBeLessThan(1e-6);
});
