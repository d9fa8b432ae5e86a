import { describe, expect, it } from "vitest";
import { conv2d, dense, dropout, globalAveragePooling2d, input } from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { createOptimizer, exponentialAverage } from "../../src/learning/optimizers.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor/tensor.ts";
import type { Reduce } from "../../src/train/step/split-program.ts";
import type { StepInput } from "../../src/train/step/training-step.ts";
import { blockNetwork, layouts, mapWeights, runSteps, stepInput, worstWeight } from "./step-fixtures.ts";

const normalized = blockNetwork();
const plain = blockNetwork({ normalized: false });
const inference = () => "inference" as const;
const second: StepInput = { ...stepInput, images: rolled(stepInput.images as FloatTensor), learningRate: 0.125 };

/** The same images in another order, for other targets. */
function rolled({ shape, data }: FloatTensor): FloatTensor {
  const size = data.length / shape[0]!;
  return floatTensor(shape, Float32Array.from([...data.slice(size), ...data.slice(0, size)]));
}

function part(of: StepInput, start: number, end: number): StepInput {
  const rows = ({ shape, data }: FloatTensor) => {
    const size = data.length / shape[0]!;
    return floatTensor([end - start, ...shape.slice(1)], data.slice(start * size, end * size));
  };
  return { ...of, images: rows(of.images as FloatTensor), targets: rows(of.targets) };
}

/** The share of one of two machines, so that together they have the same micro-batches as one machine. */
function interleaved(of: StepInput, rank: number, microBatches: number): StepInput {
  const size = 4 / microBatches;
  const rows = Array.from({ length: microBatches }, (_, index) => index * size + (rank * size) / 2);
  const parts = rows.map((start) => part(of, start, start + size / 2));
  const join = (tensors: readonly FloatTensor[]) =>
    floatTensor([2, ...tensors[0]!.shape.slice(1)], Float32Array.from(tensors.flatMap(({ data }) => [...data])));
  const images = join(parts.map((each) => each.images as FloatTensor));
  return { ...of, images, targets: join(parts.map(({ targets }) => targets)) };
}

/** Machines that hand in their buffers and go on with the mean once all have. */
function machines(count: number): Reduce {
  let waiting: { readonly buffer: Float32Array; readonly go: () => void }[] = [];
  return (buffer) =>
    new Promise((go) => {
      waiting.push({ buffer, go });
      if (waiting.length < count) return;
      const mean = buffer.map((_, index) => waiting.reduce((sum, each) => sum + each.buffer[index]!, 0) / count);
      for (const each of waiting) {
        each.buffer.set(mean);
        each.go();
      }
      waiting = [];
    });
}

describe.each(layouts)("gradients accumulated over micro-batches, %s", (_, platform) => {
  it.each([
    ["without normalizations", plain, {}],
    ["with normalizations by moving statistics", normalized, { batchNorm: inference }],
  ])("move the weights as one large batch does, %s", async (_name, of, mode) => {
    const options = {
      ...mode,
      platform,
      optimizer: createOptimizer("adamw", { epsilon: 0.1, weightDecay: 0.1 }),
      clip: { norm: 0.1 },
      averageDecay: exponentialAverage(0.5),
      gradientOutputs: true,
    };
    const whole = await runSteps(of, options, [stepInput, second]);
    for (const accumulate of [2, 4]) {
      const split = await runSteps(of, { ...options, batchSize: 4 / accumulate, accumulate }, [stepInput, second]);
      for (const [index, { loss, logits, gradientNorm, gradients }] of whole.results.entries()) {
        const result = split.results[index]!;
        expect(result.loss).toBeCloseTo(loss, 5);
        expect(result.gradientNorm! / gradientNorm!).toBeCloseTo(1, 5);
        expect(result.logits.shape).toEqual(logits.shape);
        for (const [at, value] of logits.data.entries()) expect(result.logits.data[at]).toBeCloseTo(value, 5);
        expect(worstWeight(result.gradients, gradients).difference).toBeLessThan(1e-5);
      }
      expect(worstWeight(split.after, whole.after).difference).toBeLessThan(1e-5);
      expect(worstWeight(split.averaged, whole.averaged).difference).toBeLessThan(1e-5);
      expect([...split.state.tensors.keys()]).toEqual([...whole.state.tensors.keys()]);
    }
  });
});

describe("with normalizations by the batch, micro-batches", () => {
  it("have their gradients, and their statistics, averaged", async () => {
    const whole = await runSteps(normalized, { batchSize: 2, accumulate: 2 });
    const parts = await Promise.all(
      [0, 2].map((start) => runSteps(normalized, { batchSize: 2 }, [part(stepInput, start, start + 2)])),
    );
    const expected = mapWeights(whole.after, (_, name, index) => {
      return parts.reduce((sum, { after }) => sum + after.get(name)!.data[index]!, 0) / 2;
    });
    expect(worstWeight(whole.after, expected).difference).toBeLessThan(1e-6);
    expect(worstWeight(expected, syntheticWeights(normalized)).difference).toBeGreaterThan(1e-3);
  });
});

