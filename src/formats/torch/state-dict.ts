import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { Network } from "../../graph/network.ts";
import { fromTorchLayout, torchShape, toTorchLayout } from "../../graph/torch-layout.ts";
import type { Weights } from "../../graph/weights.ts";
import { type Architecture, buildNetwork, familyOf } from "../../models/registry.ts";
import { isUnusedInTimm, recognizeTimm, timmDifferences, timmNames, timmNamesOf } from "../../models/timm-names.ts";
import { sameShape, sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor, type LazyTensor, type Tensor } from "../../tensor/tensor.ts";
import { type FileContents, type FileFormat, metadataKey } from "../format.ts";
import type { StoredLayer, StoredWeight } from "../map-weights.ts";
import { decodeFloats, type EncodedTensor } from "../number-formats.ts";
import { readSafetensors, writeSafetensors } from "../safetensors.ts";
import { signatures } from "../signatures.ts";
import { readTorch } from "./file.ts";

/** `.safetensors` of timm: a `state_dict`. */
export const safetensorsFormat: FileFormat = {
  ...signatures.safetensors,
  async read({ bytes, where }) {
    const { tensors, metadata: texts } = readSafetensors(bytes, where);
    const named = [...tensors].map(([path, encoded]) => ({ path, shape: encoded.shape, read: () => encoded }));
    const metadata = texts.get(metadataKey);
    if (metadata === undefined) return stateDict("safetensors", named, []);
    const layers: FileContents["layers"] = (network) => ({ layers: layersFromTimm(network, byTimmNames(named)) });
    return { format: "safetensors", layers, metadata };
  },
};

/** `.pth` and `.pt` of PyTorch. */
export const torchFormat: FileFormat = {
  ...signatures.torch,
  async read({ bytes, where, key }) {
    const { container, tensors, under } = readTorch(bytes, where, key);
    const named = [...tensors].map(([path, tensor]) => ({ path, ...tensor }));
    const place = under.length === 0 ? [] : [`The weights under "${under.join(" / ")}" of the checkpoint were loaded.`];
    return stateDict(container === "zip" ? "PyTorch" : "PyTorch legacy", named, place);
  },
};

function stateDict(format: string, named: readonly NamedTensor[], notes: readonly string[]): FileContents {
  const tensors = byTimmNames(named);
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  const found = recognizeTimm(shapes);
  const layers: FileContents["layers"] = (network) => ({ layers: layersFromTimm(network, tensors) });
  if (found === undefined) {
    return { format, layers, stored: () => named.map(({ path, shape }) => ({ name: path, shape })), notes };
  }
  const { cropRatio } = found;
  const numbers = familyOf(found.architecture)!.preprocessing;
  return {
    format: `${format}, ${found.name}`,
    layers,
    describedNetwork: (inputShape) => {
      const { architecture } = recognizeTimm(shapes, inputShape)!;
      return { network: buildNetwork(architecture), architecture };
    },
    preprocessing: { ...numbers, interpolation: "bicubic", fit: "cover", cropRatio },
    preprocessingNote: `Images are prepared as timm does for its published weights: resized (bicubic), cropped to the central ${100 * cropRatio} % of each side, and scaled to -1 ... 1.`,
    notes,
  };
}

interface NamedTensor extends LazyTensor<EncodedTensor> {
  /** Its name in the file. */
  readonly path: string;
}

/**
 * Tensors by their names in timm: without prefixes that all names share, such as `module.` of parallel training, and
 * with `last_linear`, the classifier of the first Xception for PyTorch, renamed to timm's `fc`.
 */
function byTimmNames(tensors: readonly NamedTensor[]): ReadonlyMap<string, NamedTensor> {
  const names = tensors.map(({ path }) => path);
  let prefix = "";
  for (;;) {
    const [first = ""] = names;
    const next = first.slice(0, first.indexOf(".", prefix.length) + 1);
    if (next.length <= prefix.length || !names.every((name) => name.startsWith(next))) break;
    prefix = next;
  }
  return new Map(tensors.map((tensor) => [tensor.path.slice(prefix.length).replace(/^last_linear\./, "fc."), tensor]));
}

/**
 * The layers of a network with their weights from a `state_dict`; layers without any are omitted. Surplus tensors follow
 * under their names in the file.
 * @throws {UsageError} timm has no such network.
 */
function layersFromTimm(network: Network, tensors: ReadonlyMap<string, NamedTensor>): readonly StoredLayer[] {
  const places = new Map<string, string>();
  const counters = new Set<string>();
  for (const { name, weight } of timmNamesOf(network)) {
    if (weight) places.set(weight.name, name);
    else counters.add(name);
  }
  const taken = new Set<string>();
  const layers = network.layers.flatMap(({ name, weights }): readonly StoredLayer[] => {
    const found = weights.map((spec): StoredWeight => {
      const place = places.get(spec.name)!;
      const tensor = tensors.get(place);
      if (!tensor) return { path: place };
      taken.add(place);
      return { path: tensor.path, tensor: inOurLayout(spec, tensor) };
    });
    return found.some(({ tensor }) => tensor) ? [{ name, weights: found }] : [];
  });
  const isKnown = (name: string) => taken.has(name) || counters.has(name) || isUnusedInTimm(name);
  const others = [...tensors].filter(([name]) => !isKnown(name));
  const rest = others.map(([, tensor]): StoredLayer => {
    return { name: tensor.path, weights: [{ path: tensor.path, tensor: decodeFloats(tensor.read()) }] };
  });
  return [...layers, ...rest];
}

/** Tensors with another number of axes stay as they are; their shape is then an error. */
function inOurLayout(spec: WeightSpec, { read }: NamedTensor): FloatTensor {
  const tensor = decodeFloats(read());
  const shape = torchShape(spec);
  // Files from before timm have pointwise kernels without their 1×1 window.
  const isBare = tensor.shape.length === 2 && sameShape([...tensor.shape, 1, 1], shape);
  const complete = isBare ? floatTensor(shape, tensor.data) : tensor;
  return complete.shape.length === shape.length && sizeOf(shape) > 0 ? fromTorchLayout(spec, complete) : complete;
}

/**
 * Writes weights as timm's `.safetensors` does: under timm's names, in PyTorch's layout.
 * @throws {UsageError} timm has no such network.
 */
export function writeTimm(architecture: Architecture, weights: Weights, document: string): Uint8Array {
  const tensors = new Map<string, Tensor>();
  for (const { name, weight } of timmNames(architecture)) {
    // The number of batches that updated a batch normalization, which is unknown.
    if (weight === undefined) tensors.set(name, { type: "int64", shape: [], data: BigInt64Array.of(0n) });
    else tensors.set(name, toTorchLayout(weight, weights.get(weight.name)!));
  }
  const metadata = new Map([
    ["format", "pt"],
    [metadataKey, document],
  ]);
  return writeSafetensors(tensors, metadata);
}

/** Differences between timm's network and one with the same weights, in sentences. */
export function timmNotes(architecture: Architecture): string[] {
  const found = timmDifferences(architecture);
  if (found.length === 0) return [];
  const texts = found.map(({ option, values: [theirs, ours] }) => `${option} ${theirs}, this model ${ours}`);
  return [`timm's network has ${texts.join("; ")}: its predictions will differ slightly.`];
}
