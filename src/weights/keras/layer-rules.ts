import { FormatError } from "../../errors.ts";
import {
  activation,
  add,
  batchNormalization,
  conv2d,
  dense,
  depthwiseConv2d,
  dropout,
  globalAveragePooling2d,
  globalMaxPooling2d,
  type LayerOutput,
  maxPooling2d,
  relu,
  separableConv2d,
} from "../../graph/builder.ts";
import type { ActivationName, Size2 } from "../../graph/layers.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";
import type { KerasFields } from "./fields.ts";

/** What a rule makes one layer of Keras from. */
export interface KerasLayer {
  readonly name: string;
  readonly fields: KerasFields;
  readonly inputs: readonly [LayerOutput, ...LayerOutput[]];
  /** Zeros that a layer before it has put around its input. */
  readonly zeros?: Size2 | undefined;
  /** A name for a layer that Keras has inside another one; no layer of the network has it. */
  readonly nameInside: (part: string) => string;
  /** Notes a weight that Keras leaves out of the file because it never changes. */
  readonly constant: (weight: string, value: number) => void;
  /** Leaves zeros around the input to the convolution that reads it. */
  readonly pad: (zeros: Size2) => LayerOutput;
  /** Takes a scaling of pixels out of the network. */
  readonly rescale: (rescaling: PixelRescaling) => LayerOutput;
}

/** `pixel · scale + offset`, the same for all channels. */
export interface PixelRescaling extends Preprocessing {
  readonly scale: number;
  readonly offset: number;
}

type LayerRule = (layer: KerasLayer) => LayerOutput;

/** For what does nothing but in training. */
const nothing: LayerRule = ({ inputs }) => inputs[0];

/** From the layers of Keras that we know, by class, to ours. */
export const layerRules: Readonly<Record<string, LayerRule>> = {
  Conv2D: (layer) => {
    const { name, fields, inputs } = layer;
    fields.only("groups", 1);
    return activated(layer, conv2d(inputs[0], { name, ...convolution(layer) }));
  },
  SeparableConv2D: (layer) => {
    const { name, fields, inputs } = layer;
    fields.only("depth_multiplier", 1);
    return activated(layer, separableConv2d(inputs[0], { name, ...convolution(layer) }));
  },
  DepthwiseConv2D: (layer) => {
    const { name, fields, inputs } = layer;
    fields.only("depth_multiplier", 1);
    return activated(layer, depthwiseConv2d(inputs[0], { name, ...window(layer) }));
  },
  ZeroPadding2D: ({ fields, pad }) => {
    fields.only("data_format", "channels_last");
    return pad(fields.zeros());
  },
  BatchNormalization: ({ name, fields, inputs, constant }) => {
    const lastAxis = inputs[0].shape.length;
    fields.only("axis", -1, lastAxis, [-1], [lastAxis]);
    fields.only("renorm", false);
    if (!fields.flag("scale", true)) constant(`${name}/gamma`, 1);
    if (!fields.flag("center", true)) constant(`${name}/beta`, 0);
    const options = { momentum: fields.number("momentum", 0.99), epsilon: fields.number("epsilon", 1e-3) };
    return batchNormalization(inputs[0], { name, ...options });
  },
  Activation: ({ name, fields, inputs }) => {
    const kind = fields.activation();
    assertNoSpatialSoftmax(kind, inputs[0], fields);
    return activation(inputs[0], kind, { name });
  },
  ReLU: ({ name, fields, inputs }) => {
    fields.only("max_value");
    fields.only("negative_slope", 0);
    fields.only("threshold", 0);
    return relu(inputs[0], { name });
  },
  MaxPooling2D: ({ name, fields, inputs }) => {
    fields.only("data_format", "channels_last");
    const kernelSize = fields.size("pool_size", [2, 2]);
    const strides = fields.size("strides", kernelSize);
    return maxPooling2d(inputs[0], { name, kernelSize, strides, padding: fields.padding() });
  },
  GlobalAveragePooling2D: ({ name, fields, inputs }) => {
    assertKnownPooling(fields);
    return globalAveragePooling2d(inputs[0], { name });
  },
  GlobalMaxPooling2D: ({ name, fields, inputs }) => {
    assertKnownPooling(fields);
    return globalMaxPooling2d(inputs[0], { name });
  },
  Add: ({ name, inputs }) => add(inputs, { name }),
  Dropout: ({ name, fields, inputs }) => {
    fields.only("noise_shape");
    return dropout(inputs[0], fields.number("rate", 0), { name });
  },
  Dense: ({ name, fields, inputs }) => {
    const options = {
      units: fields.count("units"),
      activation: fields.activation(),
      useBias: fields.flag("use_bias", true),
    };
    return dense(inputs[0], { name, ...options });
  },
  Rescaling: ({ fields, rescale }) => {
    return rescale({ scale: fields.number("scale"), offset: fields.number("offset", 0) });
  },
  RandomFlip: nothing,
  RandomRotation: nothing,
  RandomTranslation: nothing,
  RandomZoom: nothing,
  RandomContrast: nothing,
  RandomBrightness: nothing,
};

/** Classes of layers that do nothing but in training: Keras 3 writes `training: true` into their calls by itself. */
export const augmentationLayers: ReadonlySet<string> = new Set(
  Object.entries(layerRules).flatMap(([type, rule]) => (rule === nothing ? [type] : [])),
);

/** Layers that take zeros around their input as their padding. */
export const readsZeros: ReadonlySet<string> = new Set(["Conv2D", "SeparableConv2D", "DepthwiseConv2D"]);

function convolution(layer: KerasLayer) {
  return { filters: layer.fields.count("filters"), ...window(layer) };
}

function window({ fields, zeros }: KerasLayer) {
  if (zeros) fields.only("padding", "valid");
  fields.only("data_format", "channels_last");
  fields.only("dilation_rate", [1, 1], 1);
  return {
    kernelSize: fields.size("kernel_size"),
    strides: fields.size("strides", [1, 1]),
    padding: zeros ?? fields.padding(),
    useBias: fields.flag("use_bias", true),
  };
}

/** Keras's convolutions may end in an activation; ours leave it to a layer of its own. */
function activated({ fields, nameInside }: KerasLayer, output: LayerOutput): LayerOutput {
  const kind = fields.activation();
  assertNoSpatialSoftmax(kind, output, fields);
  return kind === "linear" ? output : activation(output, kind, { name: nameInside("activation") });
}

function assertKnownPooling(fields: KerasFields): void {
  fields.only("data_format", "channels_last");
  fields.only("keepdims", false);
}

/** The engine keeps channels first, where softmax would run along the width. */
function assertNoSpatialSoftmax(kind: ActivationName, { shape }: LayerOutput, { where }: KerasFields): void {
  if (kind !== "softmax" || shape.length === 1) return;
  throw new FormatError({
    where: `${where}, field "activation"`,
    what: "softmax of an image is not supported",
    received: shape,
    expected: "one axis of features",
  });
}
