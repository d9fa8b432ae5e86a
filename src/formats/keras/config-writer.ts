import { UsageError } from "../../base/errors.ts";
import { type ConfigOf, type LayerConfig, type LayerType, mergingLayers, type Size2 } from "../../graph/layers.ts";
import { namedPadding } from "../../graph/named-padding.ts";
import type { Layer, Network } from "../../graph/network.ts";
import type { Shape } from "../../tensor/shape.ts";

/** `legacy`: as in `.h5` files and TensorFlow.js, for readers of Keras 2 and 3. */
export type KerasConfigStyle = "keras 3" | "legacy";

type Json = { readonly [key: string]: unknown };

/**
 * Describes a network as Keras does in `config.json` or in the attribute `model_config`.
 * @throws {UsageError} Keras has no equivalent of one of its layers.
 */
export function kerasModelConfig(network: Network, style: KerasConfigStyle): Json {
  const shapes = new Map(network.layers.map((layer) => [layer.name, layer.outputShape]));
  const first = network.layers.find(({ config }) => config.type === "InputLayer")!;
  const config = {
    name: network.name,
    trainable: true,
    layers: network.layers.flatMap((layer) => entriesOf(layer, shapes, style)),
    input_layers: style === "legacy" ? [[first.name, 0, 0]] : [first.name, 0, 0],
    output_layers: style === "legacy" ? [[network.output, 0, 0]] : [network.output, 0, 0],
  };
  if (style === "legacy") return { class_name: "Functional", config };
  return {
    module: "keras.src.models.functional",
    class_name: "Functional",
    config,
    registered_name: "Functional",
    build_config: { input_shape: null },
    compile_config: {},
  };
}

/** A layer, after a ZeroPadding2D where Keras needs one. */
function entriesOf(layer: Layer, shapes: ReadonlyMap<string, Shape>, style: KerasConfigStyle): Json[] {
  const { name, inbound, config } = layer;
  const around = zeroPadding(config);
  if (around === undefined) return [entryOf(layer, config.type, layerConfig(layer, style), shapes, style)];
  let padName = `${name}_pad`;
  while (shapes.has(padName)) padName += "_";
  const [height, width, channels] = shapes.get(inbound[0]!) as [number, number, number];
  const padded = [height + 2 * around[0], width + 2 * around[1], channels];
  const padding = around.map((count) => [count, count]);
  const padConfig = { ...common(padName, style), padding, data_format: "channels_last" };
  const reader = { name, inbound: [padName] };
  return [
    entryOf({ name: padName, inbound }, "ZeroPadding2D", padConfig, shapes, style),
    entryOf(reader, config.type, layerConfig(layer, style), new Map([[padName, padded]]), style),
  ];
}

function entryOf(
  { name, inbound }: Pick<Layer, "name" | "inbound">,
  type: LayerType,
  config: Json,
  shapes: ReadonlyMap<string, Shape>,
  style: KerasConfigStyle,
): Json {
  if (style === "legacy") {
    const nodes = inbound.length === 0 ? [] : [inbound.map((source) => [source, 0, 0, {}])];
    return { class_name: type, config, name, inbound_nodes: nodes };
  }
  const tensors = inbound.map((source) => ({
    class_name: "__keras_tensor__",
    config: { shape: [null, ...shapes.get(source)!], dtype: "float32", keras_history: [source, 0, 0] },
  }));
  const inputShapes = inbound.map((source) => [null, ...shapes.get(source)!]);
  const severalInputs = mergingLayers.has(type);
  const built = builtLayers.has(type);
  return {
    module: "keras.layers",
    class_name: type,
    config,
    registered_name: null,
    ...(built && { build_config: { input_shape: severalInputs ? inputShapes : inputShapes[0] } }),
    name,
    inbound_nodes:
      inbound.length === 0 ? [] : [{ args: severalInputs ? [tensors] : tensors, kwargs: callArguments[type] ?? {} }],
  };
}

/** Layers for which Keras stores the shapes they were built for. */
const builtLayers: ReadonlySet<string> = new Set([
  "Conv2D",
  "SeparableConv2D",
  "DepthwiseConv2D",
  "ZeroPadding2D",
  "BatchNormalization",
  "Add",
  "Concatenate",
  "Dense",
]);

/** Arguments of a layer's call that Keras stores besides its inputs. */
const callArguments: Partial<Record<string, Json>> = {
  BatchNormalization: { mask: null },
  Dropout: { training: false },
};

interface Context {
  readonly layer: Layer;
  readonly style: KerasConfigStyle;
}

/**
 * A layer's options as Keras writes them. Options that only recent versions of Keras 3 know, all at their defaults, are
 * omitted so that earlier versions load the file too: `renorm`, `quantization_config`, `ragged`, `optional`, axes of
 * initializers.
 */
function layerConfig(layer: Layer, style: KerasConfigStyle): Json {
  const rule = rules[layer.config.type] as (config: LayerConfig, context: Context) => Json;
  const own = rule(layer.config, { layer, style });
  if (layer.config.type === "InputLayer") return { ...own, name: layer.name };
  return { ...common(layer.name, style), ...own };
}

