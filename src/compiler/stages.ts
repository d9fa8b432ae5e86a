import type { Operation, OpGraph, Value } from "../graph/ops.ts";

/** A part of a graph that runs without communication between ranks. */
export interface Stage {
  /**
   * Its inputs are inputs of the whole graph and values of earlier stages; its outputs are the values needed by the
   * exchange, by later stages or as the whole graph's outputs, each under its own name.
   */
  readonly graph: OpGraph;
  /** Exchanges after the stage: the mean of `local` over all ranks becomes `mean` in later stages. */
  readonly exchanged: readonly { readonly local: Value; readonly mean: Value }[];
}

/**
 * Cuts a graph at its `allReduceMean` operators into as few stages as possible: values are exchanged together where they
 * can. A graph without such operators is one stage.
 */
export function stagesOf(graph: OpGraph): readonly Stage[] {
  const producedIn = new Map<string, number>();
  const stages: { operations: Operation[]; exchanged: { local: Value; mean: Value }[] }[] = [];
  for (const operation of graph.operations) {
    const stage = Math.max(0, ...operation.inputs.map(({ name }) => producedIn.get(name) ?? 0));
    const isExchange = operation.config.kind === "allReduceMean";
    while (stages.length <= (isExchange ? stage + 1 : stage)) stages.push({ operations: [], exchanged: [] });
    for (const { name } of operation.outputs) producedIn.set(name, isExchange ? stage + 1 : stage);
    if (isExchange) stages[stage]!.exchanged.push({ local: operation.inputs[0]!, mean: operation.outputs[0]! });
    else stages[stage]!.operations.push(operation);
  }
  const neededAfter = valuesReadAfter(graph, stages);
  return stages.map((stage, index) => ({
    exchanged: stage.exchanged,
    graph: stageGraph(graph, stage.operations, neededAfter[index]!, producedIn),
  }));
}

type StageParts = Pick<Stage, "exchanged"> & { readonly operations: readonly Operation[] };

/** For each stage, the names of the values that are read after it. */
function valuesReadAfter(graph: OpGraph, stages: readonly StageParts[]): readonly ReadonlySet<string>[] {
  const read = new Set([...graph.outputs.values()].map(({ name }) => name));
  return stages
    .toReversed()
    .map(({ operations, exchanged }) => {
      for (const { local } of exchanged) read.add(local.name);
      const after = new Set(read);
      for (const { inputs } of operations) for (const { name } of inputs) read.add(name);
      return after;
    })
    .toReversed();
}

function stageGraph(
  whole: OpGraph,
  operations: readonly Operation[],
  neededAfter: ReadonlySet<string>,
  producedIn: ReadonlyMap<string, number>,
): OpGraph {
  const made = operations.flatMap(({ outputs }) => outputs);
  const madeNames = new Set(made.map(({ name }) => name));
  const read = new Map(operations.flatMap(({ inputs }) => inputs.map((value) => [value.name, value] as const)));
  const isRead = ({ name }: Value) => read.has(name);
  const earlier = [...read.values()].filter(({ name }) => producedIn.has(name) && !madeNames.has(name));
  return {
    inputs: [...whole.inputs.filter(isRead), ...earlier],
    parameters: whole.parameters.filter(isRead),
    constants: whole.constants.filter(isRead),
    operations,
    outputs: new Map(made.filter(({ name }) => neededAfter.has(name)).map((value) => [value.name, value])),
  };
}
