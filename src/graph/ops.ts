import type { Shape } from "../tensor/shape.ts";
import type { Size2 } from "./layers.ts";

/** Element types inside an op graph. */
export type ElementType = "float32" | "uint8" | "int8" | "int32" | "int64" | "bool";

/** Zero padding of the two spatial axes. */
export type Pads = readonly [top: number, left: number, bottom: number, right: number];

/** The geometry of a window that slides over an image. */
export interface Window {
  readonly strides: Size2;
  readonly pads: Pads;
}

/** Rounding of numbers to bytes: x ≈ (q − zeroPoint)·scale, q from 0 to 255. */
export interface ByteScale {
  /** Above 0. */
  readonly scale: number;
  /** The byte of 0, so that zeros, as of padding, stay exact. */
  readonly zeroPoint: number;
}

/**
 * The operators of the second graph: channels first (NCHW), each small enough for one shape rule, one gradient rule,
 * one rule of the interpreter and one way to write it in ONNX. After adding a member, TypeScript reports the tables
 * that need an entry. `x [N, C, H, W]` unless noted otherwise; elementwise operators broadcast as in NumPy.
 */
export type OpConfig =
  /** x, w `[K, C/groups, kh, kw]`, optional bias `[K]` → `[N, K, H', W']`. */
  | ({ readonly kind: "conv"; readonly groups: number } & Window)
  /** dy, w → gradient of a conv's x, of `inputShape`. */
  | ({ readonly kind: "convInputGradient"; readonly groups: number; readonly inputShape: Shape } & Window)
  /** x, dy → gradient of a conv's w, of `kernelShape`, summed over the batch. */
  | ({ readonly kind: "convFilterGradient"; readonly groups: number; readonly kernelShape: Shape } & Window)
  /** x, gamma, beta, mean, variance → gamma·(x − mean)/√(variance + ε) + beta. */
  | { readonly kind: "batchNormalization"; readonly epsilon: number }
  /** x, gamma, beta → y, and the batch's mean and (biased) variance per channel. */
  | { readonly kind: "batchNormalizationTraining"; readonly epsilon: number }
  /** dy, x, gamma, mean, variance of the above → dx, dgamma, dbeta, the statistics' dependence on x included. */
  | { readonly kind: "batchNormalizationGradient"; readonly epsilon: number }
  /** dy, x, mean, variance → dgamma = Σ dy·(x − mean)/√(variance + ε) and dbeta = Σ dy, whatever the statistics are. */
  | { readonly kind: "batchNormalizationAffineGradient"; readonly epsilon: number }
  /** x → the means of x and of x², per channel. */
  | { readonly kind: "channelMoments" }
  /** x, y of equal shape, and scale, shift, factor, each `[C]` → factor·(scale·x + shift + y). */
  | { readonly kind: "scaledSum" }
  /** x → y; padding never wins. */
  | ({ readonly kind: "maxPool"; readonly kernel: Size2 } & Window)
  /** dy, x, y → dx; the first maximum of each window in row-major order gets the gradient. */
  | ({ readonly kind: "maxPoolGradient"; readonly kernel: Size2 } & Window)
  /** x → y; the mean of a window's pixels inside the image. */
  | ({ readonly kind: "averagePool"; readonly kernel: Size2 } & Window)
  /** x → x with zeros around each image. */
  | { readonly kind: "pad"; readonly pads: Pads }
  | { readonly kind: "relu" }
  /** dy, y → dy where y > 0, else 0. */
  | { readonly kind: "reluGradient" }
  /** x where x > 0, else eˣ − 1. */
  | { readonly kind: "elu" }
  /** dy, y → dy·(min(y, 0) + 1). */
  | { readonly kind: "eluGradient" }
  /** x where x > 0, else slope·x; the slope is at least 0. */
  | { readonly kind: "leakyRelu"; readonly slope: number }
  /** dy, y → dy where y > 0, else slope·dy. */
  | { readonly kind: "leakyReluGradient"; readonly slope: number }
  | { readonly kind: "sigmoid" }
  | { readonly kind: "exp" }
  | { readonly kind: "log" }
  | { readonly kind: "sqrt" }
  | { readonly kind: "softplus" }
  | { readonly kind: "add" }
  | { readonly kind: "subtract" }
  | { readonly kind: "multiply" }
  | { readonly kind: "divide" }
  | { readonly kind: "minimum" }
  | { readonly kind: "maximum" }
  /** Over the last axis. */
  | { readonly kind: "softmax" }
  | { readonly kind: "logSoftmax" }
  /** At least one axis, in ascending order. */
  | { readonly kind: "reduceSum"; readonly axes: readonly number[]; readonly keepDims: boolean }
  | { readonly kind: "reduceMean"; readonly axes: readonly number[]; readonly keepDims: boolean }
  /** Two matrices, `[M, K] · [K, N] → [M, N]` after the transpositions. */
  | { readonly kind: "matMul"; readonly transposeA: boolean; readonly transposeB: boolean }
  | { readonly kind: "transpose"; readonly permutation: readonly number[] }
  | { readonly kind: "reshape"; readonly shape: Shape }
  /** Stretches axes of size 1. */
  | { readonly kind: "expand"; readonly shape: Shape }
  /** Elements from `start` to `end` (exclusive) along an axis. */
  | { readonly kind: "slice"; readonly axis: number; readonly start: number; readonly end: number }
  /** x `[N]` → `[⌈N/step⌉]`: its first element, and each `step` elements later. */
  | { readonly kind: "everyNth"; readonly step: number }
  /** Any number of values, concatenated along an axis. */
  | { readonly kind: "concatenate"; readonly axis: number }
  | { readonly kind: "cast"; readonly to: ElementType }
  /** x, scale `[]` → uint8: x/scale rounded half to even, plus the zero point, limited to 0 … 255. */
  | { readonly kind: "quantizeLinear"; readonly zeroPoint: number }
  /** Integers q, scale → float32 (q − zeroPoint)·scale; the scale is one number, or one for each index of `axis`. */
  | { readonly kind: "dequantizeLinear"; readonly zeroPoint: number; readonly axis: number }
  /** x → the nearest number that a byte stands for: a multiple of the scale from −zeroPoint·scale to (255 − zeroPoint)·scale. */
  | ({ readonly kind: "fakeQuantize" } & ByteScale)
  /** dy, x → dy where x lies within the range of the above, else 0. */
  | ({ readonly kind: "fakeQuantizeGradient" } & ByteScale)
  /** w → the nearest of 2·largest + 1 numbers, evenly spaced from −m to m; m is the largest magnitude over `axes`. */
  | { readonly kind: "fakeQuantizeKernel"; readonly axes: readonly number[]; readonly largest: number }
  /**
   * x → its mean over all ranks; x itself if there is only one. The engine cannot compute it: the graph is cut into
   * stages there, see `stagesOf`.
   */
  | { readonly kind: "allReduceMean" };

