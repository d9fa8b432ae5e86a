import { type Network, outputActivation } from "../../graph/network.ts";

/** A part of a network, and the layer whose output stands for it. */
export interface Block {
  readonly name: string;
  readonly layer: string;
}

/** Where a part of a network without numbered blocks ends. */
const ends: ReadonlySet<string> = new Set(["Add", "MaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"]);

/**
 * The parts of a network in their order: its blocks, where layers are called `block1_…`, each up to the last layer of its
 * name; else what lies between sums and poolings, named after the layer at its end.
 */
export function comparedBlocks(network: Network): readonly Block[] {
  const numbered = new Map<string, string>();
  for (const { name } of network.layers) {
    const block = /^block\d+/.exec(name)?.[0];
    if (block !== undefined) numbered.set(block, name);
  }
  if (numbered.size >= 2) return [...numbered].map(([name, layer]) => ({ name, layer }));
  return network.layers.filter(({ config }) => ends.has(config.type)).map(({ name }) => ({ name, layer: name }));
}

/** Whether a network ends in probabilities, from 0 to 1. */
export function givesProbabilities(network: Network): boolean {
  return ["softmax", "sigmoid"].includes(outputActivation(network));
}
