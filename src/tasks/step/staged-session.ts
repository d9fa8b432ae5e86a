import { type Stage, stagesOf } from "../../compiler/stages.ts";
import type { OpGraph, Value } from "../../graph/ops.ts";
import type { Session, Tensors } from "../../platform.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { floatTensor, type Tensor } from "../../tensor/tensor.ts";
import type { Reduce } from "./split-program.ts";

/**
 * Loads a graph that averages values over several machines (`allReduceMean`): the parts between two exchanges are models of
 * the engine, one after the other. All machines have to run it the same number of times.
 * @param load loads one part.
 */
export async function createStagedSession(
  graph: OpGraph,
  load: (part: OpGraph) => Promise<Session>,
  reduce: Reduce,
): Promise<Session> {
  const stages = stagesOf(graph);
  const sessions: (Session | undefined)[] = [];
  for (const { graph: part } of stages) sessions.push(part.operations.length === 0 ? undefined : await load(part));
  return new StagedSession(graph, stages, sessions, reduce);
}

class StagedSession implements Session {
  readonly #graph: OpGraph;
  readonly #stages: readonly Stage[];
  readonly #sessions: readonly (Session | undefined)[];
  readonly #reduce: Reduce;

  constructor(graph: OpGraph, stages: readonly Stage[], sessions: readonly (Session | undefined)[], reduce: Reduce) {
    this.#graph = graph;
    this.#stages = stages;
    this.#sessions = sessions;
    this.#reduce = reduce;
  }

  async run(feeds: Tensors): Promise<Tensors> {
    const known = new Map<string, Tensor>(Object.entries(feeds));
    for (const [index, { graph, exchanged }] of this.#stages.entries()) {
      // A parameter that nobody feeds is stored in the model.
      const inputs = [...graph.inputs, ...graph.parameters].filter(({ name }) => known.has(name));
      const part = Object.fromEntries(inputs.map(({ name }) => [name, known.get(name)!]));
      const results = await this.#sessions[index]?.run(part);
      for (const [name, tensor] of Object.entries(results ?? {})) known.set(name, tensor);
      for (const [name, tensor] of await this.#average(exchanged, known)) known.set(name, tensor);
    }
    return Object.fromEntries([...this.#graph.outputs].map(([name, value]) => [name, known.get(value.name)!]));
  }

  /** All values of an exchange travel as one message: latency counts more than another copy in memory. */
  async #average(exchanged: Stage["exchanged"], known: ReadonlyMap<string, Tensor>): Promise<[string, Tensor][]> {
    if (exchanged.length === 0) return [];
    const starts = startsOf(exchanged.map(({ local }) => local));
    const message = new Float32Array(starts.at(-1)!);
    for (const [index, { local }] of exchanged.entries()) {
      message.set(known.get(local.name)!.data as Float32Array, starts[index]);
    }
    await this.#reduce(message);
    return exchanged.map(({ mean: { name, shape } }, index) => {
      return [name, floatTensor(shape, message.slice(starts[index], starts[index + 1]))];
    });
  }

  async endProfiling() {
    return (await Promise.all(this.#sessions.map((session) => session?.endProfiling() ?? []))).flat();
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions) await session?.dispose();
  }
}

/** Where each value begins in a message, and where the last one ends. */
function startsOf(values: readonly Value[]): readonly number[] {
  const starts = [0];
  for (const { shape } of values) starts.push(starts.at(-1)! + sizeOf(shape));
  return starts;
}
