import type { Shape } from "../tensor/shape.ts";
import type { ConfigOf, LayerConfig, LayerType } from "./layers.ts";

/** Initial values of a weight when a network is trained from scratch. */
export type Initializer = "zeros" | "ones" | "glorotUniform";

/** Role of a weight; decides its layout in other formats and whether weight decay applies to it. */
export type WeightRole =
  | "kernel"
  | "depthwiseKernel"
  | "pointwiseKernel"
  | "denseKernel"
  | "bias"
  | "gamma"
  | "beta"
  | "movingMean"
  | "movingVariance";

/** One weight of a layer, in Keras's layout. */
export interface WeightSpec {
  /** `layer/weight`, e.g. `block1_conv1/kernel`. */
  readonly name: string;
  readonly role: WeightRole;
  /** Kernels `[kh, kw, in / groups, out]`, depthwise `[kh, kw, channels, 1]`, dense `[in, out]`, all others `[channels]`. */
  readonly shape: Shape;
  /** True if the optimizer updates it; false for moving statistics. */
  readonly trainable: boolean;
  readonly initializer: Initializer;
}

const rules: { readonly [T in LayerType]: (config: ConfigOf<T>, channels: number, name: string) => WeightSpec[] } = {
  InputLayer: none,
  Conv2D: (config, channels, name) => [
    kernel(`${name}/kernel`, "kernel", [...config.kernelSize, channels / (config.groups ?? 1), config.filters]),
    ...bias(config, config.filters, name),
  ],
  SeparableConv2D: (config, channels, name) => [
    kernel(`${name}/depthwise_kernel`, "depthwiseKernel", [...config.kernelSize, channels, 1]),
    kernel(`${name}/pointwise_kernel`, "pointwiseKernel", [1, 1, channels, config.filters]),
    ...bias(config, config.filters, name),
  ],
  DepthwiseConv2D: (config, channels, name) => [
    kernel(`${name}/kernel`, "depthwiseKernel", [...config.kernelSize, channels, 1]),
    ...bias(config, channels, name),
  ],
  BatchNormalization: ({ scale, center }, channels, name) => [
    ...(scale ? [vector(`${name}/gamma`, "gamma", channels)] : []),
    ...(center ? [vector(`${name}/beta`, "beta", channels)] : []),
    vector(`${name}/moving_mean`, "movingMean", channels),
    vector(`${name}/moving_variance`, "movingVariance", channels),
  ],
  Activation: none,
  ReLU: none,
  LeakyReLU: none,
  MaxPooling2D: none,
  AveragePooling2D: none,
  ZeroPadding2D: none,
  GlobalAveragePooling2D: none,
  GlobalMaxPooling2D: none,
  Add: none,
  Concatenate: none,
  Flatten: none,
  Dropout: none,
  Dense: (config, features, name) => [
    kernel(`${name}/kernel`, "denseKernel", [features, config.units]),
    ...bias(config, config.units, name),
  ],
};

/** The weights of a layer in Keras's order; `channels` is the size of the last axis of its first input. */
export function layerWeights(config: LayerConfig, channels: number, name: string): readonly WeightSpec[] {
  const rule = rules[config.type] as (config: LayerConfig, channels: number, name: string) => WeightSpec[];
  return rule(config, channels, name);
}

function none(): WeightSpec[] {
  return [];
}

function kernel(name: string, role: WeightRole, shape: Shape): WeightSpec {
  return { name, role, shape, trainable: true, initializer: "glorotUniform" };
}

function vector(name: string, role: WeightRole, size: number): WeightSpec {
  const initializer = role === "gamma" || role === "movingVariance" ? "ones" : "zeros";
  return { name, role, shape: [size], trainable: !role.startsWith("moving"), initializer };
}

function bias(config: { readonly useBias: boolean }, size: number, name: string): WeightSpec[] {
  return config.useBias ? [vector(`${name}/bias`, "bias", size)] : [];
}
