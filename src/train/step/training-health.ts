import type { Tensors } from "../../base/platform.ts";
import type { ActivationHealth, BlockHealth, LayerHealth, StepHealth } from "../../base/records.ts";
import { mean } from "../../base/significance.ts";
import type { WeightSpec } from "../../graph/layer-weights.ts";
import { isActivation, type Layer, type Network } from "../../graph/network.ts";
import type { OpGraphBuilder } from "../../graph/op-builder.ts";
import type { Value } from "../../graph/ops.ts";
import { blocksOf } from "../../models/parts.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { type ActivationStatistic, trainingNames } from "./training-graph-options.ts";

/** Adds statistics of the first image's activations; those of the whole batch would take another pass over all memory. */
export function writeActivationHealth(
  build: OpGraphBuilder,
  network: Network,
  layerOutputs: ReadonlyMap<string, Value>,
): void {
  for (const layer of network.layers.filter(isObserved)) {
    const output = layerOutputs.get(layer.name)!;
    const image = build.op({ kind: "slice", axis: 0, start: 0, end: 1 }, [output]);
    // In two steps, which keeps the rounding small.
    const mean = (value: Value): Value => {
      const perChannel = build.op({ kind: "reduceMean", axes: [2, 3], keepDims: false }, [value]);
      return build.op({ kind: "reduceMean", axes: [0, 1], keepDims: false }, [perChannel]);
    };
    const ones = build.op({ kind: "expand", shape: image.shape }, [build.constant(1)]);
    const statistics: Readonly<Record<ActivationStatistic, Value>> = {
      mean: mean(image),
      meanSquare: mean(build.op({ kind: "multiply" }, [image, image])),
      positiveShare: mean(build.op({ kind: "reluGradient" }, [ones, image])),
    };
    for (const [statistic, value] of Object.entries(statistics)) {
      build.output(trainingNames.activation(statistic as ActivationStatistic, layer.name), value);
    }
  }
}

/** Weights before and after a step, and its outputs. */
interface StepEvidence {
  readonly state: ReadonlyMap<string, FloatTensor>;
  readonly next: ReadonlyMap<string, FloatTensor>;
  readonly results: Tensors;
}

/** Health of a step created with `health`. */
export function stepHealth(
  network: Network,
  trained: readonly WeightSpec[],
  { state, next, results }: StepEvidence,
): StepHealth {
  const number = (name: string) => Number(results[name]!.data[0]);
  const isTrained = new Set(trained.map(({ name }) => name));
  const layers = network.layers.flatMap((layer): LayerHealth[] => {
    const names = layer.weights.flatMap(({ name }) => (isTrained.has(name) ? [name] : []));
    if (names.length === 0) return [];
    const sums = { gradients: 0, weights: 0, changes: 0 };
    for (const name of names) {
      const [before, after] = [state.get(name)!.data, next.get(name)!.data];
      sums.gradients += number(trainingNames.gradientSquare(name));
      for (let index = 0; index < before.length; index++) {
        sums.weights += before[index]! ** 2;
        sums.changes += (after[index]! - before[index]!) ** 2;
      }
    }
    const updateRatio = sums.changes === 0 ? 0 : Math.sqrt(sums.changes / sums.weights);
    const gradientNorm = Math.sqrt(sums.gradients);
    return [{ layer: layer.name, gradientNorm, weightNorm: Math.sqrt(sums.weights), updateRatio }];
  });
  const activations = network.layers.filter(isObserved).map(({ name: layer }): ActivationHealth => {
    const of = (statistic: ActivationStatistic) => number(trainingNames.activation(statistic, layer));
    const mean = of("mean");
    const deviation = Math.sqrt(Math.max(0, of("meanSquare") - mean ** 2));
    return { layer, mean, deviation, zeroShare: 1 - of("positiveShare") };
  });
  return { layers, activations };
}

/** Returns true for activation functions within the network, not the final one. */
function isObserved(layer: Layer): boolean {
  return isActivation(layer) && layer.outputShape.length === 3;
}

/** Summarizes the health of a step by block. */
export function blockHealth(network: Network, { layers, activations }: StepHealth): readonly BlockHealth[] {
  const blocks = blocksOf(network);
  const inBlock = (block: string) => (part: { readonly layer: string }) => blocks.get(part.layer) === block;
  const named = new Set(network.layers.map(({ name }) => blocks.get(name)!));
  return [...named].flatMap((block) => {
    const own = layers.filter(inBlock(block));
    const outputs = activations.filter(inBlock(block));
    if (own.length + outputs.length === 0) return [];
    return [{ block, ...(own.length > 0 && weightHealth(own)), ...activationHealth(outputs) }];
  });
}

function weightHealth(layers: readonly LayerHealth[]): Omit<BlockHealth, "block"> {
  const weightNorm = Math.hypot(...layers.map((layer) => layer.weightNorm));
  // The ratio of a layer whose weights were all 0 is infinite: then the block's is unknown.
  const change = Math.hypot(...layers.map((layer) => layer.updateRatio * layer.weightNorm));
  const updateRatio = change / weightNorm;
  return {
    gradientNorm: Math.hypot(...layers.map((layer) => layer.gradientNorm)),
    weightNorm,
    ...(Number.isFinite(updateRatio) && { updateRatio }),
  };
}

function activationHealth(activations: readonly ActivationHealth[]): Pick<BlockHealth, "activation"> {
  if (activations.length === 0) return {};
  return {
    activation: {
      mean: mean(activations.map((each) => each.mean)),
      deviation: mean(activations.map((each) => each.deviation)),
      zeroShare: Math.max(...activations.map((each) => each.zeroShare)),
    },
  };
}
