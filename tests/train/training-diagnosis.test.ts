import { describe, expect, it } from "vitest";
import type { Network } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { type StepInput, TrainingStep } from "../../src/train/step/training-step.ts";
import { batchSize, blockNetwork, layouts, mapWeights, stepInput } from "./step-fixtures.ts";

const normalized = blockNetwork();
const plain = blockNetwork({ normalized: false });
const scaled = (of: Network, scales: Readonly<Record<string, number>>): Weights =>
  mapWeights(syntheticWeights(of), (value, name) => value * (scales[name] ?? 1));

describe.each(layouts)("a step that breaks, %s", (_, platform) => {
  async function broken(of: Network, weights: Weights, input: StepInput = stepInput) {
    const options = { platform, batchSize, loss: softmaxCrossEntropy, optimizer: createOptimizer("sgd") };
    const step = await TrainingStep.create(of, weights, { ...options, sampleWeights: true });
    const before = step.state();
    const { loss, isSound } = await step.run(input);
    expect(isSound).toBe(false);
    expect(step.state()).toEqual(before);
    const fault = await step.diagnose(input);
    await step.dispose();
    return { loss, fault };
  }

  it("by a weight, names it", async () => {
    const { fault } = await broken(normalized, scaled(normalized, { "block_bn/gamma": Number.NaN }));
    expect(fault).toEqual({ kind: "weight", layer: "block_bn", name: "block_bn/gamma" });
  });

  it("by its input, names it", async () => {
    const images = floatTensor(stepInput.images.shape, (stepInput.images.data as Float32Array).slice());
    images.data[7] = Number.POSITIVE_INFINITY;
    const { fault } = await broken(normalized, syntheticWeights(normalized), { ...stepInput, images });
    expect(fault).toEqual({ kind: "input", name: "images" });
  });

  it("by a layer's output, names the first such layer", async () => {
    const scales = { "block_sepconv/pointwise_kernel": 1e38, "block_sepconv/depthwise_kernel": 1e3 };
    const { loss, fault } = await broken(normalized, scaled(normalized, scales));
    expect(loss).toBeNaN();
    expect(fault).toEqual({ kind: "output", layer: "block_sepconv", name: "block_sepconv" });
  });

  it("by the loss alone, says so", async () => {
    const sampleWeights = floatTensor([batchSize], new Float32Array(batchSize).fill(3e38));
    const scales = { "top/kernel": 100 };
    const { loss, fault } = await broken(normalized, scaled(normalized, scales), { ...stepInput, sampleWeights });
    expect(loss).toBe(Number.POSITIVE_INFINITY);
    expect(fault).toEqual({ kind: "loss", name: "loss" });
  });

  it("by a gradient, names the last such layer, though the loss is finite", async () => {
    // Forward 1e-20·1e20; backward, a loss of about 1e25 times 1e20 is more than float32 holds.
    const scales = {
      "stem/kernel": 1e-20,
      "stem/bias": 1e-20,
      "block_sepconv/pointwise_kernel": 1e20,
      "shortcut/kernel": 1e20,
    };
    const sampleWeights = floatTensor([batchSize], new Float32Array(batchSize).fill(1e25));
    const { loss, fault } = await broken(plain, scaled(plain, scales), { ...stepInput, sampleWeights });
    expect(loss).toBeGreaterThan(1e24);
    expect(loss).toBeLessThan(Infinity);
    expect(fault).toEqual({
      kind: "gradient",
      layer: "block_sepconv",
      name: "gradient/block_sepconv/depthwise_kernel",
    });
  });

  it("is told from a sound one", async () => {
    const options = { platform, batchSize, loss: softmaxCrossEntropy, optimizer: createOptimizer("sgd") };
    const step = await TrainingStep.create(normalized, syntheticWeights(normalized), options);
    expect(await step.diagnose(stepInput)).toBeUndefined();
    expect((await step.run(stepInput)).isSound).toBe(true);
    await step.dispose();
  });
});