/** The ZeroPadding2D that Keras needs before a convolution padded by a number of pixels; undefined if none. */
function zeroPadding(config: LayerConfig): Size2 | undefined {
  if (!("kernelSize" in config) || typeof config.padding === "string") return undefined;
  const { padding, kernelSize, strides } = config;
  return namedPadding(padding, kernelSize, strides) === undefined ? padding : undefined;
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

const rules: { readonly [T in LayerType]: (config: ConfigOf<T>, context: Context) => Json } = {
  InputLayer: ({ shape }, { style }) => ({
    [style === "legacy" ? "batch_input_shape" : "batch_shape"]: [null, ...shape],
    dtype: "float32",
    sparse: false,
  }),
  Conv2D: (config, { style }) => ({
    ...convolution(config, ["kernel"], style),
    ...((style === "keras 3" || config.groups !== undefined) && { groups: config.groups ?? 1 }),
  }),
  SeparableConv2D: (config, { layer, style }) => {
    const { intermediateActivation: between } = config;
    if (between === "linear") return { depth_multiplier: 1, ...convolution(config, ["depthwise", "pointwise"], style) };
    throw unsupported(layer, "an activation between the steps of a separable convolution", between);
  },
  DepthwiseConv2D: (config, { style }) => ({ depth_multiplier: 1, ...convolution(config, ["depthwise"], style) }),
  BatchNormalization: ({ momentum, epsilon, scale, center }, { style }) => ({
    axis: -1,
    momentum,
    epsilon,
    center,
    scale,
    ...initializers("Zeros", ["beta", "moving_mean"], style),
    ...initializers("Ones", ["gamma", "moving_variance"], style),
    ...unconstrained(["beta", "gamma"], []),
    ...(style === "keras 3" && { synchronized: false }),
  }),
  Activation: ({ activation }) => ({ activation }),
  ReLU: () => ({ max_value: null, negative_slope: 0, threshold: 0 }),
  // `alpha` in Keras 2 and TensorFlow.js; Keras 3 reads both.
  LeakyReLU: ({ negativeSlope }, { style }) => ({ [style === "legacy" ? "alpha" : "negative_slope"]: negativeSlope }),
  MaxPooling2D: pooling,
  AveragePooling2D: pooling,
  ZeroPadding2D: ({ padding }) => ({ padding, data_format: "channels_last" }),
  GlobalAveragePooling2D: () => globalPooling,
  GlobalMaxPooling2D: () => globalPooling,
  Add: () => ({}),
  Concatenate: ({ axis }) => ({ axis }),
  Flatten: () => ({ data_format: "channels_last" }),
  Dropout: ({ rate }) => ({ rate, seed: null, noise_shape: null }),
  Dense: ({ units, activation, useBias }, { style }) => ({
    units,
    activation,
    use_bias: useBias,
    ...initializers("GlorotUniform", ["kernel"], style),
    ...initializers("Zeros", ["bias"], style),
    ...unconstrained(["kernel", "bias"], []),
  }),
};

const globalPooling = { data_format: "channels_last", keepdims: false } as const;

type Convolution = ConfigOf<"Conv2D" | "SeparableConv2D" | "DepthwiseConv2D">;

function convolution(config: Convolution, kernels: readonly string[], style: KerasConfigStyle): Json {
  const { kernelSize, strides, padding, useBias } = config;
  return {
    ...("filters" in config && { filters: config.filters }),
    kernel_size: kernelSize,
    strides,
    // Otherwise a ZeroPadding2D before it pads.
    padding: namedPadding(padding, kernelSize, strides) ?? "valid",
    data_format: "channels_last",
    dilation_rate: [1, 1],
    activation: "linear",
    use_bias: useBias,
    ...initializers("GlorotUniform", kernels, style),
    ...initializers("Zeros", ["bias"], style),
    ...unconstrained([...kernels, "bias"]),
  };
}

function pooling({ poolSize, strides, padding }: ConfigOf<"MaxPooling2D" | "AveragePooling2D">, { layer }: Context) {
  const named = namedPadding(padding, poolSize, strides);
  // No ZeroPadding2D before it: its zeros would take part in the maximum or mean.
  if (named === undefined) throw unsupported(layer, "pooling padded by this many pixels", padding);
  return { pool_size: poolSize, padding: named, strides, data_format: "channels_last" };
}

/** The same Keras initializer, without options, for each of these weights. */
function initializers(name: string, weights: readonly string[], style: KerasConfigStyle): Json {
  const config = name === "GlorotUniform" ? { seed: null } : {};
  const legacy = { class_name: name, config };
  const value = style === "legacy" ? legacy : { module: "keras.initializers", ...legacy, registered_name: null };
  return Object.fromEntries(weights.map((weight) => [`${weight}_initializer`, value]));
}

/** Absent regularizers and constraints. */
function unconstrained(weights: readonly string[], others: readonly string[] = ["activity_regularizer"]): Json {
  const regularizers = weights.map((weight) => `${weight}_regularizer`);
  const constraints = weights.map((weight) => `${weight}_constraint`);
  return Object.fromEntries([...regularizers, ...others, ...constraints].map((name) => [name, null]));
}

function unsupported({ name, config }: Layer, what: string, received: unknown): UsageError {
  return new UsageError({
    where: `${config.type} "${name}"`,
    what: `Keras has no such layer: ${what}`,
    received,
    remedy: "Convert to .weights.h5 or .onnx, which hold the weights of any network.",
  });
}
