import type { Shape } from "../tensor/shape.ts";

/** A pair for the two spatial axes: `[height, width]`. */
export type Size2 = readonly [height: number, width: number];

/**
 * `valid`: no padding. `same`: output = ceil(input / stride), an odd padding pixel goes to the end (bottom, right). A
 * pair pads by this many rows above and below and columns left and right, as in PyTorch; fewer than the window has.
 */
export type Padding = "valid" | "same" | Size2;

/** Rows above and below an image, and columns left and right of it. */
export type Margins = readonly [rows: Size2, columns: Size2];

/** Activation functions, as in Keras; all but `linear` are operators of the same name. */
export const activationNames = ["linear", "relu", "elu", "sigmoid", "softmax"] as const;
/** Name of an activation function. */
export type ActivationName = (typeof activationNames)[number];

/**
 * The layer types of a network, as plain data: the terms of the paper and of Keras, channels last. After adding a
 * member here, TypeScript reports every table that needs an entry.
 */
export type LayerConfig =
  | { readonly type: "InputLayer"; readonly shape: Shape }
  | {
      readonly type: "Conv2D";
      readonly filters: number;
      readonly kernelSize: Size2;
      readonly strides: Size2;
      readonly padding: Padding;
      readonly useBias: boolean;
      /** Number of groups of input and output channels, each convolved separately; default 1. */
      readonly groups?: number | undefined;
    }
  | {
      /** A depthwise convolution, one filter per channel, then a pointwise one (1×1) across channels. */
      readonly type: "SeparableConv2D";
      readonly filters: number;
      readonly kernelSize: Size2;
      readonly strides: Size2;
      readonly padding: Padding;
      readonly useBias: boolean;
      /** Applied between the two steps; Xception has none (paper, section 4.7). */
      readonly intermediateActivation: ActivationName;
    }
  | {
      /** One filter for each channel, with no mixing across channels. */
      readonly type: "DepthwiseConv2D";
      readonly kernelSize: Size2;
      readonly strides: Size2;
      readonly padding: Padding;
      readonly useBias: boolean;
    }
  | {
      readonly type: "BatchNormalization";
      readonly momentum: number;
      readonly epsilon: number;
      /** Has a factor for each channel, gamma. */
      readonly scale: boolean;
      /** Has an offset for each channel, beta. */
      readonly center: boolean;
    }
  | { readonly type: "Activation"; readonly activation: ActivationName }
  | { readonly type: "ReLU" }
  | { readonly type: "LeakyReLU"; readonly negativeSlope: number }
  | { readonly type: "MaxPooling2D"; readonly poolSize: Size2; readonly strides: Size2; readonly padding: Padding }
  /** The mean of each window's pixels; padding does not count. */
  | { readonly type: "AveragePooling2D"; readonly poolSize: Size2; readonly strides: Size2; readonly padding: Padding }
  | { readonly type: "ZeroPadding2D"; readonly padding: Margins }
  | { readonly type: "GlobalAveragePooling2D" }
  | { readonly type: "GlobalMaxPooling2D" }
  | { readonly type: "Add" }
  /** Joins its inputs along an axis, counted from 1 as in Keras, whose axis 0 is the batch. */
  | { readonly type: "Concatenate"; readonly axis: number }
  /** All values as one vector, channels last. */
  | { readonly type: "Flatten" }
  | { readonly type: "Dropout"; readonly rate: number }
  | {
      readonly type: "Dense";
      readonly units: number;
      readonly activation: ActivationName;
      readonly useBias: boolean;
    };

/** Layers that take any number of inputs; all others take one. */
export const mergingLayers: ReadonlySet<string> = new Set<LayerType>(["Add", "Concatenate"]);

/** Class of a layer, as Keras names it. */
export type LayerType = LayerConfig["type"];

/** The config of one layer type: `ConfigOf<"Conv2D">`. */
export type ConfigOf<T extends LayerType> = Extract<LayerConfig, { readonly type: T }>;

/**
 * Keras's automatic name for layers of a class: `separable_conv2d`.
 * @see keras/src/utils/naming.py, `to_snake_case`
 */
export function snakeCase(type: string): string {
  const words = type.replaceAll(/(.)([A-Z][a-z]+)/g, "$1_$2").replaceAll(/([a-z])([A-Z])/g, "$1_$2");
  return words.toLowerCase();
}
