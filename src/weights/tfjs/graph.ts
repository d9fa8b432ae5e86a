import { FormatError } from "../../errors.ts";
import type { GraphStep } from "../graphs/graph-steps.ts";
import type { StoredLayer, StoredWeight } from "../stored-layers.ts";
import { tfjsSteps } from "./steps.ts";

/** What a graph model holds. */
export interface TfjsGraph {
  /** Its layers by the names of their weights; none if names do not tell. */
  readonly layers: readonly StoredLayer[];
  /** Its operations, if the file has them. */
  readonly steps?: readonly GraphStep<StoredWeight>[];
}

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
 * Reads a graph model, whose weights are called after the operations that read them:
 * `StatefulPartitionedCall/xception/block1_conv1/Conv2D/ReadVariableOp`. What else a graph has (shapes, axes) is left out.
 * Where the converter has multiplied batch normalizations into convolutions, only the operations tell what weights are.
 * @throws {FormatError} neither names nor operations tell, or an operation is damaged.
 */
export function readTfjsGraph(weights: readonly StoredWeight[], nodes: unknown, where: string): TfjsGraph {
  const isFolded = weights.some(({ path }) => path.endsWith("_bn_offset"));
  const layers = isFolded ? [] : namedLayers(weights);
  if (Array.isArray(nodes) && nodes.length > 0) return { layers, steps: tfjsSteps(nodes, weights, where) };
  if (layers.length > 0) return { layers };
  throw new FormatError({
    where,
    what: "neither operations nor names of this graph model say which layers its weights belong to",
    received: weights.slice(0, 3).map(({ path }) => path),
    expected: "nodes, or names like model/block1_conv1/Conv2D/ReadVariableOp",
    remedy: "Convert the model that it was made from: Keras's file itself, or as a layers model.",
  });
}

function namedLayers(weights: readonly StoredWeight[]): readonly StoredLayer[] {
  const layers = new Map<string, [place: number, weight: StoredWeight][]>();
  for (const weight of weights) {
    const found = layerAndPlace(weight.path);
    if (!found) continue;
    const layer = layers.get(found.layer);
    if (layer) layer.push([found.place, weight]);
    else layers.set(found.layer, [[found.place, weight]]);
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
