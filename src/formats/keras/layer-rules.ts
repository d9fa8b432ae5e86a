import { FormatError } from "../../base/errors.ts";
import {
  activation,
  add,
  averagePooling2d,
  batchNormalization,
  concatenate,
  conv2d,
  dense,
  depthwiseConv2d,
  dropout,
  flatten,
  globalAveragePooling2d,
  globalMaxPooling2d,
  type LayerOutput,
  leakyRelu,
  maxPooling2d,
  relu,
  separableConv2d,
  zeroPadding2d,
} from "../../graph/builder.ts";
import {
  type ActivationName,
  activationNames,
  type LayerType,
  type Margins,
  type Padding,
  type Size2,
} from "../../graph/layers.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";

/** A layer of Keras, for the rule that translates it. */
export interface KerasLayer {
  readonly name: string;
  readonly fields: KerasFields;
  readonly inputs: readonly [LayerOutput, ...LayerOutput[]];
  /** A unique name for a layer that Keras has inside another one. */
  readonly nameInside: (part: string) => string;
  /** Moves a rescaling of pixels out of the network. */
  readonly rescale: (rescaling: PixelRescaling) => LayerOutput;
}

/** `pixel · scale + offset`, the same for all channels. */
export interface PixelRescaling extends Preprocessing {
  readonly scale: number;
  readonly offset: number;
}

type LayerRule = (layer: KerasLayer) => LayerOutput;

/** Layers that are the identity outside training. */
const identity: LayerRule = ({ inputs }) => inputs[0];

