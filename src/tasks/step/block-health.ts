import type { Network } from "../../graph/network.ts";
import { blocksOf } from "../../models/parts.ts";
import type { ActivationHealth, BlockHealth, LayerHealth, StepHealth } from "../../records.ts";

/** The health of a step, by the blocks of the network. */
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
  const weightNorm = norm(layers.map((layer) => layer.weightNorm));
  // Where a layer's weights were all 0 its ratio is infinite: then the block's is unknown.
  const change = norm(layers.map((layer) => layer.updateRatio * layer.weightNorm));
  const updateRatio = change / weightNorm;
  return {
    gradientNorm: norm(layers.map((layer) => layer.gradientNorm)),
    weightNorm,
    ...(Number.isFinite(updateRatio) && { updateRatio }),
  };
}

function activationHealth(activations: readonly ActivationHealth[]): Pick<BlockHealth, "activation"> {
  if (activations.length === 0) return {};
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    activation: {
      mean: mean(activations.map((each) => each.mean)),
      deviation: mean(activations.map((each) => each.deviation)),
      zeroShare: Math.max(...activations.map((each) => each.zeroShare)),
    },
  };
}

function norm(values: readonly number[]): number {
  return Math.hypot(...values);
}