/** Kind of an operator. */
export type OpKind = OpConfig["kind"];
export type OpOf<K extends OpKind> = Extract<OpConfig, { readonly kind: K }>;

/** A computed, fed or stored tensor: an edge of the op graph. */
export interface Value {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: Shape;
}

/** A node of the op graph. */
export interface Operation {
  readonly config: OpConfig;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** A value known when the graph is built. */
export interface Constant extends Value {
  readonly type: "float32";
  readonly data: Float32Array;
}

/** A network, or a training step, as operators in the order of computation. */
export interface OpGraph {
  /** Fed on each run: images, labels, the learning rate. */
  readonly inputs: readonly Value[];
  /** The network's weights, in the engine's layout; the compiler decides whether they are fed or stored. */
  readonly parameters: readonly Value[];
  readonly constants: readonly Constant[];
  readonly operations: readonly Operation[];
  /** Public name → value. */
  readonly outputs: ReadonlyMap<string, Value>;
}

/** The operators that read each value, by its name, in the order of computation; twice if it is read twice. */
export function readersOf(graph: OpGraph): ReadonlyMap<string, readonly Operation[]> {
  const readers = new Map<string, Operation[]>();
  for (const operation of graph.operations) {
    for (const { name } of operation.inputs) {
      const known = readers.get(name);
      if (known) known.push(operation);
      else readers.set(name, [operation]);
    }
  }
  return readers;
}

/** Names of all values that depend on the named ones, including these. */
export function dependents(graph: OpGraph, names: Iterable<string>): ReadonlySet<string> {
  const found = new Set(names);
  for (const { inputs, outputs } of graph.operations) {
    if (inputs.some((input) => found.has(input.name))) for (const output of outputs) found.add(output.name);
  }
  return found;
}
