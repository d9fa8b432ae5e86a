import { FormatError } from "../../base/errors.ts";
import type { Platform } from "../../base/platform.ts";
import { oneHot } from "../../data/labels.ts";
import type { WeightRole } from "../../graph/layer-weights.ts";
import { inputShapeOf, type Network, networkWeights } from "../../graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../graph/synthetic.ts";
import type { Weights } from "../../graph/weights.ts";
import { softmaxCrossEntropy } from "../../learning/losses.ts";
import { createOptimizer, optimizerNames } from "../../learning/optimizers.ts";
import { buildNetwork } from "../../models/registry.ts";
import { counted } from "../../report/numbers.ts";
import { sameShape } from "../../tensor/shape.ts";
import { TrainingStep } from "../../train/step/training-step.ts";
import { goldenName, type TrainingGolden } from "./golden.ts";
import { type Judgment, judged } from "./verify.ts";

/** Seed of the first synthetic training image. */
const firstSeed = 3000;

/**
 * Difference of one value or group of values after training steps from the golden ones: relative to the golden number; of
 * first values, to the root mean square of the weight.
 */
export interface TrainingDifference extends Judgment {
  /** `loss of step 2`, or the name of a weight. */
  readonly what: string;
  readonly allowed: number;
}

/** Comparison of a network's training steps with a golden file. */
export interface TrainingVerification {
  readonly network: string;
  readonly inputShape: readonly number[];
  readonly steps: number;
  readonly differences: readonly TrainingDifference[];
  readonly passed: boolean;
}

/**
 * Relative differences that pass. The loss of the first step is that of the untrained network. Later ones, and the weights,
 * are twice as far apart as Keras's own runs in float32 and in float64: activations within rounding of ReLU's kink fall on
 * one side or the other, and each moves the gradient by up to a hundredth (docs/fidelity.md).
 */
const lossTolerance = { first: 1e-5, later: 2.5e-2 };
const normTolerance: Readonly<Record<WeightRole, readonly [norm: number, change: number]>> = {
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
/** Tolerance of single values, relative to the root mean square of their weight. */
const valueTolerance = 2e-2;

/**
 * Trains a network with synthetic weights on synthetic images, and compares every loss and weight with the golden file.
 * @throws {FormatError} the file does not fit the network, or names an optimizer that we do not have.
 * @throws {RuntimeUnavailableError} the engine is not available.
 */
export async function verifyTraining(
  golden: TrainingGolden,
  file: string,
  platform: Platform,
): Promise<TrainingVerification> {
  const where = goldenName(file);
  const network = withActivation(buildNetwork(golden.architecture), golden.activation);
  const inputShape = inputShapeOf(network) as readonly [number, number, number];
  checkShape(golden, network.layers.at(-1)!.outputShape, inputShape, where);
  const { optimizer, learningRate } = optimizerOf(golden.optimizer, where);
  const before = syntheticWeights(network);
  const batchSize = golden.labels.length;
  const options = { platform, batchSize, optimizer, loss: softmaxCrossEntropy };
  const step = await TrainingStep.create(network, before, options);
  const images = syntheticImages(batchSize, inputShape, firstSeed);
  const targets = oneHot(golden.labels, golden.classes);
  const differences: TrainingDifference[] = [];
  const compare = (what: string, own: number, expected: number, unit: number, allowed: number) => {
    const { difference, passed } = judged(Math.abs(own - expected) / (unit || 1), allowed);
    differences.push({ what, difference, allowed, passed });
  };
  try {
    for (const [index, expected] of golden.losses.entries()) {
      const { loss } = await step.run({ images, targets, learningRate });
      const allowed = index === 0 ? lossTolerance.first : lossTolerance.later;
      compare(`loss of step ${index + 1}`, loss, expected, expected, allowed);
    }
    const specs = networkWeights(network);
    const after = step.weights();
    for (const [index, { path, norm, first }] of Object.entries(golden.weights_after)) {
      const spec = specs[Number(index)];
      if (spec?.name !== path) throw noSuchWeight(where, `${index}: ${path}`);
      const { data } = after.get(path)!;
      compare(`norm of ${path}`, normOf(data), norm, norm, normTolerance[spec.role][0]);
      const rms = norm / Math.sqrt(data.length);
      const farthest = Math.max(...first.map((value, index) => Math.abs(value - data[index]!)));
      compare(`first values of ${path}`, farthest, 0, rms, valueTolerance);
    }
    for (const [name, [norm, change]] of Object.entries(golden.norm_and_change_after ?? {})) {
      const spec = specs.find((each) => each.name === name);
      if (!spec) throw noSuchWeight(where, name);
      const [allowedNorm, allowedChange] = normTolerance[spec.role];
      compare(`norm of ${name}`, normOf(after.get(name)!.data), norm, norm, allowedNorm);
      compare(`change of ${name}`, changeOf(name, before, after), change, change, allowedChange);
    }
  } finally {
    await step.dispose();
  }
  const passed = differences.every((each) => each.passed);
  return { network: network.name, inputShape, steps: golden.losses.length, differences, passed };
}

/** The network with another activation in place of every ReLU. */
function withActivation(network: Network, activation: TrainingGolden["activation"]): Network {
  if (activation === undefined) return network;
  const layers = network.layers.map((layer) => {
    const { config } = layer;
    return config.type === "Activation" && config.activation === "relu"
      ? { ...layer, config: { ...config, activation } }
      : layer;
  });
  return { ...network, layers };
}

function checkShape(golden: TrainingGolden, output: readonly number[], input: readonly number[], where: string): void {
  if (sameShape(golden.input_shape, input) && sameShape([golden.classes], output)) return;
  throw new FormatError({
    where,
    what: "input_shape and classes contradict the architecture",
    received: `[${golden.input_shape.join(", ")}], ${counted(golden.classes, "class", "classes")}`,
    expected: `[${input.join(", ")}], [${output.join(", ")}]`,
  });
}

/** `RMSprop lr 0.0005 rho 0.9 momentum 0.9 epsilon 1e-7 (Keras)` as an optimizer and its learning rate. */
function optimizerOf(text: string, where: string) {
  const [name = "", ...words] = text
    .replace(/[,(].*/, "")
    .trim()
    .split(/\s+/);
  const known = optimizerNames.find((each) => each === name.toLowerCase());
  const pairs = words.flatMap((word, index) => (index % 2 === 0 ? [[word, Number(words[index + 1])] as const] : []));
  const { lr, ...options } = Object.fromEntries(pairs);
  if (known === undefined || lr === undefined || pairs.some(([, value]) => !Number.isFinite(value))) {
    throw new FormatError({
      where: `${where}, field optimizer`,
      what: "this is not an optimizer with its options",
      received: text,
      expected: `${optimizerNames.join(", ")}, followed by "lr 0.01" and others, such as "momentum 0.9"`,
    });
  }
  return { optimizer: createOptimizer(known, options), learningRate: lr };
}

function noSuchWeight(where: string, received: string): FormatError {
  return new FormatError({ where, what: "the network has no such weight at this place", received });
}

function normOf(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

function changeOf(name: string, before: Weights, after: Weights): number {
  const old = before.get(name)!.data;
  return normOf(after.get(name)!.data.map((value, index) => value - old[index]!));
}
