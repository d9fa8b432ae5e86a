import type { Network } from "../../graph/network.ts";
import type { GraphStep } from "../../weights/graphs/graph-steps.ts";
import { matchGraph } from "../../weights/graphs/match-graph.ts";
import type { StoredWeight } from "../../weights/stored-layers.ts";
import type { FoundLayers } from "./weights-file.ts";

/**
 * The weights of somebody else's graph as layers of a network.
 * @throws {FormatError} the graph is another network.
 */
export function layersOfGraph(steps: readonly GraphStep<StoredWeight>[], network: Network, where: string): FoundLayers {
  const { folded, ...found } = matchGraph(steps, network, where);
  if (folded === 0) return found;
  const note =
    `The file's batch normalizations (${folded}) were folded into its kernels; they are set to neutral values here. ` +
    "Fine-tuning works; training statistics start anew.";
  return { ...found, notes: [note] };
}
