import type { Network } from "../graph/network.ts";
import type { Shape } from "../tensor/shape.ts";

/** An entry of a `state_dict` of timm and the name of our weight; undefined for counters. */
export type TimmEntry = readonly [name: string, weight: string | undefined];

/** Names and preprocessing of a family in timm. */
export interface TimmWeights<Name extends string = string> {
  /** Crop ratio (`crop_pct`) of each of timm's networks. */
  readonly cropRatios: Readonly<Partial<Record<Name, number>>>;
  /** Returns the entries of a `state_dict` in its order; none for a network of another family. */
  entries(network: Network): Iterable<TimmEntry>;
  /** Recognizes the network of a `state_dict`; returns its name, and the entries of its first and last layer. */
  recognize(
    shapes: ReadonlyMap<string, Shape>,
  ): { readonly name: Name; readonly stem: string; readonly classifier: string } | undefined;
  /** Returns whether our network has no use for an entry: of an auxiliary classifier. */
  isUnused?(entry: string): boolean;
}

/** Returns a function that checks whether a network has a layer of a name. */
export function layerNames({ layers }: Network): (name: string) => boolean {
  const names = new Set(layers.map(({ name }) => name));
  return (name) => names.has(name);
}

/** Entries of a convolution. */
export function convEntries(module: string, layer: string): TimmEntry[] {
  return [[`${module}.weight`, `${layer}/kernel`]];
}

/** Entries of a convolution and its batch normalization. */
export function convBnEntries(conv: string, batchNorm: string, layer: string): TimmEntry[] {
  return [...convEntries(conv, layer), ...batchNormEntries(batchNorm, `${layer}_bn`)];
}

/** Entries of a separable convolution. */
export function separableEntries(depthwise: string, pointwise: string, layer: string): TimmEntry[] {
  return [
    [`${depthwise}.weight`, `${layer}/depthwise_kernel`],
    [`${pointwise}.weight`, `${layer}/pointwise_kernel`],
  ];
}

/** Entries of a batch normalization, with its counter. */
export function batchNormEntries(module: string, layer: string): TimmEntry[] {
  return [
    [`${module}.weight`, `${layer}/gamma`],
    [`${module}.bias`, `${layer}/beta`],
    [`${module}.running_mean`, `${layer}/moving_mean`],
    [`${module}.running_var`, `${layer}/moving_variance`],
    [`${module}.num_batches_tracked`, undefined],
  ];
}

/** Entries of the classifier. */
export function classifierEntries(module: string): TimmEntry[] {
  return [
    [`${module}.weight`, "predictions/kernel"],
    [`${module}.bias`, "predictions/bias"],
  ];
}
