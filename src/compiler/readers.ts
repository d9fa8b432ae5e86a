import type { Operation, OpGraph } from "../graph/ops.ts";

/** The operators that read each value, by its name, in the order of computation; twice if it is read twice. */
export function readersOf(graph: OpGraph): ReadonlyMap<string, readonly Operation[]> {
  const readers = new Map<string, Operation[]>();
  for (const operation of graph.operations) {
    for (const { name } of operation.inputs) {
      const known = readers.get(name);
      if (known) known.push(operation);
      else readers.set(name, [operation]);
    }
  }
  return readers;
}

/** Names of all values that change when one of the named ones does, these included. */
export function dependents(graph: OpGraph, names: Iterable<string>): ReadonlySet<string> {
  const found = new Set(names);
  for (const { inputs, outputs } of graph.operations) {
    if (inputs.some((input) => found.has(input.name))) for (const output of outputs) found.add(output.name);
  }
  return found;
}
