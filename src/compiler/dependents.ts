import type { OpGraph } from "../graph/ops.ts";

/** Names of all values that change when one of the named ones does, these included. */
export function dependents(graph: OpGraph, names: Iterable<string>): ReadonlySet<string> {
  const found = new Set(names);
  for (const { inputs, outputs } of graph.operations) {
    if (inputs.some((input) => found.has(input.name))) for (const output of outputs) found.add(output.name);
  }
  return found;
}