/** Translates the layers of Keras that we support, by class. */
export const layerRules: Readonly<Record<string, LayerRule> & Record<Exclude<LayerType, "InputLayer">, LayerRule>> = {
  Conv2D: (layer) => {
    const { input, ...window } = convolution(layer);
    const [filters, groups] = [layer.fields.count("filters"), layer.fields.count("groups", 1)];
    return activated(layer, conv2d(input, { filters, groups, ...window }));
  },
  SeparableConv2D: (layer) => {
    layer.fields.only("depth_multiplier", 1);
    const { input, ...window } = convolution(layer);
    return activated(layer, separableConv2d(input, { filters: layer.fields.count("filters"), ...window }));
  },
  DepthwiseConv2D: (layer) => {
    layer.fields.only("depth_multiplier", 1);
    const { input, ...window } = convolution(layer);
    return activated(layer, depthwiseConv2d(input, window));
  },
  ZeroPadding2D: ({ name, fields, inputs }) => {
    fields.only("data_format", "channels_last");
    return zeroPadding2d(inputs[0], fields.margins(), { name });
  },
  BatchNormalization: ({ name, fields, inputs }) => {
    const lastAxis = inputs[0].shape.length;
    fields.only("axis", -1, lastAxis, [-1], [lastAxis]);
    fields.only("renorm", false);
    return batchNormalization(inputs[0], {
      name,
      momentum: fields.number("momentum", 0.99),
      epsilon: fields.number("epsilon", 1e-3),
      scale: fields.flag("scale", true),
      center: fields.flag("center", true),
    });
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
  LeakyReLU: ({ name, fields, inputs }) => {
    // `alpha` in Keras 2.
    return leakyRelu(inputs[0], fields.number("negative_slope", fields.number("alpha", 0.3)), { name });
  },
  MaxPooling2D: (layer) => maxPooling2d(layer.inputs[0], pooling(layer)),
  AveragePooling2D: (layer) => averagePooling2d(layer.inputs[0], pooling(layer)),
  GlobalAveragePooling2D: ({ name, fields, inputs }) => {
    assertKnownPooling(fields);
    return globalAveragePooling2d(inputs[0], { name });
  },
  GlobalMaxPooling2D: ({ name, fields, inputs }) => {
    assertKnownPooling(fields);
    return globalMaxPooling2d(inputs[0], { name });
  },
  Add: ({ name, inputs }) => add(inputs, { name }),
  Concatenate: ({ name, fields, inputs }) => concatenate(inputs, { name, axis: fields.number("axis", -1) }),
  Flatten: ({ name, fields, inputs }) => {
    fields.only("data_format", "channels_last");
    return flatten(inputs[0], { name });
  },
  Dropout: ({ name, fields, inputs }) => {
    fields.only("noise_shape");
    return dropout(inputs[0], fields.number("rate", 0), { name });
  },
  Dense: ({ name, fields, inputs }) => {
    const units = fields.count("units");
    return dense(inputs[0], { name, units, activation: fields.activation(), useBias: fields.flag("use_bias", true) });
  },
  Rescaling: ({ fields, rescale }) => rescale({ scale: fields.number("scale"), offset: fields.number("offset", 0) }),
  RandomFlip: identity,
  RandomRotation: identity,
  RandomTranslation: identity,
  RandomZoom: identity,
  RandomContrast: identity,
  RandomBrightness: identity,
};

/** Augmentation layers, the identity outside training: Keras 3 itself writes `training: true` into their calls. */
export const augmentationLayers: ReadonlySet<string> = new Set(
  Object.entries(layerRules).flatMap(([type, rule]) => (rule === identity ? [type] : [])),
);

/** The input and the options of a convolution, which takes over equal zeros on opposite sides as padding. */
function convolution({ name, fields, inputs: [input] }: KerasLayer) {
  fields.only("data_format", "channels_last");
  fields.only("dilation_rate", [1, 1], 1);
  const kernelSize = fields.size("kernel_size");
  const [strides, useBias] = [fields.size("strides", [1, 1]), fields.flag("use_bias", true)];
  const padding = fields.padding();
  const zeros = padding === "valid" && input.config.type === "ZeroPadding2D" ? input.config.padding : [];
  const isTaken = zeros.every(([before, after], axis) => before === after && before < kernelSize[axis]!);
  const [rows, columns] = zeros;
  if (!rows || !columns || !isTaken) return { input, name, kernelSize, strides, padding, useBias };
  return { input: input.inputs[0]!, name, kernelSize, strides, padding: [rows[0], columns[0]] as Size2, useBias };
}

function pooling({ name, fields }: KerasLayer) {
  fields.only("data_format", "channels_last");
  const kernelSize = fields.size("pool_size", [2, 2]);
  return { name, kernelSize, strides: fields.size("strides", kernelSize), padding: fields.padding() };
}

/** Convolutions of Keras may end in an activation; here it is a separate layer. */
function activated({ fields, nameInside }: KerasLayer, output: LayerOutput): LayerOutput {
  const kind = fields.activation();
  assertNoSpatialSoftmax(kind, output, fields);
  return kind === "linear" ? output : activation(output, kind, { name: nameInside("activation") });
}

function assertKnownPooling(fields: KerasFields): void {
  fields.only("data_format", "channels_last");
  fields.only("keepdims", false);
}

/** The op graph is channels-first, where softmax would run along the width. */
function assertNoSpatialSoftmax(kind: ActivationName, { shape }: LayerOutput, { where }: KerasFields): void {
  if (kind !== "softmax" || shape.length === 1) return;
  throw new FormatError({
    where: `${where}, field "activation"`,
    what: "softmax of feature maps is not supported",
    received: shape,
    expected: "one axis of features",
  });
}

type Json = Readonly<Record<string, unknown>>;

/**
 * The fields of one layer in a `model_config`. Each getter rejects unsupported values; fields that are never read
 * (initializers, regularizers, constraints) only matter in training.
 */
export class KerasFields {
  /** The layer's name in errors, e.g. `file.h5, Conv2D "block1_conv1"`. */
  readonly where: string;
  readonly #fields: Json;

  constructor(fields: Json, where: string) {
    this.#fields = fields;
    this.where = where;
  }

  /** @param otherwise value of a missing field; without it the field is required. */
  count(name: string, otherwise?: number): number {
    const value = this.#get(name) ?? otherwise;
    if (isCount(value) && value >= 1) return value;
    throw this.#error(name, "a positive integer");
  }

  /** @param otherwise value of a missing field; without it the field is required. */
  number(name: string, otherwise?: number): number {
    const value = this.#get(name) ?? otherwise;
    if (typeof value === "number") return value;
    throw this.#error(name, "a number");
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.#get(name) ?? otherwise;
    if (typeof value === "boolean") return value;
    throw this.#error(name, "true or false");
  }

  size(name: string, otherwise?: Size2): Size2 {
    const value = this.#get(name) ?? otherwise;
    const pair = typeof value === "number" ? [value, value] : value;
    const [height, width, ...others]: unknown[] = Array.isArray(pair) ? pair : [];
    if (others.length === 0 && isCount(height) && isCount(width) && height * width > 0) return [height, width];
    throw this.#error(name, "one or two positive integers");
  }

  padding(): Padding {
    const value = this.#get("padding") ?? "valid";
    if (value === "valid" || value === "same") return value;
    throw this.#error("padding", '"valid" or "same"');
  }

  /** Rows and columns of zeros on each side, of a ZeroPadding2D. */
  margins(): Margins {
    const value = this.#get("padding") ?? 1;
    const sides: unknown[] = Array.isArray(value) ? value : [value, value];
    const margins = sides.map((side): unknown[] => (Array.isArray(side) ? side : [side, side]));
    if (margins.length === 2 && margins.every((side) => side.length === 2 && side.every(isCount))) {
      return margins as unknown as Margins;
    }
    throw this.#error("padding", "one number, two, or two pairs: rows and columns of zeros on each side");
  }

  activation(): ActivationName {
    const value = this.#get("activation") ?? "linear";
    const known = activationNames.find((each) => each === value);
    if (known) return known;
    throw this.#error("activation", `one of ${activationNames.join(", ")}`);
  }

  /**
   * Asserts that a field has one of the values that our layers support.
   * @param allowed includes what a missing field means.
   */
  only(name: string, ...allowed: readonly unknown[]): void {
    const value = this.#get(name);
    if (value === undefined || allowed.some((each) => JSON.stringify(each) === JSON.stringify(value))) return;
    throw this.#error(name, allowed.map((each) => JSON.stringify(each)).join(" or "));
  }

  /** `batch_shape`, in Keras 2 `batch_input_shape`, without the batch axis; undefined if there is none. */
  batchShape(): readonly unknown[] | undefined {
    const value = this.#get("batch_shape") ?? this.#get("batch_input_shape");
    if (value === undefined) return undefined;
    if (Array.isArray(value)) return value.slice(1);
    throw this.#error("batch_shape", "a list of sizes");
  }

  /** Keras writes null for options that were not given. */
  #get(name: string): unknown {
    return this.#fields[name] ?? undefined;
  }

  #error(name: string, expected: string): FormatError {
    return new FormatError({
      where: `${this.where}, field "${name}"`,
      what: this.#get(name) === undefined ? "missing field" : "unsupported value",
      received: this.#get(name),
      expected,
    });
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}
