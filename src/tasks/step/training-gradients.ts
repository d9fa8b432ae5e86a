import { gradient } from "../../compiler/gradient.ts";
import { recompute } from "../../compiler/recompute.ts";
import type { Network } from "../../graph/network.ts";
import type { Value } from "../../graph/ops.ts";
import { type ForwardGraph, forwardGraph } from "./training-forward.ts";
import { type TrainingGraphOptions, trainingNames } from "./training-graph-options.ts";

/** The first half of a training step: forward, loss, gradients; these are outputs too, as `gradient/<weight>`. */
export interface GradientGraph extends ForwardGraph {
  /** By weight. */
  readonly gradients: ReadonlyMap<string, Value>;
}

/**
 * Composes lower → loss → gradient.
 * @throws {UsageError} no weight trains.
 */
export function gradientGraph(network: Network, options: TrainingGraphOptions): GradientGraph {
  const forward = forwardGraph(network, options);
  const names = forward.trained.map(({ name }) => name);
  const { graph, gradients } = gradient(forward.graph, trainingNames.loss, names);
  const frugal = options.recompute ? recompute(graph, forward.graph.operations.length) : graph;
  return { ...forward, graph: frugal, gradients };
}
