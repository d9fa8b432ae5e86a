import { choice } from "../../base/kinds.ts";
import {
  activation,
  add,
  batchNormalization,
  conv2d,
  depthwiseConv2d,
  input,
  type LayerOutput,
  separableConv2d,
} from "../../graph/builder.ts";
import { type Network, network } from "../../graph/network.ts";
import { kerasTopNames, top } from "../blocks.ts";
import { checkedOptions, type OptionsOf, option, scaling, seedOption, sharedOptions } from "../options.ts";

/** The options of `alignedXception`. The network halves an image five times, hence the smallest one. */
export const alignedOptions = {
  owner: "alignedXception",
  smallest: 32,
  table: {
    /** Number of layers (41, 65, 71), and whether normalization and ReLU come before each convolution (p). */
    variant: option(choice("41", "65", "71", "41p", "65p"), {
      scope: "name",
      about: "number of layers; p: normalization and ReLU before each convolution",
      default: "65",
    }),
    ...sharedOptions,
    seed: seedOption,
  },
} as const;

/** Options of `alignedXception`: height and width of `inputShape` at least 32. */
export type AlignedXceptionOptions = OptionsOf<typeof alignedOptions.table>;
/** Number of layers, with `p` for pre-activation, as in timm's names. */
export type AlignedVariant = NonNullable<AlignedXceptionOptions["variant"]>;

/** Channels after each of a block's three separable convolutions; only the last one may have a stride. */
interface BlockShape {
  readonly filters: readonly [number, number, number];
  readonly stride: 1 | 2;
  /** The very last block has no shortcut. */
  readonly shortcut: boolean;
}

/** The parts in which variants differ. */
interface Structure {
  /** Filters and stride of each block of the entry flow after the stem. */
  readonly entry: readonly (readonly [filters: number, stride: 1 | 2])[];
  readonly middleRepeats: number;
  /** Normalization and ReLU before each convolution instead of after it (He et al. 2016). */
  readonly preActivation: boolean;
  readonly epsilon: number;
}

const entry = [
  [128, 2],
  [256, 2],
  [728, 2],
] as const;
const longEntry = [
  [128, 2],
  [256, 1],
  [256, 2],
  [728, 1],
  [728, 2],
] as const;

/** As registered in timm: only 41p keeps PyTorch's default epsilon. */
const structures: Readonly<Record<AlignedVariant, Structure>> = {
  41: { entry, middleRepeats: 8, preActivation: false, epsilon: 1e-3 },
  65: { entry, middleRepeats: 16, preActivation: false, epsilon: 1e-3 },
  71: { entry: longEntry, middleRepeats: 16, preActivation: false, epsilon: 1e-3 },
  "41p": { entry, middleRepeats: 8, preActivation: true, epsilon: 1e-5 },
  "65p": { entry, middleRepeats: 16, preActivation: true, epsilon: 1e-3 },
};

/** The blocks of entry flow, middle flow and exit flow. */
function blockShapes({ entry, middleRepeats }: Structure): readonly BlockShape[] {
  const middle = Array.from({ length: middleRepeats }, () => [728, 1] as const);
  const residual = [...entry, ...middle].map(
    ([filters, stride]): BlockShape => ({ filters: [filters, filters, filters], stride, shortcut: true }),
  );
  return [
    ...residual,
    { filters: [728, 1024, 1024], stride: 2, shortcut: true },
    { filters: [1536, 1536, 2048], stride: 1, shortcut: false },
  ];
}

/** PyTorch pads a 3×3 window by one pixel on every side, whatever the stride. */
const around = { kernelSize: 3, padding: 1, useBias: false } as const;

/** Options of a block. */
interface BlockOptions {
  readonly name: string;
  readonly width: (filters: number) => number;
  readonly epsilon: number;
}

/**
 * A block of 41, 65 and 71: three times depthwise convolution, normalization, pointwise convolution, normalization, with a
 * shortcut. A ReLU comes before each of the three, but in the last block after each convolution.
 */
