import { describe, expect, it } from "vitest";
import type { Device, Platform } from "../../src/base/platform.ts";
import { oneHot } from "../../src/data/labels.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { defaultPreprocessing } from "../../src/model/model.ts";
import { loadPredictor } from "../../src/model/predictor.ts";
import { probeModel } from "../../src/runtime/node/engine.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { TrainingStep } from "../../src/train/step/training-step.ts";
import { whyNoWebGpu } from "../runtime/swiftshader.ts";
import { imageSize, smallNetwork } from "../train/train-fixtures.ts";

const network = smallNetwork({ pooled: true });
const weights = syntheticWeights(network);
const shape = [4, imageSize, imageSize, 3];
const bytes = Uint8Array.from({ length: 4 * imageSize ** 2 * 3 }, (_, index) => (index * 89) % 256);
const images = { type: "uint8", shape, data: bytes } as const;
const preprocessing = { scale: 1 / 127.5, offset: -1 };

async function probabilities(device: Device): Promise<Float32Array> {
  const inference = await loadPredictor({ network, weights, preprocessing: defaultPreprocessing }, nodePlatform, {
    device,
  });
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

describe.each(["wasm", "webgpu"] as const)("%s computes what the CPU computes natively", (device) => {
  it("in inference", async (context) => {
    const reason = device === "webgpu" ? await whyNoWebGpu() : undefined;
    if (reason !== undefined) context.skip(reason);
    expect(largestDifference(await probabilities(device), await probabilities("cpu"))).toBeLessThan(1e-6);
  });

  it("in a whole training step", async (context) => {
    const reason = device === "webgpu" ? await whyNoWebGpu() : undefined;
    if (reason !== undefined) context.skip(reason);
    const [here, natively] = [await trainOneStep(device), await trainOneStep("cpu")];
    expect(largestDifference(here, natively)).toBeLessThan(1e-6);
  });
});

describe("the state of a training step on WebGPU", () => {
  const large = smallNetwork({ hidden: 1100, pooled: true });
  const options = {
    batchSize: 4,
    loss: softmaxCrossEntropy,
    optimizer: createOptimizer("sgd", { momentum: 0.9 }),
    preprocessing,
    health: true,
    session: { device: "webgpu" },
  } as const;
  const input = { images, targets: oneHot([0, 1, 2, 0], 3, 0), learningRate: 0.01 };
  /** An engine that hands out everything. */
  const forgetful: Platform = {
    ...nodePlatform,
    engine: {
      ...nodePlatform.engine,
      createSession: (model, { keep, ...rest } = {}) => nodePlatform.engine.createSession(model, rest),
    },
  };

  it("stays there from step to step, and is fetched when it is asked for", async (context) => {
    const reason = await whyNoWebGpu();
    if (reason !== undefined) context.skip(reason);
    const [kept, handed] = await Promise.all(
      [nodePlatform, forgetful].map((platform) => {
        return TrainingStep.create(large, syntheticWeights(large), { ...options, platform });
      }),
    );
    for (let index = 0; index < 2; index++) {
      const [here, there] = [
        await handed!.run({ ...input, health: true }),
        await kept!.run({ ...input, health: true }),
      ];
      expect(there).toEqual(here);
    }
    expect(() => kept!.state()).toThrow(
      "training step: its weights are in the memory of the device that computes. Call `await step.fetch()` before asking for " +
        "its state or weights.",
    );
    expect(() => kept!.weights()).toThrow("step.fetch()");
    await kept!.fetch();
    expect(kept!.state()).toEqual(handed!.state());
    expect(kept!.weights()).toEqual(handed!.weights());

    // A step that breaks is undone there, too; then both go on.
    const broken = await kept!.run({ ...input, learningRate: Infinity });
    expect(broken.isSound).toBe(false);
    expect(kept!.state()).toEqual(handed!.state());
    for (const step of [kept!, handed!]) await step.run(input);
    await kept!.fetch();
    expect(kept!.state()).toEqual(handed!.state());
    for (const step of [kept!, handed!]) await step.dispose();
  });

  it("is no input of sessions on other devices", async (context) => {
    const reason = await whyNoWebGpu();
    if (reason !== undefined) context.skip(reason);
    const session = await nodePlatform.engine.createSession(probeModel, { device: "webgpu", keep: ["y"] });
    const { kept, tensors } = await session.runOnDevice!({ x: floatTensor([1], Float32Array.of(3)) });
    expect([tensors, kept.y!.device, kept.y!.shape]).toEqual([{}, "webgpu", [1]]);
    const again = await session.runOnDevice!({ x: kept.y! });
    const elsewhere = { ...kept.y!, device: "cuda", shape: [1], dispose: () => {} } as const;
    await expect(session.runOnDevice!({ x: elsewhere })).rejects.toThrow(
      'input "x": its tensor is on another device; received "cuda"; expected webgpu.',
    );
    for (const { y } of [kept, again.kept]) y!.dispose();
    await session.dispose();
    const CPU = await nodePlatform.engine.createSession(probeModel, { keep: ["y"] });
    expect(CPU.runOnDevice).toBeUndefined();
    expect(await CPU.run({ x: floatTensor([1], Float32Array.of(3)) })).toEqual({
      y: floatTensor([1], Float32Array.of(3)),
    });
    await CPU.dispose();
  });
});
