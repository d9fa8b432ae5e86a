import { FormatError } from "../errors.ts";
import type { StoredLayer, StoredWeight } from "./stored-layers.ts";

/** Where in a layer a weight stands, in Keras's order, after the operation that reads it. */
const places: readonly (readonly [operation: RegExp, place: number])[] = [
  [/^separable_conv2d\/ReadVariableOp$/, 0],
  [/^separable_conv2d\/ReadVariableOp_1$/, 1],
  [/^(Conv2D|MatMul)\/ReadVariableOp$/, 0],
  [/^BiasAdd\/ReadVariableOp$/, 2],
  [/^FusedBatchNorm(V\d)?\/ReadVariableOp$/, 2],
  [/^FusedBatchNorm(V\d)?\/ReadVariableOp_1$/, 3],
  [/^ReadVariableOp$/, 0],
  [/^ReadVariableOp_1$/, 1],
];

/**
 * The layers of a graph model, whose weights are called after the operations that read them:
 * `StatefulPartitionedCall/xception/block1_conv1/Conv2D/ReadVariableOp`. What else a graph has (shapes, axes) is left out.
 * @throws {FormatError} the converter has multiplied batch normalizations into convolutions, or no name is known.
 */
export function layersOfGraph(weights: readonly StoredWeight[], where: string): StoredLayer[] {
  const folded = weights.find(({ path }) => path.endsWith("_bn_offset"));
  if (folded) {
    throw new FormatError({
      where,
      what: "the converter has folded the batch normalizations into the convolutions, whose own weights are lost",
      received: folded.path,
      expected: "a weight for each of the network's",
      remedy: "Convert the model that it was made from: Keras's file itself, or as a layers model.",
    });
  }
  const layers = new Map<string, [place: number, weight: StoredWeight][]>();
  for (const weight of weights) {
    const found = layerAndPlace(weight.path);
    if (!found) continue;
    const layer = layers.get(found.layer);
    if (layer) layer.push([found.place, weight]);
    else layers.set(found.layer, [[found.place, weight]]);
  }
  if (layers.size === 0) {
    throw new FormatError({
      where,
      what: "the weights of this graph model have no names that say which layers they belong to",
      received: weights.slice(0, 3).map(({ path }) => path),
      expected: "names like model/block1_conv1/Conv2D/ReadVariableOp",
      remedy: "Convert the model that it was made from: Keras's file itself, or as a layers model.",
    });
  }
  return [...layers].map(([name, found]) => ({
    name,
    weights: found.sort(([a], [b]) => a - b).map(([, weight]) => weight),
  }));
}

function layerAndPlace(path: string): { layer: string; place: number } | undefined {
  const parts = path.split("/");
  for (const length of [2, 1]) {
    const operation = parts.slice(-length).join("/");
    const layer = parts.at(-length - 1);
    const place = places.find(([known]) => known.test(operation))?.[1];
    if (place !== undefined && layer) return { layer, place };
  }
  return undefined;
}
