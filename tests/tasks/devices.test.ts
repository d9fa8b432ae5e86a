import { describe, expect, it } from "vitest";
import { oneHot } from "../../src/data/labels.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import type { Device } from "../../src/platform.ts";
import { nodePlatform } from "../../src/runtime/node.ts";
import { inferenceSession } from "../../src/tasks/inference.ts";
import { TrainingStep } from "../../src/tasks/training-step.ts";
import { formulaWeights } from "../../src/weights/formula.ts";
import { whyNoWebGpu } from "../runtime/swiftshader.ts";
import { pictureSize, smallNetwork } from "./train-fixtures.ts";

const network = smallNetwork();
const weights = formulaWeights(network);
const shape = [4, pictureSize, pictureSize, 3];
const bytes = Uint8Array.from({ length: 4 * pictureSize ** 2 * 3 }, (_, index) => (index * 89) % 256);
const images = { type: "uint8", shape, data: bytes } as const;
const preprocessing = { scale: 1 / 127.5, offset: -1 };

async function probabilities(device: Device): Promise<Float32Array> {
  const inference = await inferenceSession(network, weights, preprocessing, nodePlatform, { device });
  const { data } = await inference.run(images);
  await inference.dispose();
  return data;
}

/** Loss and weights after one step in the plain layout. */
async function trainOneStep(device: Device): Promise<Float32Array> {
  const step = await TrainingStep.create(network, weights, {
    platform: nodePlatform,
    batchSize: 4,
    loss: softmaxCrossEntropy,
    optimizer: createOptimizer("adamw"),
    preprocessing,
    session: { device },
  });
  const { loss } = await step.run({ images, targets: oneHot([0, 1, 2, 0], 3, 0), learningRate: 0.01 });
  const trained = [...step.weights().values()].flatMap(({ data }) => [...data]);
  await step.dispose();
  return Float32Array.of(loss, ...trained);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0);
}

describe.each(["wasm", "webgpu"] as const)("%s computes what the processor computes natively", (device) => {
  it("in inference", async (context) => {
    const reason = device === "webgpu" ? await whyNoWebGpu() : undefined;
    if (reason !== undefined) context.skip(reason);
    expect(largestDifference(await probabilities(device), await probabilities("cpu"))).toBeLessThan(1e-6);
  }, 60_000);

  it("in a whole training step", async (context) => {
    const reason = device === "webgpu" ? await whyNoWebGpu() : undefined;
    if (reason !== undefined) context.skip(reason);
    const [here, natively] = [await trainOneStep(device), await trainOneStep("cpu")];
    expect(largestDifference(here, natively)).toBeLessThan(1e-6);
  }, 120_000);
});
