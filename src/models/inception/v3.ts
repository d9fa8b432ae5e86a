import { choice, onOff } from "../../base/kinds.ts";
import {
  activation,
  averagePooling2d,
  batchNormalization,
  concatenate,
  conv2d,
  input,
  type LayerOutput,
  maxPooling2d,
  zeroPadding2d,
} from "../../graph/builder.ts";
import type { Size2 } from "../../graph/layers.ts";
import { type Network, network } from "../../graph/network.ts";
import { kerasTopNames, top } from "../blocks.ts";
import { checkedOptions, type OptionsOf, option, scaling, seedOption, sharedOptions } from "../options.ts";

/** The options of `inceptionV3`: the smallest image is that of keras.applications.InceptionV3. */
export const inceptionOptions = {
  owner: "inceptionV3",
  smallest: 75,
  table: {
    ...sharedOptions,
    /** Batch normalization has gamma, as in PyTorch; in Keras and TensorFlow it has only beta. */
    batchNormScale: option(onOff(), {
      scope: "port",
      about: "batch normalization has gamma",
      default: false,
    }),
    /** `excluded`: windows average the pixels inside the image, as in Keras; `zeros`: its padding too, as in PyTorch. */
    averagePadding: option(choice("excluded", "zeros"), {
      scope: "port",
      about: "padding of average pooling",
      default: "excluded",
    }),
    seed: seedOption,
  },
} as const;

/** Options of `inceptionV3`: height and width of `inputShape` at least 75. */
export type InceptionV3Options = OptionsOf<typeof inceptionOptions.table>;

/** Options of the inception blocks. */
export interface InceptionBlockOptions {
  /** Name of the concatenation at the block's end; default: Keras's automatic one. */
  readonly name?: string;
  /** Returns the number of channels for one in the paper; default: the same. */
  readonly width?: (filters: number) => number;
  readonly batchNormScale?: boolean;
  readonly averagePadding?: "excluded" | "zeros";
}

/** Options of {@link conv2dBn}. */
export interface Conv2dBnOptions {
  /** Default 1. */
  readonly strides?: number;
  /** Default `same`. */
  readonly padding?: "same" | "valid";
  /** Batch normalization has gamma; default false. */
  readonly scale?: boolean | undefined;
}

/** A convolution without bias, batch normalization and ReLU: the unit of the network, `[H, W, C] → [H', W', filters]`. */
export function conv2dBn(
  x: LayerOutput,
  filters: number,
  kernelSize: number | Size2,
  { strides = 1, padding = "same", scale = false }: Conv2dBnOptions = {},
): LayerOutput {
  x = conv2d(x, { filters, kernelSize, strides, padding, useBias: false });
  return activation(batchNormalization(x, { scale }), "relu");
}

/** The layers before the first block (paper, table 1): `[299, 299, 3] → [35, 35, 192]`. */
export function inceptionStem(x: LayerOutput, options: InceptionBlockOptions = {}): LayerOutput {
  const conv = convolutions(options);
  x = conv(x, 32, 3, { strides: 2, padding: "valid" });
  x = conv(x, 32, 3, { padding: "valid" });
  x = conv(x, 64, 3);
  x = maxPooling2d(x, { kernelSize: 3, strides: 2 });
  x = conv(x, 80, 1, { padding: "valid" });
  x = conv(x, 192, 3, { padding: "valid" });
  return maxPooling2d(x, { kernelSize: 3, strides: 2 });
}

/** Block A (paper, figure 5): 5×5 and two 3×3 convolutions. `[35, 35, C] → [35, 35, 224 + poolFilters]`. */
export function inceptionA(
  x: LayerOutput,
  options: InceptionBlockOptions & { readonly poolFilters: number },
): LayerOutput {
  const conv = convolutions(options);
  const branch1x1 = conv(x, 64, 1);
  const branch5x5 = conv(conv(x, 48, 1), 64, 5);
  const branch3x3Double = conv(conv(conv(x, 64, 1), 96, 3), 96, 3);
  const branchPool = conv(averagePool(x, options), options.poolFilters, 1);
  return concatenate([branch1x1, branch5x5, branch3x3Double, branchPool], options);
}

/** Block B (paper, figure 10): halves the feature map. `[35, 35, 288] → [17, 17, 768]`. */
export function inceptionB(x: LayerOutput, options: InceptionBlockOptions = {}): LayerOutput {
  const conv = convolutions(options);
  const branch3x3 = conv(x, 384, 3, { strides: 2, padding: "valid" });
  const branch3x3Double = conv(conv(conv(x, 64, 1), 96, 3), 96, 3, { strides: 2, padding: "valid" });
  return concatenate([branch3x3, branch3x3Double, maxPooling2d(x, { kernelSize: 3, strides: 2 })], options);
}

