import type { Network } from "../../graph/network.ts";
import type { GraphStep } from "../../weights/graph-parts.ts";
import type { StoredWeight } from "../../weights/map-weights.ts";
import { matchGraph } from "../../weights/match-graph.ts";
import type { FoundLayers } from "./weights-file.ts";

/**
 * The weights of somebody else's graph as layers of a network.
 * @throws {FormatError} the graph is another network.
 */
export function layersOfGraph(steps: readonly GraphStep<StoredWeight>[], network: Network, where: string): FoundLayers {
  return matchGraph(steps, network, where);
}
