import { outputLayer } from "../../graph/network.ts";
import { type Architecture, architectureOf, buildNetwork, withOptions } from "../../models/registry.ts";
import type { OpenedModel } from "./open-weights.ts";

/**
 * A classifier that ends in logits, as losses like them best, with what makes probabilities of them: a softmax, or a sigmoid
 * where it gives one number alone. Other models stay as they are.
 */
export function withProbabilities(opened: OpenedModel): OpenedModel {
  const { architecture, network } = opened;
  const { name, config, outputShape } = outputLayer(network);
  const isLinear = (config.type === "Dense" || config.type === "Activation") && config.activation === "linear";
  if (!isLinear || outputShape.length !== 1) return opened;
  const activation: "sigmoid" | "softmax" = outputShape[0] === 1 ? "sigmoid" : "softmax";
  const layers = network.layers.map((layer) =>
    layer.name === name ? { ...layer, config: { ...config, activation } } : layer,
  );
  const ending: Architecture =
    architecture.family === "layers"
      ? architectureOf({ ...network, layers })
      : withOptions(architecture, { classifierActivation: activation });
  const note = `It ends in logits, "${name}"; a ${activation} was put behind them.`;
  return { ...opened, architecture: ending, network: buildNetwork(ending), notes: [...opened.notes, note] };
}