/** Block C (paper, figure 6): 7×7 convolutions as 1×7 and 7×1. `[17, 17, 768] → [17, 17, 768]`. */
export function inceptionC(
  x: LayerOutput,
  options: InceptionBlockOptions & { readonly filters7x7: number },
): LayerOutput {
  const conv = convolutions(options);
  const { filters7x7: filters } = options;
  const branch1x1 = conv(x, 192, 1);
  const branch7x7 = conv(conv(conv(x, filters, 1), filters, [1, 7]), 192, [7, 1]);
  let branch7x7Double = conv(conv(conv(x, filters, 1), filters, [7, 1]), filters, [1, 7]);
  branch7x7Double = conv(conv(branch7x7Double, filters, [7, 1]), 192, [1, 7]);
  const branchPool = conv(averagePool(x, options), 192, 1);
  return concatenate([branch1x1, branch7x7, branch7x7Double, branchPool], options);
}

/** Block D: halves the feature map again. `[17, 17, 768] → [8, 8, 1280]`. */
export function inceptionD(x: LayerOutput, options: InceptionBlockOptions = {}): LayerOutput {
  const conv = convolutions(options);
  const halving = { strides: 2, padding: "valid" } as const;
  const branch3x3 = conv(conv(x, 192, 1), 320, 3, halving);
  const branch7x7x3 = conv(conv(conv(conv(x, 192, 1), 192, [1, 7]), 192, [7, 1]), 192, 3, halving);
  return concatenate([branch3x3, branch7x7x3, maxPooling2d(x, { kernelSize: 3, strides: 2 })], options);
}

/** Block E (paper, figure 7): 3×3 convolutions as 1×3 and 3×1 beside each other. `[8, 8, C] → [8, 8, 2048]`. */
export function inceptionE(
  x: LayerOutput,
  options: InceptionBlockOptions & { readonly branch3x3Name?: string },
): LayerOutput {
  const conv = convolutions(options);
  const branch1x1 = conv(x, 320, 1);
  let branch3x3 = conv(x, 384, 1);
  branch3x3 = concatenate([conv(branch3x3, 384, [1, 3]), conv(branch3x3, 384, [3, 1])], {
    name: options.branch3x3Name,
  });
  let branch3x3Double = conv(conv(x, 448, 1), 384, 3);
  branch3x3Double = concatenate([conv(branch3x3Double, 384, [1, 3]), conv(branch3x3Double, 384, [3, 1])]);
  const branchPool = conv(averagePool(x, options), 192, 1);
  return concatenate([branch1x1, branch3x3, branch3x3Double, branchPool], options);
}

/**
 * Inception V3: 23,851,784 parameters with its defaults, 23,817,352 of them trainable.
 * @throws {UsageError} an option is invalid; the message names it.
 * @see https://arxiv.org/abs/1512.00567, table 1; keras.applications.InceptionV3 has the same layers, names and weights.
 * @example
 * const net = inceptionV3({ classes: 10, inputShape: [150, 150, 3] });
 */
export function inceptionV3(options: InceptionV3Options = {}): Network {
  const complete = checkedOptions(inceptionOptions, options);
  const { batchNormScale, averagePadding } = complete;
  const shared = { width: scaling(complete.width), batchNormScale, averagePadding };

  let x = inceptionStem(input(complete.inputShape), shared);
  for (const [index, poolFilters] of [32, 64, 64].entries()) {
    x = inceptionA(x, { name: `mixed${index}`, poolFilters, ...shared });
  }
  x = inceptionB(x, { name: "mixed3", ...shared });
  for (const [index, filters7x7] of [128, 160, 160, 192].entries()) {
    x = inceptionC(x, { name: `mixed${4 + index}`, filters7x7, ...shared });
  }
  x = inceptionD(x, { name: "mixed8", ...shared });
  for (const index of [0, 1]) {
    x = inceptionE(x, { name: `mixed${9 + index}`, branch3x3Name: `mixed9_${index}`, ...shared });
  }
  return network("inception_v3", top(x, complete, kerasTopNames), complete.seed);
}

function convolutions({ width = (filters) => filters, batchNormScale: scale }: InceptionBlockOptions) {
  return (x: LayerOutput, filters: number, kernelSize: number | Size2, more: Conv2dBnOptions = {}) =>
    conv2dBn(x, width(filters), kernelSize, { scale, ...more });
}

/** The average of 3×3 pixels around each one. */
function averagePool(x: LayerOutput, { averagePadding }: InceptionBlockOptions): LayerOutput {
  if (averagePadding === "zeros") return averagePooling2d(zeroPadding2d(x, 1), { kernelSize: 3, strides: 1 });
  return averagePooling2d(x, { kernelSize: 3, strides: 1, padding: "same" });
}