function block(x: LayerOutput, shape: BlockShape, { name, width, epsilon }: BlockOptions): LayerOutput {
  const { filters, stride, shortcut: isResidual } = shape;
  let shortcut = x;
  if (isResidual && changesShape(x, shape, width)) {
    shortcut = projection(x, shape, { name, width });
    shortcut = batchNormalization(shortcut, { epsilon, momentum, name: `${name}_shortcut_bn` });
  }
  for (const [index, channels] of filters.entries()) {
    const step = `${name}_sepconv${index + 1}`;
    const strides = index === 2 ? stride : 1;
    if (isResidual) x = relu(x, `${step}_act`);
    x = depthwiseConv2d(x, { ...around, strides, name: `${step}_depthwise` });
    x = batchNormalization(x, { epsilon, momentum, name: `${step}_depthwise_bn` });
    if (!isResidual) x = relu(x, `${step}_depthwise_act`);
    x = conv2d(x, { filters: width(channels), kernelSize: 1, useBias: false, name: `${step}_pointwise` });
    x = batchNormalization(x, { epsilon, momentum, name: `${step}_pointwise_bn` });
    if (!isResidual) x = relu(x, `${step}_pointwise_act`);
  }
  return isResidual ? add([x, shortcut], { name: `${name}_add` }) : x;
}

/**
 * A block of 41p and 65p: normalization and ReLU, then three separable convolutions with normalization and ReLU between
 * them. The shortcut starts after the first ReLU, and its convolution has no normalization.
 */
function preActivatedBlock(x: LayerOutput, shape: BlockShape, { name, width, epsilon }: BlockOptions): LayerOutput {
  x = batchNormalization(x, { epsilon, momentum, name: `${name}_bn` });
  x = relu(x, `${name}_act`);
  const isProjected = shape.shortcut && changesShape(x, shape, width);
  const shortcut = isProjected ? projection(x, shape, { name, width }) : x;
  for (const [index, channels] of shape.filters.entries()) {
    const step = `${name}_sepconv${index + 1}`;
    if (index > 0) {
      x = batchNormalization(x, { epsilon, momentum, name: `${step}_bn` });
      x = relu(x, `${step}_act`);
    }
    const strides = index === 2 ? shape.stride : 1;
    x = separableConv2d(x, { ...around, filters: width(channels), strides, name: step });
  }
  return shape.shortcut ? add([x, shortcut], { name: `${name}_add` }) : x;
}

function changesShape(x: LayerOutput, { filters, stride }: BlockShape, width: BlockOptions["width"]): boolean {
  return stride !== 1 || x.shape[2] !== width(filters[2]);
}

/** The 1×1 convolution of a shortcut, to the shape of its block's output. */
function projection(x: LayerOutput, shape: BlockShape, { name, width }: Omit<BlockOptions, "epsilon">): LayerOutput {
  const window = { kernelSize: 1, strides: shape.stride, useBias: false } as const;
  return conv2d(x, { ...window, filters: width(shape.filters[2]), name: `${name}_shortcut` });
}

/** PyTorch's momentum of 0.1, in Keras's convention. */
const momentum = 0.9;

/**
 * The aligned Xception of DeepLab, as in timm: deeper than the paper's, with strided separable convolutions instead of
 * pooling, so that features stay aligned with the image.
 * @throws {UsageError} an option is invalid; the message names it.
 * @see Chen et al. 2018, "Encoder-Decoder with Atrous Separable Convolution", figure 4; timm/models/xception_aligned.py
 */
export function alignedXception(options: AlignedXceptionOptions = {}): Network {
  const complete = checkedOptions(alignedOptions, options);
  const { variant, inputShape, seed } = complete;
  const width = scaling(complete.width);
  const structure = structures[variant];
  const { preActivation, epsilon } = structure;

  let x = input(inputShape);
  x = conv2d(x, { ...around, filters: width(32), strides: 2, name: "stem_conv1" });
  x = batchNormalization(x, { epsilon, momentum, name: "stem_conv1_bn" });
  x = relu(x, "stem_conv1_act");
  x = conv2d(x, { ...around, filters: width(64), name: "stem_conv2" });
  if (!preActivation) {
    x = batchNormalization(x, { epsilon, momentum, name: "stem_conv2_bn" });
    x = relu(x, "stem_conv2_act");
  }
  for (const [index, shape] of blockShapes(structure).entries()) {
    const blockOptions = { name: `block${index + 1}`, width, epsilon };
    x = preActivation ? preActivatedBlock(x, shape, blockOptions) : block(x, shape, blockOptions);
  }
  if (preActivation) x = relu(x, "last_act");
  return network(`xception${variant}`, top(x, complete, kerasTopNames), seed);
}

function relu(x: LayerOutput, name: string): LayerOutput {
  return activation(x, "relu", { name });
}
