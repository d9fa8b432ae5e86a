import { oneHot } from "../../src/data/labels.ts";
import {
  activation,
  add,
  batchNormalization,
  conv2d,
  dense,
  globalAveragePooling2d,
  input,
  type LayerOutput,
  maxPooling2d,
  separableConv2d,
} from "../../src/graph/builder.ts";
import { type Network, network } from "../../src/graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import type { Weights } from "../../src/graph/weights.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import type { FloatTensor } from "../../src/tensor/tensor.ts";
import { type StepInput, TrainingStep, type TrainingStepOptions } from "../../src/train/step/training-step.ts";
import { plainPlatform } from "../tasks/plain-platform.ts";

/** Stem, one residual block and a classifier, smooth (ELU), with channels for the engine's blocks: layers `stem` … `top`. */
export function blockNetwork(options: { readonly normalized?: boolean } = {}): Network {
  const { normalized = true } = options;
  const normalize = (x: LayerOutput, name: string) => (normalized ? batchNormalization(x, { name }) : x);
  const useBias = !normalized;
  let x: LayerOutput = input([11, 9, 3]);
  x = normalize(conv2d(x, { filters: 16, kernelSize: 3, useBias, name: "stem" }), "stem_bn");
  x = activation(x, "elu", { name: "stem_act" });
  const shortcut = conv2d(x, { filters: 20, kernelSize: 1, strides: 2, useBias, name: "shortcut" });
  let y = separableConv2d(x, { filters: 20, kernelSize: 3, padding: "same", useBias, name: "block_sepconv" });
  y = normalize(y, "block_bn");
  y = maxPooling2d(y, { kernelSize: 3, strides: 2, padding: "same" });
  x = activation(add([y, normalize(shortcut, "shortcut_bn")]), "elu", { name: "block_act" });
  return network("block", dense(globalAveragePooling2d(x), { units: 3, activation: "softmax", name: "top" }));
}

export const batchSize = 4;
export const stepInput: StepInput = {
  images: syntheticImages(batchSize, [11, 9, 3]),
  targets: oneHot([0, 2, 1, 2], 3, 0),
  learningRate: 0.25,
};

/** The two layouts that steps are compiled to. */
export const layouts = [
  ["in this machine's layout", nodePlatform],
  ["channels first", plainPlatform],
] as const;

/** One step after another from the formula's weights: results, the weights after each, and what was there at the end. */
export async function runSteps(
  of: Network,
  options: Partial<TrainingStepOptions> & { readonly averaged?: boolean } = {},
  inputs: readonly StepInput[] = [stepInput],
) {
  const step = await TrainingStep.create(of, syntheticWeights(of), {
    platform: nodePlatform,
    batchSize,
    loss: softmaxCrossEntropy,
    optimizer: createOptimizer("sgd", { momentum: 0 }),
    ...options,
  });
  try {
    const results = [];
    const weights: Weights[] = [];
    for (const each of inputs) {
      results.push(await step.run(each));
      weights.push(step.weights());
    }
    const averaged = step.weights({ averaged: true });
    return { results, result: results[0]!, weights, after: weights.at(-1)!, averaged, state: step.state() };
  } finally {
    await step.dispose();
  }
}

/** Largest difference of two sets of weights, relative to the largest number of each weight; and which weight has it. */
export function worstWeight(
  actual: Weights,
  expected: Weights,
): { readonly name: string; readonly difference: number } {
  let worst = { name: "", difference: 0 };
  for (const [name, { data }] of expected) {
    const difference = relativeDifference(actual.get(name)!.data, data);
    if (!(difference <= worst.difference)) worst = { name, difference };
  }
  return worst;
}

function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-3);
  return expected.reduce((worst, value, index) => {
    const difference = Math.abs(actual[index]! - value) / scale;
    return difference <= worst ? worst : difference;
  }, 0);
}

/** The same change of every number of every weight. */
export function mapWeights(weights: Weights, change: (value: number, name: string, index: number) => number): Weights {
  return new Map(
    [...weights].map(([name, tensor]): [string, FloatTensor] => [
      name,
      { ...tensor, data: tensor.data.map((value, index) => change(value, name, index)) },
    ]),
  );
}
