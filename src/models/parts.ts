import { UsageError } from "../base/errors.ts";
import type { Layer, Network } from "../graph/network.ts";
import { layersOf, networkOfLayers } from "./layer-list.ts";

/** The block of the layers after the last feature maps. */
export const topBlock = "top";

/**
 * The block of each layer, by the layer's name: `block13` for `block13_sepconv1` and all layers up to the next block, even
 * with other names (`conv2d_3`, `add_11`); `mixed7` for all layers that Inception joins there. Each layer before the first
 * block is a block under its own name; the last global pooling and all layers after it are the block `top`.
 */
export function blocksOf({ layers }: Network): ReadonlyMap<string, string> {
  const top = topIndex({ layers }) ?? layers.length;
  const joined = inceptionBlocks(layers.slice(0, top));
  let block: string | undefined;
  return new Map(
    layers.map(({ name }, index) => {
      if (index >= top) return [name, topBlock];
      block = /^(block\d+)(_|$)/.exec(name)?.[1] ?? joined[index] ?? block;
      return [name, block ?? name];
    }),
  );
}

/** By layer, the name of the concatenation that ends its block; undefined in the stem, before the branches begin. */
function inceptionBlocks(layers: readonly Layer[]): readonly (string | undefined)[] {
  const read = layers.flatMap(({ inbound }) => inbound);
  const stem = layers.findIndex(({ name }) => read.indexOf(name) !== read.lastIndexOf(name));
  let end: string | undefined;
  const ends = layers.toReversed().map(({ name }) => {
    if (/^mixed\d+$/.test(name)) end = name;
    return end;
  });
  return ends.toReversed().map((name, index) => (index > stem ? name : undefined));
}

/** Index of the last global pooling, if there is one. */
export function topIndex({ layers }: Pick<Network, "layers">): number | undefined {
  const index = layers.findLastIndex(({ config }) => config.type.startsWith("Global"));
  return index < 0 ? undefined : index;
}

/**
 * Attaches the top of a network (the last global pooling and all layers after it) to an earlier layer, and drops the layers
 * between them.
 * @param place name of a layer with feature maps, or of a block, which stands for its last layer: `block13`, `add_11`.
 * @throws {UsageError} there is no such layer, it has no feature maps, or the network has no top.
 */
export function topOn(network: Network, place: string): Network {
  const top = topIndex(network);
  const layer = layerAt(network, place);
  if (top === undefined || network.layers.indexOf(layer) >= top || layer.outputShape.length !== 3) {
    throw new UsageError({
      where: `network "${network.name}"`,
      what: "the classifier cannot be attached there",
      received: place,
      expected: "a layer of feature maps before the last global pooling",
    });
  }
  const kept = new Set([layer.name]);
  for (const { name, inbound } of network.layers.toReversed()) {
    if (kept.has(name)) for (const source of inbound) kept.add(source);
  }
  const { layers, ...rest } = layersOf(network);
  const [pooling, ...others] = layers.slice(top);
  const body = layers.slice(0, top).filter(({ name }) => kept.has(name));
  return networkOfLayers({ ...rest, layers: [...body, { ...pooling!, inbound: [layer.name] }, ...others] });
}

/**
 * The layer of a name, or the last one of a block.
 * @throws {UsageError} there is none.
 */
export function layerAt(network: Network, place: string): Layer {
  const blocks = blocksOf(network);
  const found =
    network.layers.find(({ name }) => name === place) ??
    network.layers.findLast(({ name }) => blocks.get(name) === place);
  if (found) return found;
  throw new UsageError({
    where: `network "${network.name}"`,
    what: "it has no layer and no block of this name",
    received: place,
    expected: `one of ${[...new Set(blocks.values())].join(", ")}, or a layer that xception summary lists`,
  });
}
