import { isActivation, type Layer, type Network, trunkOf } from "../graph/network.ts";
import type { Shape } from "../tensor/shape.ts";
import { families } from "./registry.ts";

/** A feature stage: the last feature map before each downsampling, as used by detectors and segmentation heads. */
export interface FeatureStage {
  /** From 1; the stride is 2 to this power. */
  readonly stage: number;
  /** Stride: image pixels per feature-map pixel, along the height. */
  readonly stride: number;
  readonly layer: string;
  /** `[height, width, channels]`. */
  readonly shape: Shape;
}

/**
 * The last feature map of each stride, as in timm's `features_only`: the last one before the stride grows that all later
 * layers depend on, or a residual sum, after its activation if it has one; or the one that the family defines.
 * @see https://github.com/huggingface/pytorch-image-models, `feature_info` of xception.py and xception_aligned.py
 */
export function featureStages(network: Network): readonly FeatureStage[] {
  const strides = stridesOf(network);
  const found = new Map<number, Layer>();
  const trunk = trunkOf(network);
  for (const layer of network.layers) {
    const stride = strides.get(layer.name)!;
    if (!isFeatureMap(layer) || stride < 2 || !Number.isInteger(Math.log2(stride))) continue;
    if (trunk.has(layer.name) || layer.config.type === "Add") found.set(stride, layer);
  }
  for (const [stride, layer] of found) found.set(stride, activated(layer, network));
  const chosen = new Set(families.flatMap(({ stages }) => stages?.(network) ?? []));
  for (const layer of network.layers) if (chosen.has(layer.name)) found.set(strides.get(layer.name)!, layer);
  return [...found]
    .sort(([a], [b]) => a - b)
    .map(([stride, { name, outputShape: shape }]) => ({ stage: Math.log2(stride), stride, layer: name, shape }));
}

/** The layer with the last feature map: the input of global pooling in a classifier. */
export function lastMapOf({ layers }: Network): string {
  return layers.findLast(isFeatureMap)!.name;
}

/** Returns whether a layer's output is feature maps `[height, width, channels]`. */
export function isFeatureMap({ outputShape }: Pick<Layer, "outputShape">): boolean {
  return outputShape.length === 3;
}

/** Stride of each feature map: image pixels per pixel, along the height. */
function stridesOf({ layers }: Network): ReadonlyMap<string, number> {
  const strides = new Map<string, number>();
  for (const { name, inbound, config } of layers) {
    const before = Math.max(1, ...inbound.map((source) => strides.get(source)!));
    strides.set(name, "strides" in config ? before * config.strides[0] : before);
  }
  return strides;
}

/** The activation after a layer, if there is one, else the layer. */
function activated(layer: Layer, { layers }: Network): Layer {
  return layers.find((each) => each.inbound.includes(layer.name) && isActivation(each)) ?? layer;
}
