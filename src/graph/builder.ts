import { UsageError } from "../base/errors.ts";
import { assertAllowed, assertOption, number } from "../base/kinds.ts";
import type { Shape } from "../tensor/shape.ts";
import { layerOutputShape } from "./layer-shapes.ts";
import {
  type ActivationName,
  type ConfigOf,
  type LayerConfig,
  type LayerType,
  type Margins,
  type Padding,
  type Size2,
  snakeCase,
} from "./layers.ts";

/**
 * The output of a layer while a network is being built: pass it to the next layer's function. `network()` turns the
 * last one into a graph.
 */
export interface LayerOutput {
  readonly name: string;
  readonly config: LayerConfig;
  readonly inputs: readonly LayerOutput[];
  /** Without the batch axis, channels last. */
  readonly shape: Shape;
  /** Names used so far in this network, shared by all its layers. */
  readonly names: Set<string>;
}

/** Every layer takes an optional name; the default is the first free Keras name: `conv2d`, `conv2d_1`, … */
export interface Named {
  readonly name?: string | undefined;
}

export interface WindowOptions extends Named {
  /** Side of the square window, or `[height, width]`. */
  readonly kernelSize: number | Size2;
  /** Default 1. */
  readonly strides?: number | Size2;
  /** Default `valid`, as in Keras. A number pads every side by this many pixels. */
  readonly padding?: Padding | number;
}

export interface ConvOptions extends WindowOptions {
  /** Number of output channels. */
  readonly filters: number;
  /** Default true, as in Keras. */
  readonly useBias?: boolean;
}

/** The input of a network: images `[H, W, C]`. */
export function input(shape: Shape, options: Named = {}): LayerOutput {
  const names = new Set<string>();
  const name = chooseName(names, options.name, "InputLayer");
  const config = { type: "InputLayer", shape } as const;
  checkLayer(config, name);
  return { name, config, inputs: [], shape, names };
}

/** An ordinary convolution, `[H, W, C] → [H', W', filters]`. */
export function conv2d(x: LayerOutput, options: ConvOptions & { readonly groups?: number }): LayerOutput {
  const { groups = 1, name } = options;
  return layer([x], { type: "Conv2D", ...convConfig(options), ...(groups !== 1 && { groups }) }, name);
}

/** A depthwise separable convolution (paper, section 1.3), `[H, W, C] → [H', W', filters]`. */
export function separableConv2d(
  x: LayerOutput,
  options: ConvOptions & { readonly intermediateActivation?: ActivationName },
): LayerOutput {
  const intermediateActivation = options.intermediateActivation ?? "linear";
  return layer([x], { type: "SeparableConv2D", ...convConfig(options), intermediateActivation }, options.name);
}

/** The depthwise step of a separable convolution alone, `[H, W, C] → [H', W', C]`. */
export function depthwiseConv2d(x: LayerOutput, options: Omit<ConvOptions, "filters">): LayerOutput {
  const useBias = options.useBias ?? true;
  return layer([x], { type: "DepthwiseConv2D", ...windowConfig(options), useBias }, options.name);
}

/** Batch normalization over the last axis with Keras's defaults: momentum 0.99, epsilon 1e-3, with gamma and beta. */
export function batchNormalization(
  x: LayerOutput,
  options: Named & Partial<Omit<ConfigOf<"BatchNormalization">, "type">> = {},
): LayerOutput {
  const { momentum = 0.99, epsilon = 1e-3, scale = true, center = true } = options;
  return layer([x], { type: "BatchNormalization", momentum, epsilon, scale, center }, options.name);
}

/** Applies an activation function, `[…] → […]`. */
export function activation(x: LayerOutput, name: ActivationName, options: Named = {}): LayerOutput {
  return layer([x], { type: "Activation", activation: name }, options.name);
}

/** Rectified linear unit, max(x, 0), `[…] → […]`. */
export function relu(x: LayerOutput, options: Named = {}): LayerOutput {
  return layer([x], { type: "ReLU" }, options.name);
}

/** x where it is positive, else `negativeSlope · x`, `[…] → […]`. Keras's default slope is 0.3. */
export function leakyRelu(x: LayerOutput, negativeSlope = 0.3, options: Named = {}): LayerOutput {
  return layer([x], { type: "LeakyReLU", negativeSlope }, options.name);
}

/** Maximum over windows, `[H, W, C] → [H′, W′, C]`. */
export function maxPooling2d(x: LayerOutput, options: WindowOptions): LayerOutput {
  const { kernelSize: poolSize, ...window } = windowConfig({ strides: options.kernelSize, ...options });
  return layer([x], { type: "MaxPooling2D", poolSize, ...window }, options.name);
}

/** Mean over windows, of their pixels inside the image, `[H, W, C] → [H′, W′, C]`. */
export function averagePooling2d(x: LayerOutput, options: WindowOptions): LayerOutput {
  const { kernelSize: poolSize, ...window } = windowConfig({ strides: options.kernelSize, ...options });
  return layer([x], { type: "AveragePooling2D", poolSize, ...window }, options.name);
}

/** Zeros around an image, `[H, W, C] → [H + top + bottom, W + left + right, C]`; a number means every side. */
export function zeroPadding2d(x: LayerOutput, padding: number | Margins, options: Named = {}): LayerOutput {
  const margins: Margins = typeof padding === "number" ? [pair(padding), pair(padding)] : padding;
  return layer([x], { type: "ZeroPadding2D", padding: margins }, options.name);
}

