import { anyJson, choice, matching, number, onOff, wholeNumber } from "../base/kinds.ts";
import { either, exact, list, object, optional, orElse, record, type Schema, selected, tuple } from "../base/schema.ts";
import { activationNames, type ConfigOf, type LayerType } from "../graph/layers.ts";
import { type Architecture, families } from "./registry.ts";

/** Limit against hostile files; the largest known networks have about 300 layers. */
const mostLayers = 2000;

const size = wholeNumber({ from: 1, to: 2 ** 24 });
const sizes = tuple(size, size);
const name = matching(/^.{1,500}$/s, "a text of 1 to 500 characters");
const activation = choice(...activationNames);
const pixels = wholeNumber({ from: 0, to: 2 ** 24 });
const margin = tuple(pixels, pixels);
const padding = either(choice("valid", "same"), margin);
const convolution = { kernelSize: sizes, strides: sizes, padding, useBias: onOff() };
const pooling = { poolSize: sizes, strides: sizes, padding };

/** Fields of each layer's config besides its type. */
const layerFields: {
  readonly [T in LayerType]: { readonly [Name in Exclude<keyof ConfigOf<T>, "type">]-?: Schema<ConfigOf<T>[Name]> };
} = {
  InputLayer: { shape: list(size, 1, 3) },
  Conv2D: { filters: size, ...convolution, groups: optional(size) },
  SeparableConv2D: { filters: size, ...convolution, intermediateActivation: activation },
  DepthwiseConv2D: convolution,
  BatchNormalization: {
    momentum: number(),
    epsilon: number(),
    scale: orElse(onOff(), true),
    center: orElse(onOff(), true),
  },
  Activation: { activation },
  ReLU: {},
  LeakyReLU: { negativeSlope: number() },
  MaxPooling2D: pooling,
  AveragePooling2D: pooling,
  ZeroPadding2D: { padding: tuple(margin, margin) },
  GlobalAveragePooling2D: {},
  GlobalMaxPooling2D: {},
  Add: {},
  Concatenate: { axis: wholeNumber({ from: 1, to: 3 }) },
  Flatten: {},
  Dropout: { rate: number() },
  Dense: { units: size, activation, useBias: onOff() },
};

const layerSchemas = Object.entries(layerFields).map(([type, fields]) => {
  return [type, exact({ type: choice(type), ...fields })] as const;
});
const layer = object({ name, config: selected("type", Object.fromEntries(layerSchemas)), inbound: list(name, 0, 100) });

const familySchemas = families.map(({ family }) => {
  return [family as string, object({ family: choice(family as string), options: record(anyJson) })] as const;
});

/** An architecture as stored in a file. Building the network checks how options and layers combine. */
export const architectureSchema: Schema<Architecture> = selected("family", {
  ...Object.fromEntries(familySchemas),
  layers: object({
    family: choice("layers"),
    name,
    layers: list(layer, 1, mostLayers),
    output: name,
    seed: wholeNumber({ from: 0 }),
  }),
});
