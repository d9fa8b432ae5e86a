import { FormatError } from "../../errors.ts";

/**
 * What an operation does, as far as it matters to weights. `scale` and `offset` have a number for each channel; `view` gives
 * the same numbers in another order.
 */
export type StepKind = "convolution" | "depthwise" | "dense" | "normalization" | "scale" | "offset" | "view" | "other";

/** One operation of a graph, whoever wrote it; `W` is what stands for a weight. */
export interface GraphStep<W> {
  readonly kind: StepKind;
  /** Names of the values that it reads. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Kernel and, if there is one, bias; gamma, beta, mean and variance; the one vector of a `scale` or `offset`. */
  readonly weights: readonly W[];
}

/**
 * Steps in an order in which each comes after those whose outputs it reads: their own, where that is one.
 * @throws {FormatError} the graph has a cycle.
 */
export function sortedSteps<W>(steps: readonly GraphStep<W>[], where: string): readonly GraphStep<W>[] {
  const makers = new Map(steps.flatMap((step) => step.outputs.map((name) => [name, step] as const)));
  const sorted = new Set<GraphStep<W>>();
  const begun = new Set<GraphStep<W>>();
  for (const first of steps) {
    const waiting = [first];
    for (let step = waiting.at(-1); step !== undefined; step = waiting.at(-1)) {
      const isFirstVisit = !begun.has(step);
      begun.add(step);
      const needed = isFirstVisit ? step.inputs.flatMap((name) => makers.get(name) ?? []) : [];
      const open = needed.filter((each) => !sorted.has(each));
      if (open.some((each) => begun.has(each))) {
        throw new FormatError({ where, what: "its graph has a cycle", received: step.outputs });
      }
      waiting.push(...open.reverse());
      if (open.length > 0) continue;
      waiting.pop();
      sorted.add(step);
    }
  }
  return [...sorted];
}
