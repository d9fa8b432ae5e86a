import { type WeightDifferences, WeightsError } from "../base/errors.ts";
import { formatShape, type Shape, sameShape } from "../tensor/shape.ts";
import { type FloatTensor, type LazyTensor, transpose } from "../tensor/tensor.ts";
import type { WeightRole, WeightSpec } from "./layer-weights.ts";
import { type Network, networkWeights } from "./network.ts";

/** Types in which files store kernels; all are float32 in memory. */
export const storedTypes = ["float32", "float16", "int8"] as const;

/** A type in which files store kernels. */
export type StoredType = (typeof storedTypes)[number];

/** Suffixes of model files, before the extension; transformers.js looks for `_fp16`. */
export const storedTypeSuffixes = { float32: "", float16: "_fp16", int8: "_int8_weights" } as const;

/** The weights of a network by name (`layer/weight`), in Keras's layout. */
export type Weights = ReadonlyMap<string, FloatTensor>;

/**
 * The engine's (ONNX) kernel layout, from Keras's: `[kh, kw, in, out] → [out, in, kh, kw]`, depthwise `[kh, kw,
 * channels, 1] → [channels, 1, kh, kw]`. Dense kernels and vectors are the same in both.
 */
const permutations: { readonly [R in WeightRole]?: readonly number[] } = {
  kernel: [3, 2, 0, 1],
  pointwiseKernel: [3, 2, 0, 1],
  depthwiseKernel: [2, 3, 0, 1],
};

/** Shape of a weight in the engine's layout. */
export function engineShape({ role, shape }: WeightSpec): Shape {
  return permutations[role]?.map((axis) => shape[axis]!) ?? shape;
}

/** Converts a weight from Keras's layout to the engine's; returns the same object if the layouts agree. */
export function toEngineLayout({ role }: WeightSpec, tensor: FloatTensor): FloatTensor {
  const permutation = permutations[role];
  return permutation ? transpose(tensor, permutation) : tensor;
}

/** Converts a weight from the engine's layout to Keras's; returns the same object if the layouts agree. */
export function fromEngineLayout({ role }: WeightSpec, tensor: FloatTensor): FloatTensor {
  const permutation = permutations[role];
  if (!permutation) return tensor;
  return transpose(
    tensor,
    permutation.map((_, axis) => permutation.indexOf(axis)),
  );
}

/**
 * Converts a network's weights to the engine's layout, under the same names.
 * @throws {WeightsError} they are not the network's.
 */
export function toEngineWeights(network: Network, weights: Weights): ReadonlyMap<string, FloatTensor> {
  const specs = networkWeights(network);
  checkWeights(`weights of ${network.name}`, specs, weights);
  return new Map(specs.map((spec) => [spec.name, toEngineLayout(spec, weights.get(spec.name)!)]));
}

/**
 * Converts a network's weights from the engine's layout to Keras's; other tensors are ignored.
 * @param where name of the source in errors, e.g. a file.
 * @throws {WeightsError} a weight is missing or has another shape.
 */
export function fromEngineWeights(network: Network, tensors: ReadonlyMap<string, LazyTensor>, where: string): Weights {
  checkEngineWeights(network, tensors, where);
  // Converted one by one, so that not all are in memory twice.
  return new Map(
    networkWeights(network).map((spec) => [spec.name, fromEngineLayout(spec, tensors.get(spec.name)!.read())]),
  );
}

/**
 * Asserts that tensors in the engine's layout include a network's weights.
 * @throws as {@link fromEngineWeights}.
 */
export function checkEngineWeights(
  network: Network,
  tensors: ReadonlyMap<string, { readonly shape: Shape }>,
  where: string,
): void {
  const stored = networkWeights(network).map((spec) => ({ name: spec.name, shape: engineShape(spec) }));
  const own = stored.flatMap(({ name }) => (tensors.has(name) ? [[name, tensors.get(name)!] as const] : []));
  checkWeights(where, stored, new Map(own));
}

/** Number of names of each kind that a message lists. */
const listed = 5;

/**
 * Asserts that weights match a network's: all of them and no others.
 * @param where name of the weights in errors.
 * @param remedy how the caller can fix it.
 * @param absent missing files, by the name of the weight stored in them.
 * @throws {WeightsError} with up to three lists: missing, unexpected, wrong shape.
 */
export function checkWeights(
  where: string,
  expected: readonly { readonly name: string; readonly shape: Shape }[],
  received: ReadonlyMap<string, { readonly shape: Shape }>,
  remedy = "Check the network's options: variant, width, classes and the rest must be those it was trained with.",
  absent: ReadonlyMap<string, readonly string[]> = new Map(),
): void {
  const { missing, unexpected, wrongShape } = weightDifferences(expected, received);
  const absentOr = (name: string) =>
    absent.has(name) ? `${name} (there is no ${absent.get(name)!.join(", ")})` : name;
  const problems = [
    list("missing", missing.map(absentOr)),
    list("unexpected", unexpected),
    list("of another shape", wrongShape),
  ];
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length === 0) return;
  const what = `they are not the weights of this network; ${found.join("; ")}`;
  throw new WeightsError({ where, what, remedy }, { missing, unexpected, wrongShape });
}

/** Compares weights with those of a network, by name and shape. */
export function weightDifferences(
  expected: readonly { readonly name: string; readonly shape: Shape }[],
  received: ReadonlyMap<string, { readonly shape: Shape }>,
): WeightDifferences {
  const names = new Set(expected.map(({ name }) => name));
  return {
    missing: expected.filter(({ name }) => !received.has(name)).map(({ name }) => name),
    unexpected: [...received.keys()].filter((name) => !names.has(name)),
    wrongShape: expected.flatMap(({ name, shape }) => {
      const tensor = received.get(name);
      if (tensor === undefined || sameShape(tensor.shape, shape)) return [];
      return [`${name} (${formatShape(tensor.shape)} instead of ${formatShape(shape)})`];
    }),
  };
}

function list(kind: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const more = names.length > listed ? ` and ${names.length - listed} more` : "";
  return `${kind}: ${names.slice(0, listed).join(", ")}${more}`;
}