describe.each(layouts)("machines that normalize by all their batches together, %s", (_, platform) => {
  it.each([1, 2])("do what one with all the samples does, %i micro-batches each", async (accumulate) => {
    const options = { platform, optimizer: createOptimizer("sgd", { momentum: 0.9 }), gradientOutputs: true };
    const inputs = [stepInput, second, stepInput];
    // One machine with two micro-batches normalizes by each of them.
    const whole = await runSteps(normalized, { ...options, accumulate, batchSize: 4 / accumulate }, inputs);
    const reduce = machines(2);
    const ranks = await Promise.all(
      [0, 1].map((rank) =>
        runSteps(
          normalized,
          { ...options, reduce, synchronizeBatchNormalization: true, accumulate, batchSize: 2 / accumulate },
          inputs.map((each) => interleaved(each, rank, accumulate)),
        ),
      ),
    );
    expect(ranks[0]!.state).toEqual(ranks[1]!.state);
    for (const [index, { loss, gradients }] of whole.results.entries()) {
      expect(ranks[0]!.results[index]!.loss).toBeCloseTo(loss, 5);
      expect(worstWeight(ranks[0]!.results[index]!.gradients, gradients).difference).toBeLessThan(1e-4);
    }
    expect(worstWeight(ranks[0]!.after, whole.after).difference).toBeLessThan(2e-5);
    const apart = await runSteps(normalized, { ...options, batchSize: 2, accumulate: 2 }, inputs);
    if (accumulate === 1) expect(worstWeight(apart.after, whole.after).difference).toBeGreaterThan(1e-3);
  });
});

describe("machines that reduce", () => {
  it("have the same weights after each step as one with all the samples", async () => {
    const options = { optimizer: createOptimizer("sgd", { momentum: 0.9 }), batchNorm: inference };
    const whole = await runSteps(normalized, options, [stepInput, second]);
    const reduce = machines(2);
    const [first, other] = await Promise.all(
      [0, 2].map((start) =>
        runSteps(
          normalized,
          { ...options, reduce, batchSize: 2 },
          [stepInput, second].map((each) => part(each, start, start + 2)),
        ),
      ),
    );
    expect(first!.state).toEqual(other!.state);
    expect(first!.result.loss).toBe(other!.result.loss);
    expect(first!.result.loss).toBeCloseTo(whole.result.loss, 5);
    expect(worstWeight(first!.after, whole.after).difference).toBeLessThan(1e-5);
  });

  it("alone do what an undivided step does, moving statistics and frozen weights included", async () => {
    const trainable = ({ name }: { name: string }) => !name.startsWith("stem");
    const undivided = await runSteps(normalized, { trainable }, [stepInput, second]);
    const alone = await runSteps(normalized, { trainable, reduce: async () => {} }, [stepInput, second]);
    expect(worstWeight(alone.after, undivided.after).difference).toBeLessThan(1e-6);
    expect(alone.after.get("stem_bn/moving_mean")).toEqual(undivided.after.get("stem_bn/moving_mean"));
    expect(alone.after.get("block_bn/moving_mean")).not.toEqual(alone.weights[0]!.get("block_bn/moving_mean"));
  });
});

describe("dropout", () => {
  it("differs between micro-batches, and is the same again for the same seed", async () => {
    let x = conv2d(input([11, 9, 3]), { filters: 16, kernelSize: 3 });
    x = globalAveragePooling2d(x);
    x = dropout(x, 0.5);
    const of = network("dropped", dense(x, { units: 3, activation: "softmax" }));
    const image = 11 * 9 * 3;
    const same = floatTensor(
      [4, 11, 9, 3],
      Float32Array.from({ length: 4 * image }, (_, index) => (stepInput.images.data as Float32Array)[index % image]!),
    );
    const inputs = [{ ...stepInput, images: same, seed: 5 }];
    const options = { batchNorm: inference, batchSize: 1, accumulate: 4 };
    const { result } = await runSteps(of, options, inputs);
    const rows = [0, 1, 2, 3].map((row) => result.logits.data.slice(3 * row, 3 * row + 3).join());
    expect(new Set(rows).size).toBeGreaterThan(1);
    expect((await runSteps(of, options, inputs)).result.logits).toEqual(result.logits);
  });
});

describe("a wrong number of samples", () => {
  it("is refused", async () => {
    await expect(runSteps(plain, { batchSize: 2, accumulate: 3 })).rejects.toThrow(
      "training step, images: the number of samples is not that of the step; received 4; expected 6: 3 times 2.",
    );
    await expect(runSteps(plain, { batchSize: 3 })).rejects.toThrow("received 4; expected 3.");
  });
});
