import type { Size2 } from "../../graph/layers.ts";
import type { Operation, OpOf, Value, Window } from "../../graph/ops.ts";
import { type Shape, sizeOf } from "../../tensor/shape.ts";
import type { Place, ProgramEmitter, WeightsPlace } from "./emitter.ts";
import { panelWidth } from "./weights.ts";

/** A computed value in the memory, for one image. */
export interface Stored {
  readonly place: Place;
  /** Without the axis of images; channels last if `isImage`. */
  readonly shape: Shape;
  /** The graph's value is channels first; here it is kept channels last. */
  readonly isImage: boolean;
  /** Bytes instead of floats. */
  readonly isBytes?: boolean;
}

/** A window of this size that slides over an image. */
export interface WindowGeometry extends Window {
  readonly kernel: Size2;
}

interface FusedParts {
  readonly x: Stored;
  /** Applies max(x, 0) to the result. */
  readonly isRelu: boolean;
}

/** A depthwise convolution. */
export interface DepthwiseStep extends FusedParts, WindowGeometry {
  readonly kind: "depthwise";
  readonly weights: WeightsPlace;
  readonly bias: Float32Array;
  /** Applies max(x, 0) to the input. */
  readonly isInputRelu: boolean;
}

/** A convolution or matrix multiplication; `depthwise` makes its input. */
export interface ConvStep extends FusedParts, WindowGeometry {
  readonly kind: "conv";
  readonly weights: WeightsPlace;
  readonly filters: number;
  readonly bias: Float32Array | undefined;
  readonly residual: Stored | undefined;
  readonly isInputRelu: boolean;
  readonly depthwise: DepthwiseStep | undefined;
}

/** scale · x + shift for each channel; bytes become floats. */
export interface AffineStep extends FusedParts {
  readonly kind: "affine";
  readonly scale: Float32Array | undefined;
  readonly shift: Float32Array | undefined;
}

/** The sum of two values. */
export interface AddStep extends FusedParts {
  readonly kind: "add";
  readonly y: Stored;
}

/** A step that the operator which reads it may still join. */
export type FusedStep = ConvStep | DepthwiseStep | AffineStep | AddStep;

/** Destination of a step: `stride`, the floats from pixel to pixel, can exceed its number of channels. */
export interface Target {
  readonly place: Place;
  readonly stride: number;
}

/** Returns whether a convolution mixes the channels of each pixel alone. */
export function isPointwise({ config, inputs }: Operation): boolean {
  if (config.kind !== "conv") return false;
  const [, , height, width] = inputs[1]!.shape;
  const isPlain =
    [...config.strides, height, width].every((each) => each === 1) && config.pads.every((each) => each === 0);
  return isPlain && config.groups === 1;
}

/** Returns whether an operator that alone reads a step's result can become a part of it. */
export function canJoin(step: FusedStep, reader: Operation, isFixed: (value: Value) => boolean): boolean {
  const kind = reader.config.kind;
  if (kind === "conv") return step.kind === "depthwise" && isPointwise(reader);
  if (step.isRelu) return false;
  if (kind === "relu") return step.kind !== "affine" || step.x.isBytes !== true;
  const hasFixed = reader.inputs.some(isFixed);
  if (step.kind === "affine" && hasFixed) {
    return step.shift === undefined && (kind === "add" || (kind === "multiply" && step.scale === undefined));
  }
  if (step.kind !== "conv" || kind !== "add") return false;
  return hasFixed ? step.bias === undefined && step.residual === undefined : step.residual === undefined;
}

/** Writes a step: its kernel's arguments in the order of assembly/kernels.ts. */
export function emitFused(
  emit: ProgramEmitter,
  step: FusedStep,
  name: string,
  shape: Shape,
  { place, stride }: Target,
): void {
  const pixels = sizeOf(shape.slice(0, -1));
  const channels = shape.at(-1)!;
  const [isRelu, x] = [Number(step.isRelu), step.x.place];
  if (step.kind === "conv") {
    emitConv(emit, step, name, { pixels, filters: channels, outWidth: shape.at(-2) ?? 1, place, stride });
  } else if (step.kind === "depthwise") {
    const [height, width] = step.x.shape as [number, number];
    const args = [x, height, width, channels, place, shape[1]!, ...windowArgs(step)];
    const rest = [step.weights, emit.vector(step.bias), Number(step.isInputRelu), isRelu];
    emit.step({ name, kernel: "depthwise", args: [...args, ...rest], units: pixels });
  } else if (step.kind === "affine") {
    const scale = emit.vector(step.scale ?? new Float32Array(channels).fill(1));
    const shift = emit.vector(step.shift ?? new Float32Array(channels));
    const kernel = step.x.isBytes ? "scaleBytes" : "affine";
    emit.step({ name, kernel, args: [x, channels, place, stride, scale, shift, isRelu], units: pixels });
  } else {
    const args = [x, step.y.place, place, isRelu];
    emit.step({ name, kernel: "add", args, units: Math.ceil((pixels * channels) / 4) });
  }
}

function emitConv(
  emit: ProgramEmitter,
  step: ConvStep,
  name: string,
  { pixels, filters, outWidth, place, stride }: Target & { pixels: number; filters: number; outWidth: number },
): void {
  const { depthwise } = step;
  const source = depthwise ?? step;
  const [height, width, channels] = imageShape(source.x.shape);
  emit.reserveDepth(depthwise ? channels : channels * step.kernel[0] * step.kernel[1]);
  const panels = Math.ceil(filters / panelWidth);
  const bias = new Float32Array(panels * panelWidth);
  if (step.bias) bias.set(step.bias);
  const args = [
    source.x.place,
    height,
    width,
    channels,
    place,
    stride,
    outWidth,
    filters,
    ...windowArgs(source),
    step.weights,
    emit.vector(bias),
    step.residual?.place ?? 0,
    Number(source.isInputRelu),
    Number(step.isRelu),
    depthwise?.weights ?? 0,
    depthwise ? emit.vector(depthwise.bias) : 0,
    Number(depthwise?.isRelu ?? false),
  ];
  emit.step({ name, kernel: "conv", args, units: pixels, panels });
}

/** Kernel size, strides, and the padding above and to the left, which are all that a kernel needs. */
export function windowArgs({ kernel, strides, pads: [top, left] }: WindowGeometry): readonly number[] {
  return [...kernel, ...strides, top, left];
}

/** A vector is an image of one pixel. */
function imageShape(shape: Shape): readonly [number, number, number] {
  return shape.length === 3 ? (shape as [number, number, number]) : [1, 1, shape[0]!];
}

/** The window of a convolution. */
export function convWindow({ strides, pads }: OpOf<"conv">, kernel: Value): WindowGeometry {
  return { kernel: kernel.shape.slice(2) as [number, number], strides, pads };
}