/** Mean over the image, `[H, W, C] → [C]`. */
export function globalAveragePooling2d(x: LayerOutput, options: Named = {}): LayerOutput {
  return layer([x], { type: "GlobalAveragePooling2D" }, options.name);
}

/** Maximum over the image, `[H, W, C] → [C]`. */
export function globalMaxPooling2d(x: LayerOutput, options: Named = {}): LayerOutput {
  return layer([x], { type: "GlobalMaxPooling2D" }, options.name);
}

/** Sum of inputs of equal shape: the residual connection. */
export function add(inputs: readonly [LayerOutput, ...LayerOutput[]], options: Named = {}): LayerOutput {
  return layer(inputs, { type: "Add" }, options.name);
}

/**
 * Joins inputs along an axis, by default their channels. Axes count from 1, as Keras's axis 0 is the batch; negative ones
 * count from the end.
 */
export function concatenate(
  inputs: readonly [LayerOutput, ...LayerOutput[]],
  options: Named & { readonly axis?: number } = {},
): LayerOutput {
  const { axis = -1, name } = options;
  return layer(inputs, { type: "Concatenate", axis: axis < 0 ? axis + inputs[0].shape.length + 1 : axis }, name);
}

/** All values as one vector, channels last: `[H, W, C] → [H·W·C]`. */
export function flatten(x: LayerOutput, options: Named = {}): LayerOutput {
  return layer([x], { type: "Flatten" }, options.name);
}

/**
 * Dropout: in training, sets a fraction `rate` of the values to 0 and divides the others by 1 − rate; otherwise the
 * identity.
 */
export function dropout(x: LayerOutput, rate: number, options: Named = {}): LayerOutput {
  return layer([x], { type: "Dropout", rate }, options.name);
}

/** A fully connected layer, `[features] → [units]`. */
export function dense(
  x: LayerOutput,
  options: Named & { readonly units: number; readonly activation?: ActivationName; readonly useBias?: boolean },
): LayerOutput {
  const { units, activation = "linear", useBias = true } = options;
  return layer([x], { type: "Dense", units, activation, useBias }, options.name);
}

/** Adds a layer of any type from its config, after its inbound layers. */
export function layer(
  inputs: readonly [LayerOutput, ...LayerOutput[]],
  config: Exclude<LayerConfig, { readonly type: "InputLayer" }>,
  givenName?: string,
): LayerOutput {
  const { names } = inputs[0];
  const name = chooseName(names, givenName, config.type);
  checkLayer(config, name);
  if (inputs.some((each) => each.names !== names)) {
    throw new UsageError({
      where: `${config.type} "${name}"`,
      what: "its inputs belong to different networks",
      received: inputs.map((each) => each.name),
      remedy: "Start all its inputs from one call of input().",
    });
  }
  const shapes = inputs.map((each) => each.shape);
  return { name, config, inputs, shape: layerOutputShape(config, shapes, name), names };
}

function chooseName(names: Set<string>, given: string | undefined, type: LayerType): string {
  if (given !== undefined && names.has(given)) {
    throw new UsageError({
      where: `layer "${given}"`,
      what: "another layer of this network has the same name",
      remedy: "Give every layer a name of its own.",
    });
  }
  let name = given ?? snakeCase(type);
  for (let count = 1; names.has(name); count++) name = `${snakeCase(type)}_${count}`;
  names.add(name);
  return name;
}

function convConfig(options: ConvOptions) {
  return { filters: options.filters, ...windowConfig(options), useBias: options.useBias ?? true } as const;
}

function windowConfig({ kernelSize, strides = 1, padding = "valid" }: WindowOptions) {
  return {
    kernelSize: pair(kernelSize),
    strides: pair(strides),
    padding: typeof padding === "number" ? pair(padding) : padding,
  } as const;
}

function pair(size: number | Size2): Size2 {
  return typeof size === "number" ? [size, size] : size;
}

const sizes = ["shape", "filters", "groups", "units", "kernelSize", "poolSize", "strides"] as const;

/**
 * Validates a layer's options, which would otherwise surface as a strange shape far from their cause.
 * @throws {UsageError} a size is not a positive integer, a padding not smaller than its window, or a rate not a
 * fraction.
 */
function checkLayer(config: LayerConfig, name: string): void {
  const where = (option: string) => `${config.type} "${name}", option "${option}"`;
  const options: Readonly<Record<string, unknown>> = { ...config };
  for (const option of sizes) {
    const value = options[option];
    const fit = value === undefined || [value].flat().every((size) => Number.isInteger(size) && Number(size) >= 1);
    assertAllowed(where(option), value, fit, "positive integers");
  }
  if (config.type === "ZeroPadding2D") {
    const fit = config.padding.flat().every((size) => Number.isInteger(size) && size >= 0);
    assertAllowed(where("padding"), config.padding, fit, "whole numbers from 0");
  } else if ("padding" in config && typeof config.padding !== "string") {
    const window = "poolSize" in config ? config.poolSize : config.kernelSize;
    const expected = `whole numbers from 0 to less than [${window.join(", ")}]`;
    assertAllowed(where("padding"), config.padding, fits(config.padding, window), expected);
  }
  if (config.type === "LeakyReLU") assertOption(where("negativeSlope"), config.negativeSlope, number({ from: 0 }));
  if (config.type === "Dropout") assertOption(where("rate"), config.rate, number({ from: 0, below: 1 }));
}

/** A window that lies in the padding alone would have no maximum. */
function fits(padding: Size2, window: Size2): boolean {
  return padding.every((size, axis) => Number.isInteger(size) && size >= 0 && size < window[axis]!);
}
