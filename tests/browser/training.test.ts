import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ImageDataset } from "../../src/data/dataset.ts";
import type { Network } from "../../src/graph/network.ts";
import { initializeWeights, xception as xceptionNetwork } from "../../src/index.ts";
import { train } from "../../src/node.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

const [size, images] = [72, 8];
/** Xception at a quarter of its width. */
const network = xceptionNetwork({ inputShape: [size, size, 3], width: 0.25, classes: 2, seed: 5 });
/** The same with ELU: rounding can put an input of ReLU on the other side of zero, where its gradient jumps. */
const smooth: Network = {
  ...network,
  layers: network.layers.map((layer) => {
    const { config } = layer;
    const isRelu = config.type === "Activation" && config.activation === "relu";
    return isRelu ? { ...layer, config: { ...config, activation: "elu" } } : layer;
  }),
};
const start = initializeWeights(network);

type Request = Omit<TrainingRequest, "platform" | "network" | "weights">;
const whole = { batchSize: images, augment: "none", seed: 5 } as const satisfies Request;
/** The weights move by the gradient. */
const oneStep: Request = { ...whole, epochs: 1, optimizer: "sgd", learningRate: 1, momentum: 0, weightDecay: 0 };
const fineTuning: Request = { ...whole, epochs: 20, unfreezeFrom: "block14", optimizer: "adamw", learningRate: 1e-3 };

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
let page: Page;
beforeAll(async () => {
  if (whyNoBrowser !== undefined) return;
  browser = await startBrowserTest();
  browser.serve("/pixels", pixels);
  for (const [name, { data }] of start) browser.serve(`/start/${name}`, bytesOf(data));
  page = await browser.open();
});
afterAll(() => browser?.close());

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

interface Trained {
  readonly losses: readonly number[];
  /** Squares of the movement of all weights, and of its difference between the page and Node. */
  readonly moved: number;
  readonly apart: number;
}

/** Trains in Node and on the page, from the same weights. */
async function trainInBoth(on: Network, request: Request): Promise<{ node: readonly number[]; page: Trained }> {
  const losses: number[] = [];
  const onProgress = ({ stepLoss }: { stepLoss: number }) => void losses.push(stepLoss);
  const { weights } = await train(dataset(), { ...request, network: on, weights: start, onProgress });
  const shapes: [string, readonly number[]][] = [];
  for (const [name, { shape, data }] of weights) {
    browser.serve(`/node/${name}`, bytesOf(data));
    shapes.push([name, shape]);
  }
  const found = await page.evaluate(
    async ({ on, request, shapes, size, images }) => {
      const bytes = async (path: string) => (await fetch(path)).arrayBuffer();
      const pixels = new Uint8Array(await bytes("pixels"));
      const length = size * size * 3;
      const samples = Array.from({ length: images }, (_, index) => ({
        name: `${index}.png`,
        label: index % 2,
        image: { width: size, height: size, data: pixels.slice(index * length, (index + 1) * length) },
      }));
      const read = async (folder: string, name: string) => new Float32Array(await bytes(`${folder}/${name}`));
      const start = new Map<string, { type: "float32"; shape: readonly number[]; data: Float32Array }>();
      for (const [name, shape] of shapes) start.set(name, { type: "float32", shape, data: await read("start", name) });
      const losses: number[] = [];
      const onProgress = ({ stepLoss }: { stepLoss: number }) => void losses.push(stepLoss);
      const { weights } = await xception.train(
        { classes: ["even", "odd"], samples },
        { ...request, network: on as Network, weights: start, onProgress },
      );
      let [moved, apart] = [0, 0];
      for (const [name, { data }] of weights) {
        if (/moving_/.test(name)) continue;
        const [from, inNode] = [start.get(name)!.data, await read("node", name)];
        for (const [index, value] of inNode.entries()) {
          moved += (value - from[index]!) ** 2;
          apart += (value - data[index]!) ** 2;
        }
      }
      return { losses, moved, apart };
    },
    { on: on as object, request: request as object, shapes, size, images },
  );
  return { node: losses, page: found };
}

test("the first step's loss and gradient on a page are those of Node", async (context) => {
  if (whyNoBrowser !== undefined) return context.skip(whyNoBrowser);
  const { node, page } = await trainInBoth(smooth, oneStep);
  expect(page.losses).toHaveLength(1);
  expect(Math.abs(page.losses[0]! - node[0]!)).toBeLessThan(1e-6);
  expect(page.moved).toBeGreaterThan(1);
  expect(Math.sqrt(page.apart / page.moved)).toBeLessThan(1e-5);
});

test("twenty steps of fine-tuning block 14 stay together", async () => {
  if (whyNoBrowser !== undefined) return;
  const { node, page } = await trainInBoth(network, fineTuning);
  expect(page.losses).toHaveLength(20);
  expect(Math.abs(page.losses[0]! - node[0]!)).toBeLessThan(1e-6);
  expect(page.losses[19]).toBeLessThan(0.5 * page.losses[0]!);
  for (const [step, loss] of page.losses.entries()) expect(Math.abs(loss - node[step]!)).toBeLessThan(1e-3);
});
