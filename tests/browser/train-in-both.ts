import type { Page } from "playwright-core";
import type { ImageDataset } from "../../src/data/dataset.ts";
import type { Network } from "../../src/graph/network.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { train } from "../../src/node.ts";
import type { TrainingRequest } from "../../src/train/request.ts";
import type { BrowserTest } from "./browser.ts";

/** What is trained: a network of two classes from its first weights, on images whose labels alternate. */
export interface TrainingCase {
  readonly network: Network;
  readonly start: Weights;
  /** Side of an image, in pixels. */
  readonly size: number;
  /** Bytes of all images, `[N, size, size, 3]`. */
  readonly pixels: Uint8Array;
}

/** Settings, which reach the page as JSON. */
export type CaseRequest = Omit<TrainingRequest, "platform" | "network" | "weights">;

/** Trains on all images in one batch, always in the same order. */
const whole = { augment: "none", seed: 5 } as const satisfies CaseRequest;

/** One step, by which the weights move as far as the gradient. */
export const oneStep: CaseRequest = {
  ...whole,
  epochs: 1,
  optimizer: "sgd",
  learningRate: 1,
  momentum: 0,
  weightDecay: 0,
};

/** Twenty steps of fine-tuning block 14. */
export const fineTuning: CaseRequest = {
  ...whole,
  epochs: 20,
  unfreezeFrom: "block14",
  optimizer: "adamw",
  learningRate: 1e-3,
};

/** The same training in Node and on a page. */
export interface TrainedInBoth {
  /** Loss of each step. */
  readonly node: readonly number[];
  readonly page: readonly number[];
  /** Norm of the movement of all weights, without moving statistics, in Node. */
  readonly moved: number;
  /** Norm of the difference between both movements, divided by it. */
  readonly apart: number;
}

/** Trains in Node and on the page, from the same weights. */
export async function trainInBoth(
  browser: BrowserTest,
  page: Page,
  { network, start, size, pixels }: TrainingCase,
  request: CaseRequest,
): Promise<TrainedInBoth> {
  const images = pixels.length / (size * size * 3);
  const settings = { ...request, batchSize: images };
  const losses: number[] = [];
  const onProgress = ({ stepLoss }: { stepLoss: number }) => void losses.push(stepLoss);
  const dataset = datasetOf(pixels, size);
  const { weights } = await train(dataset, { ...settings, network, weights: start, onProgress });
  const shapes = [...weights].map(([name, { shape }]) => [name, shape] as const);
  const bytesOfAll = (all: Weights) => Buffer.concat(shapes.map(([name]) => bytesOf(all.get(name)!.data)));
  browser.serve("/pixels", pixels);
  browser.serve("/start", bytesOfAll(start));
  browser.serve("/node", bytesOfAll(weights));
  const found = await page.evaluate(
    async ({ network, settings, shapes, size, images }) => {
      const bytes = async (path: string) => (await fetch(path)).arrayBuffer();
      const pixels = new Uint8Array(await bytes("pixels"));
      const length = size * size * 3;
      const samples = Array.from({ length: images }, (_, index) => ({
        name: `${index}.png`,
        label: index % 2,
        image: { width: size, height: size, data: pixels.slice(index * length, (index + 1) * length) },
      }));
      const read = async (path: string) => {
        const values = new Float32Array(await bytes(path));
        const all = new Map<string, { type: "float32"; shape: readonly number[]; data: Float32Array }>();
        let at = 0;
        for (const [name, shape] of shapes) {
          const end = at + shape.reduce((product, side) => product * side, 1);
          all.set(name, { type: "float32", shape, data: values.slice(at, end) });
          at = end;
        }
        return all;
      };
      const start = await read("start");
      const losses: number[] = [];
      const onProgress = ({ stepLoss }: { stepLoss: number }) => void losses.push(stepLoss);
      const { weights } = await xception.train(
        { classes: ["even", "odd"], samples },
        { ...settings, network: network as Network, weights: start, onProgress },
      );
      const inNode = await read("node");
      let [moved, apart] = [0, 0];
      for (const [name, { data }] of weights) {
        if (/moving_/.test(name)) continue;
        const [from, there] = [start.get(name)!.data, inNode.get(name)!.data];
        for (let index = 0; index < there.length; index++) {
          moved += (there[index]! - from[index]!) ** 2;
          apart += (there[index]! - data[index]!) ** 2;
        }
      }
      return { losses, moved: Math.sqrt(moved), apart: Math.sqrt(apart / moved) };
    },
    { network: network as object, settings: settings as object, shapes, size, images },
  );
  return { node: losses, page: found.losses, moved: found.moved, apart: found.apart };
}

function datasetOf(pixels: Uint8Array, size: number): ImageDataset {
  const bytes = size * size * 3;
  const samples = Array.from({ length: pixels.length / bytes }, (_, index) => ({
    name: `${index}.png`,
    label: index % 2,
    image: { width: size, height: size, data: pixels.slice(index * bytes, (index + 1) * bytes) },
  }));
  return { classes: ["even", "odd"], samples };
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
