import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { Network } from "../../graph/network.ts";
import { fromTorchLayout, torchShape } from "../../graph/torch-layout.ts";
import { timmNamesOf } from "../../models/timm-names.ts";
import { type Shape, sameShape, sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import type { StoredLayer, StoredWeight } from "../../weights/map-weights.ts";
import { decodeFloats, type EncodedTensor } from "../../weights/number-formats.ts";

/** A tensor whose numbers are read when they are asked for. */
export interface NamedTensor {
  /** As the file calls it. */
  readonly path: string;
  readonly shape: Shape;
  readonly read: () => EncodedTensor;
}

/**
 * Tensors by the names that timm gives them: wrappers like `module.` of parallel training, which all names begin with, are
 * left out, and the classifier of the first Xception for PyTorch, `last_linear`, is called as timm calls it.
 */
export function byTimmNames(tensors: readonly NamedTensor[]): ReadonlyMap<string, NamedTensor> {
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
 * The layers of a network with their weights from a `state_dict`; one of which nothing is there is left out. What the network
 * has no place for comes at the end under the file's names.
 * @throws {UsageError} timm has no such network.
 */
export function layersFromTimm(network: Network, tensors: ReadonlyMap<string, NamedTensor>): readonly StoredLayer[] {
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
  const others = [...tensors].filter(([name]) => !taken.has(name) && !counters.has(name));
  const rest = others.map(([, tensor]): StoredLayer => {
    return { name: tensor.path, weights: [{ path: tensor.path, tensor: decodeFloats(tensor.read()) }] };
  });
  return [...layers, ...rest];
}

/** A tensor of another number of axes stays as it is, and is then refused for its shape. */
function inOurLayout(spec: WeightSpec, { read }: NamedTensor): FloatTensor {
  const tensor = decodeFloats(read());
  const shape = torchShape(spec);
  // Files of before timm have pointwise kernels without their window of 1×1.
  const isBare = tensor.shape.length === 2 && sameShape([...tensor.shape, 1, 1], shape);
  const complete = isBare ? floatTensor(shape, tensor.data) : tensor;
  return complete.shape.length === shape.length && sizeOf(shape) > 0 ? fromTorchLayout(spec, complete) : complete;
}
