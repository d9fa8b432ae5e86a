import { afterAll, beforeAll, expect, test } from "vitest";
import type { ImageDataset } from "../../src/data/dataset.ts";
import { initializeWeights, type Weights } from "../../src/graph/initialize.ts";
import { networkWeights } from "../../src/graph/network.ts";
import { buildNetwork } from "../../src/models/registry.ts";
import { train } from "../../src/node.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

const size = 72;
const images = 8;
/** Xception at a quarter of its width, without any random choice that would need many steps to show. */
const base = { imageSize: size, width: 0.25, batchSize: images, seed: 5, augment: "none", keep: "last" } as const;
/** One step of plain gradient descent, whose change of the weights is the gradient. */
const oneStep = {
  ...base,
  epochs: 1,
  optimizer: "sgd",
  momentum: 0,
  weightDecay: 0,
  learningRate: 1,
  schedule: "constant",
} as const satisfies Omit<TrainingRequest, "platform">;
/** Fine-tuning of the last block. */
const fineTuning = { ...base, epochs: 20, unfreezeFrom: "block14", learningRate: 1e-3 } as const;

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

/** All weights as one array, in the order of the network. */
function joined(weights: Weights, names: readonly string[]): Float32Array {
  const parts = names.map((name) => weights.get(name)!.data);
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function bytesOf({ buffer }: Float32Array): Uint8Array {
  return new Uint8Array(buffer);
}

test("a step and a fine-tuning run on a page are those of Node", async (context) => {
  if (whyNoBrowser !== undefined) context.skip(whyNoBrowser);
  const losses: { step: number[]; run: number[] } = { step: [], run: [] };
  const onStep = ({ stepLoss }: { stepLoss: number }) => void losses.step.push(stepLoss);
  const stepped = await train(dataset(), { ...oneStep, onProgress: onStep });
  const names = networkWeights(stepped.network)
    .filter(({ trainable }) => trainable)
    .map(({ name }) => name);
  const initial = initializeWeights(buildNetwork(stepped.architecture));
  const onRun = ({ stepLoss }: { stepLoss: number }) => void losses.run.push(stepLoss);
  await train(dataset(), { ...fineTuning, weights: initial, onProgress: onRun });

  browser.serve("/pixels", pixels);
  browser.serve("/before", bytesOf(joined(initial, names)));
  browser.serve("/after", bytesOf(joined(stepped.weights, names)));
  const page = await browser.open();
  const found = await page.evaluate(
    async ({ oneStep, fineTuning, names, size, images }) => {
      const bytesAt = async (path: string) => (await fetch(path)).arrayBuffer();
      const pixels = new Uint8Array(await bytesAt("pixels"));
      const bytes = size * size * 3;
      const samples = Array.from({ length: images }, (_, index) => ({
        name: `${index}.png`,
        label: index % 2,
        image: { width: size, height: size, data: pixels.slice(index * bytes, (index + 1) * bytes) },
      }));
      const dataset = { classes: ["even", "odd"], samples };
      const losses: { step: number[]; run: number[] } = { step: [], run: [] };
      const stepped = await xception.train(dataset, {
        ...oneStep,
        onProgress: ({ stepLoss }) => void losses.step.push(stepLoss),
      });
      const before = new Float32Array(await bytesAt("before"));
      const after = new Float32Array(await bytesAt("after"));
      let [difference, norm, at] = [0, 0, 0];
      const initial = new Map(stepped.weights);
      for (const name of names) {
        const weight = stepped.weights.get(name)!;
        for (const value of weight.data) {
          difference += (value - after[at]!) ** 2;
          norm += (after[at]! - before[at]!) ** 2;
          at++;
        }
        initial.set(name, { ...weight, data: before.slice(at - weight.data.length, at) });
      }
      // Moving statistics start at mean 0 and variance 1.
      for (const [name, weight] of initial) {
        const start = name.endsWith("moving_mean") ? 0 : 1;
        if (!names.includes(name)) initial.set(name, { ...weight, data: weight.data.map(() => start) });
      }
      await xception.train(dataset, {
        ...fineTuning,
        weights: initial,
        onProgress: ({ stepLoss }) => void losses.run.push(stepLoss),
      });
      return { losses, difference: Math.sqrt(difference), norm: Math.sqrt(norm), values: at };
    },
    { oneStep, fineTuning, names, size, images },
  );
  expect(found.values).toBeGreaterThan(1_000_000);
  expect(found.losses.step).toHaveLength(1);
  expect(Math.abs(found.losses.step[0]! - losses.step[0]!)).toBeLessThan(1e-6);
  expect(found.difference / found.norm).toBeLessThan(1e-4);
  expect(found.losses.run).toHaveLength(20);
  for (const [step, loss] of found.losses.run.entries()) expect(Math.abs(loss - losses.run[step]!)).toBeLessThan(1e-3);
  // The loss falls: the steps train something.
  expect(losses.run.at(-1)).toBeLessThan(losses.run[0]!);
  if (process.env.PRINT) console.log(found.difference / found.norm, found.losses, losses);
});
