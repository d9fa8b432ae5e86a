import type { Network } from "../graph/network.ts";

/** What stands on the last feature maps, as a block. */
export const topBlock = "top";

/**
 * The block of each layer, by the layer's name: `block13` for `block13_sepconv1` and for what follows up to the next block,
 * be it named so or not (`conv2d_3`, `add_11`). What comes before all blocks is a block of its own, under its own name;
 * the last global pooling and what follows is the block `top`.
 */
export function blocksOf({ layers }: Network): ReadonlyMap<string, string> {
  const top = topIndex({ layers });
  let block: string | undefined;
  return new Map(
    layers.map(({ name }, index) => {
      if (top !== undefined && index >= top) return [name, topBlock];
      block = /^(block\d+)(_|$)/.exec(name)?.[1] ?? block;
      return [name, block ?? name];
    }),
  );
}

/** Place of the last global pooling; undefined where there is none. */
export function topIndex({ layers }: Pick<Network, "layers">): number | undefined {
  const index = layers.findLastIndex(({ config }) => config.type.startsWith("Global"));
  return index < 0 ? undefined : index;
}
