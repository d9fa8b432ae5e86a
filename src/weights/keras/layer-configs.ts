import { UsageError } from "../../errors.ts";
import type { ConfigOf, LayerConfig, LayerType, Size2 } from "../../graph/layers.ts";
import { namedPadding } from "../../graph/named-padding.ts";
import type { Layer } from "../../graph/network.ts";

/** `legacy`: as in `.h5` files and TensorFlow.js, for readers of Keras 2 and 3. */
export type KerasConfigStyle = "keras 3" | "legacy";

type Json = { readonly [key: string]: unknown };

interface Context {
  readonly layer: Layer;
  /** An initializer of Keras without options. */
  readonly initializer: (name: string) => Json;
  readonly style: KerasConfigStyle;
}

type Rules = { readonly [T in LayerType]: (config: ConfigOf<T>, context: Context) => Json };

/**
 * A layer's options as Keras writes them. Options that only recent versions of Keras 3 know, all with their defaults there,
 * are left out, so that earlier ones load the file too: `renorm`, `quantization_config`, `ragged`, `optional`, axes of
 * initializers.
 * @throws {UsageError} Keras has no layer that computes the same.
 */
export function kerasLayerConfig(layer: Layer, style: KerasConfigStyle): Json {
  const initializer = (name: string): Json => {
    const config = name === "GlorotUniform" ? { seed: null } : {};
    if (style === "legacy") return { class_name: name, config };
    return { module: "keras.initializers", class_name: name, config, registered_name: null };
  };
  const rule = rules[layer.config.type] as (config: LayerConfig, context: Context) => Json;
  const own = rule(layer.config, { layer, initializer, style });
  if (layer.config.type === "InputLayer") return { ...own, name: layer.name };
  return { ...common(layer.name, style), ...own };
}

/**
 * So many zeros above and below, left and right, must a ZeroPadding2D of Keras put around the input of a convolution that
 * pads by a number of pixels; undefined where it takes none.
 */
export function kerasZeroPadding(config: LayerConfig): Size2 | undefined {
  if (config.type !== "Conv2D" && config.type !== "SeparableConv2D" && config.type !== "DepthwiseConv2D")
    return undefined;
  const { padding, kernelSize, strides } = config;
  if (typeof padding === "string") return undefined;
  return namedPadding(padding, kernelSize, strides) === undefined ? padding : undefined;
}

/** The options of that layer. */
export function kerasZeroPaddingConfig(name: string, [rows, columns]: Size2, style: KerasConfigStyle): Json {
  const padding = [rows, columns].map((count) => [count, count]);
  return { ...common(name, style), padding, data_format: "channels_last" };
}

function common(name: string, style: KerasConfigStyle): Json {
  return { name, trainable: true, dtype: style === "legacy" ? "float32" : dtypePolicy };
}

const dtypePolicy = {
  module: "keras",
  class_name: "DTypePolicy",
  config: { name: "float32" },
  registered_name: null,
} as const;

const rules: Rules = {
  InputLayer: ({ shape }, { style }) => ({
    [style === "legacy" ? "batch_input_shape" : "batch_shape"]: [null, ...shape],
    dtype: "float32",
    sparse: false,
  }),
  Conv2D: (config, { initializer, style }) => ({
    ...convolution(config),
    ...(style === "keras 3" && { groups: 1 }),
    activation: "linear",
    use_bias: config.useBias,
    kernel_initializer: initializer("GlorotUniform"),
    bias_initializer: initializer("Zeros"),
    kernel_regularizer: null,
    bias_regularizer: null,
    activity_regularizer: null,
    kernel_constraint: null,
    bias_constraint: null,
  }),
  SeparableConv2D: (config, { layer, initializer }) => {
    if (config.intermediateActivation !== "linear") {
      refuse(layer, "an activation between the steps of a separable convolution", config.intermediateActivation);
    }
    return {
      depth_multiplier: 1,
      ...convolution(config),
      activation: "linear",
      use_bias: config.useBias,
      depthwise_initializer: initializer("GlorotUniform"),
      pointwise_initializer: initializer("GlorotUniform"),
      bias_initializer: initializer("Zeros"),
      depthwise_regularizer: null,
      pointwise_regularizer: null,
      bias_regularizer: null,
      activity_regularizer: null,
      depthwise_constraint: null,
      pointwise_constraint: null,
      bias_constraint: null,
    };
  },
  DepthwiseConv2D: (config, { initializer }) => ({
    depth_multiplier: 1,
    ...window(config),
    activation: "linear",
    use_bias: config.useBias,
    depthwise_initializer: initializer("GlorotUniform"),
    bias_initializer: initializer("Zeros"),
    depthwise_regularizer: null,
    bias_regularizer: null,
    activity_regularizer: null,
    depthwise_constraint: null,
    bias_constraint: null,
  }),
  BatchNormalization: ({ momentum, epsilon }, { initializer, style }) => ({
    axis: -1,
    momentum,
    epsilon,
    center: true,
    scale: true,
    beta_initializer: initializer("Zeros"),
    gamma_initializer: initializer("Ones"),
    moving_mean_initializer: initializer("Zeros"),
    moving_variance_initializer: initializer("Ones"),
    beta_regularizer: null,
    gamma_regularizer: null,
    beta_constraint: null,
    gamma_constraint: null,
    ...(style === "keras 3" && { synchronized: false }),
  }),
  Activation: ({ activation }) => ({ activation }),
  ReLU: () => ({ max_value: null, negative_slope: 0, threshold: 0 }),
  MaxPooling2D: ({ poolSize, strides, padding }, { layer }) => ({
    pool_size: poolSize,
    // Zeros in front of it would be among the numbers whose maximum it takes.
    padding: namedPadding(padding, poolSize, strides) ?? refuse(layer, "one with so many pixels of padding", padding),
    strides,
    data_format: "channels_last",
  }),
  GlobalAveragePooling2D: () => globalPooling,
  GlobalMaxPooling2D: () => globalPooling,
  Add: () => ({}),
  Dropout: ({ rate }) => ({ rate, seed: null, noise_shape: null }),
  Dense: ({ units, activation, useBias }, { initializer }) => ({
    units,
    activation,
    use_bias: useBias,
    kernel_initializer: initializer("GlorotUniform"),
    bias_initializer: initializer("Zeros"),
    kernel_regularizer: null,
    bias_regularizer: null,
    kernel_constraint: null,
    bias_constraint: null,
  }),
};

const globalPooling = { data_format: "channels_last", keepdims: false } as const;

type Convolution = ConfigOf<"Conv2D" | "SeparableConv2D">;

function convolution(config: Convolution) {
  return { filters: config.filters, ...window(config) };
}

function window({ kernelSize, strides, padding }: Convolution | ConfigOf<"DepthwiseConv2D">) {
  return {
    kernel_size: kernelSize,
    strides,
    // Else a ZeroPadding2D in front of it pads.
    padding: namedPadding(padding, kernelSize, strides) ?? "valid",
    data_format: "channels_last",
    dilation_rate: [1, 1],
  };
}

function refuse({ name, config }: Layer, what: string, received: unknown): never {
  throw new UsageError({
    where: `${config.type} "${name}"`,
    what: `Keras has no such layer: ${what}`,
    received,
    remedy: "Convert to .weights.h5 or .onnx, which hold the weights of any network.",
  });
}
