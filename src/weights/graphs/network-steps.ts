import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { Layer, Network } from "../../graph/network.ts";
import type { GraphStep, StepKind } from "./graph-steps.ts";

/** A weight of a network, and the layer that it is of. */
export interface OwnWeight {
  readonly layer: Layer;
  readonly spec: WeightSpec;
}

/** A network as steps: a separable convolution is two. */
export function networkSteps({ layers }: Network): readonly GraphStep<OwnWeight>[] {
  return layers.flatMap((layer): GraphStep<OwnWeight>[] => {
    const { name, inbound, config } = layer;
    const weights = layer.weights.map((spec): OwnWeight => ({ layer, spec }));
    const step = { inputs: inbound, outputs: [name], weights };
    if (config.type !== "SeparableConv2D") return [{ ...step, kind: kinds[config.type] ?? "other" }];
    const between = `${name}: between its steps`;
    return [
      { ...step, kind: "depthwise", outputs: [between], weights: weights.slice(0, 1) },
      { ...step, kind: "convolution", inputs: [between], weights: weights.slice(1) },
    ];
  });
}

const kinds: { readonly [T in Layer["config"]["type"]]?: StepKind } = {
  Conv2D: "convolution",
  DepthwiseConv2D: "depthwise",
  Dense: "dense",
  BatchNormalization: "normalization",
};
