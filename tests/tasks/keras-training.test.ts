import { describe, expect, it } from "vitest";
import type { Platform } from "../../src/base/platform.ts";
import { oneHot } from "../../src/data/labels.ts";
import type { WeightRole } from "../../src/graph/layer-weights.ts";
import { type Network, networkWeights } from "../../src/graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { TrainingStep } from "../../src/train/step/training-step.ts";
import rmspropFloat32 from "../golden/train-paper-rmsprop.json" with { type: "json" };
import rmspropElu from "../golden/train-paper-rmsprop-elu-float64.json" with { type: "json" };
import rmspropFloat64 from "../golden/train-paper-rmsprop-float64.json" with { type: "json" };
import sgdFloat32 from "../golden/train-paper-sgd.json" with { type: "json" };
import sgdElu from "../golden/train-paper-sgd-elu-float64.json" with { type: "json" };
import sgdFloat64 from "../golden/train-paper-sgd-float64.json" with { type: "json" };
import { plainPlatform } from "./plain-platform.ts";

/** Four steps of Keras: losses, and for each weight after them [Euclidean norm, norm of its change]. */
interface KerasRun {
  readonly losses: readonly number[];
  readonly norm_and_change_after: Readonly<Record<string, readonly number[]>>;
}

/** Which relative deviations are allowed. */
interface Tolerance {
  /** Of the loss of each step. Whatever is allowed, 1e-6 in absolute terms is: the rounding of a logit. */
  readonly losses: readonly number[];
  /** Of a weight's norm and of the norm of its change. */
  readonly weights: (role: WeightRole) => readonly [norm: number, change: number];
}

/**
 * Twice the widest that Keras's own runs deviate from Keras in float64 (docs/fidelity.md): units within rounding of a
 * ReLU's kink take one side or the other, and each moves the gradient by up to a hundredth.
 */
function withKinks(losses: readonly number[]): Tolerance {
  const allowed: Readonly<Record<WeightRole, readonly [number, number]>> = {
    kernel: [1e-4, 6e-3],
    depthwiseKernel: [1e-4, 7e-3],
    pointwiseKernel: [1e-4, 4e-3],
    denseKernel: [1e-4, 6e-3],
    bias: [1.1e-4, 8e-4],
    gamma: [4e-4, 6e-2],
    beta: [4e-3, 4e-2],
    movingMean: [8e-4, 1e-3],
    movingVariance: [5e-4, 1.4e-3],
  };
  return { losses, weights: (role) => allowed[role] };
}

/** With ELU in place of ReLU nothing jumps, and what remains is rounding. */
const withoutKinks: Tolerance = { losses: [0, 0, 0, 0], weights: () => [1e-6, 3e-4] };

const sgd = {
  optimizer: createOptimizer("sgd", { momentum: 0.9 }),
  learningRate: 0.01,
  float32: sgdFloat32,
  float64: sgdFloat64,
  elu: sgdElu,
  tolerance: withKinks([2e-6, 4e-3, 2.5e-2, 1.4e-2]),
};
const rmsprop = {
  optimizer: createOptimizer("rmsprop", { rho: 0.9, momentum: 0.9, epsilon: 1e-7 }),
  learningRate: 0.0005,
  float32: rmspropFloat32,
  float64: rmspropFloat64,
  elu: rmspropElu,
  tolerance: withKinks([2e-6, 1e-2, 1.1e-2, 1.7e-2]),
};

const network = xception({ inputShape: [71, 71, 3], classes: 10 });
const smoothNetwork: Network = {
  ...network,
  layers: network.layers.map((layer) => ({
    ...layer,
    config: layer.config.type === "Activation" ? { ...layer.config, activation: "elu" } : layer.config,
  })),
};
const weights = syntheticWeights(network);
const [labels, classes] = [[1, 4, 7, 0], 10];
const images = syntheticImages(labels.length, [71, 71, 3], 3000);
const targets = oneHot(labels, classes);

async function trainFourSteps(
  of: Network,
  { optimizer, learningRate }: Pick<typeof sgd, "optimizer" | "learningRate">,
  platform: Platform,
): Promise<KerasRun> {
  const options = { platform, batchSize: labels.length, optimizer, loss: softmaxCrossEntropy };
  const step = await TrainingStep.create(of, weights, options);
  const losses: number[] = [];
  for (let count = 0; count < 4; count++) losses.push((await step.run({ images, targets, learningRate })).loss);
  const after = step.weights();
  await step.dispose();
  const entries = networkWeights(of).map(({ name }) => {
    const [now, before] = [after.get(name)!.data, weights.get(name)!.data];
    return [name, norms(now, before)];
  });
  return { losses, norm_and_change_after: Object.fromEntries(entries) };
}

/** Norms of a weight and of its change. */
function norms(now: Float32Array, before: Float32Array): [norm: number, change: number] {
  let [norm, change] = [0, 0];
  for (let index = 0; index < now.length; index++) {
    norm += now[index]! ** 2;
    change += Math.fround(now[index]! - before[index]!) ** 2;
  }
  return [Math.sqrt(norm), Math.sqrt(change)];
}

/** What deviates by more than is allowed. */
function tooFar(run: KerasRun, keras: KerasRun, tolerance: Tolerance): string[] {
  const found: string[] = [];
  const compare = (what: string, own: number, golden: number, allowed: number): void => {
    if (!(Math.abs(own - golden) <= allowed)) found.push(`${what}: ${own} for ${golden}`);
  };
  for (const [index, loss] of keras.losses.entries()) {
    compare(`loss of step ${index + 1}`, run.losses[index]!, loss, Math.max(tolerance.losses[index]! * loss, 1e-6));
  }
  for (const { name, role } of networkWeights(network)) {
    for (const [index, what] of ["norm", "change"].entries()) {
      const golden = keras.norm_and_change_after[name]![index]!;
      const own = run.norm_and_change_after[name]![index]!;
      compare(`${what} of ${name}`, own, golden, tolerance.weights(role)[index]! * golden);
    }
  }
  return found;
}

describe.each([
  ["SGD", sgd],
  ["RMSprop", rmsprop],
])("four steps of %s", (_, each) => {
  it.each([
    ["the plain layout", plainPlatform],
    ["this machine's layout", nodePlatform],
  ])("in %s are Keras's", async (_, platform) => {
    const run = await trainFourSteps(network, each, platform);
    expect(tooFar(run, each.float64, each.tolerance)).toEqual([]);
    expect(tooFar(run, each.float32, each.tolerance)).toEqual([]);
  });

  it("are as near to Keras in float64 as Keras in float32 is", () => {
    expect(tooFar(each.float32, each.float64, each.tolerance)).toEqual([]);
  });
});

describe("where no ReLU has a kink, four steps are Keras's to the last digits", () => {
  it.each([
    ["SGD, plain layout", sgd, plainPlatform],
    ["RMSprop, this machine's layout", rmsprop, nodePlatform],
  ])("%s", async (_, each, platform) => {
    expect(tooFar(await trainFourSteps(smoothNetwork, each, platform), each.elu, withoutKinks)).toEqual([]);
  });

  it("and would show a learning rate that is wrong by one in a thousand", async () => {
    const run = await trainFourSteps(smoothNetwork, { ...sgd, learningRate: 1.001 * sgd.learningRate }, nodePlatform);
    const found = tooFar(run, sgdElu, withoutKinks).map((line) => line.replace(/:.*/, ""));
    const trainable = networkWeights(network).filter((spec) => spec.trainable);
    expect(found).toContain("loss of step 2");
    expect(found).toEqual(expect.arrayContaining(trainable.map(({ name }) => `change of ${name}`)));
  });
});
