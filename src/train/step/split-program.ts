import type { DeviceResults, ProfileEvent, Session, Tensors } from "../../base/platform.ts";
import { type Stage, stagesOf } from "../../compiler/stages.ts";
import type { OpGraph, Value } from "../../graph/ops.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../tensor/tensor.ts";
import type { ProgramFeeds, StepProgram } from "./step-program.ts";
import type { SplitTrainingGraph } from "./training-graph.ts";
import { trainingNames } from "./training-graph-options.ts";

/**
 * Replaces the numbers of a buffer by their means over all machines that train together. It holds the gradients of all
 * trained weights, the batch's mean and variance of each normalization by the batch, and the loss.
 */
export type Reduce = (buffer: Float32Array) => Promise<void>;

/**
 * A step that is two graphs, with the gradients of its batches, and of several ranks, averaged between them.
 *
 * Normalizations by the batch see their own batch only; their moving statistics follow the averages of the batches' means and
 * variances. Everything else is as if all of them had been one batch.
 */
export class SplitProgram implements StepProgram {
  readonly #forward: Session;
  readonly #update: Session;
  readonly #reduce: Reduce | undefined;
  /** Names of weights that the forward graph reads. */
  readonly #weights: readonly string[];
  /** Gradients, statistics and the loss, side by side. */
  readonly #buffer: Float32Array;
  /** Views of the buffer by the name of the input and output. */
  readonly #views: ReadonlyMap<string, FloatTensor>;

  constructor(
    forward: Session,
    update: Session,
    { forward: graph, exchanged, frozen }: SplitTrainingGraph,
    reduce?: Reduce,
  ) {
    this.#forward = forward;
    this.#update = update;
    this.#reduce = reduce;
    const stored = new Set(frozen.map(({ name }) => name));
    this.#weights = graph.parameters.flatMap(({ name }) => (stored.has(name) ? [] : [name]));
    const parts = [...exchanged, { name: trainingNames.loss, shape: [] }];
    const buffer = new Float32Array(parts.reduce((sum, { shape }) => sum + sizeOf(shape), 0));
    let offset = 0;
    this.#views = new Map(
      parts.map(({ name, shape }) => {
        const start = offset;
        offset += sizeOf(shape);
        return [name, floatTensor(shape, buffer.subarray(start, offset))];
      }),
    );
    this.#buffer = buffer;
  }

  /** Its state is never on a device: nothing of it was kept there. */
  async run({ state, scalars, batches }: ProgramFeeds): Promise<DeviceResults> {
    const here = Object.fromEntries(state) as Readonly<Record<string, FloatTensor>>;
    const weights = Object.fromEntries(this.#weights.map((name) => [name, here[name]!]));
    const logits: FloatTensor[] = [];
    let first: Tensors = {};
    for (const batch of batches) {
      const results = await this.#forward.run({ ...weights, ...batch });
      const add = logits.length === 0 ? copyTo : addTo;
      for (const [name, { data }] of this.#views) add(data, results[name]!.data as Float32Array);
      if (logits.length === 0) first = results;
      logits.push(results[trainingNames.logits] as FloatTensor);
    }
    if (batches.length > 1) scale(this.#buffer, 1 / batches.length);
    await this.#reduce?.(this.#buffer);
    const { [trainingNames.loss]: loss, ...exchanged } = Object.fromEntries(this.#views);
    const updated = await this.#update.run({ ...here, ...scalars, ...exchanged });
    const tensors = { ...first, ...exchanged, loss: loss!, ...updated, [trainingNames.logits]: stacked(logits) };
    return { tensors, kept: {} };
  }

  async endProfiling(): Promise<readonly ProfileEvent[]> {
    return [...(await this.#forward.endProfiling()), ...(await this.#update.endProfiling())];
  }

  async dispose(): Promise<void> {
    await this.#forward.dispose();
    await this.#update.dispose();
  }
}

function copyTo(sum: Float32Array, values: Float32Array): void {
  sum.set(values);
}

function addTo(sum: Float32Array, values: Float32Array): void {
  for (let index = 0; index < values.length; index++) sum[index]! += values[index]!;
}

function scale(values: Float32Array, factor: number): void {
  for (let index = 0; index < values.length; index++) values[index]! *= factor;
}

function stacked(parts: readonly FloatTensor[]): FloatTensor {
  const [first] = parts as readonly [FloatTensor];
  if (parts.length === 1) return first;
  const data = new Float32Array(first.data.length * parts.length);
  for (const [index, part] of parts.entries()) data.set(part.data, index * first.data.length);
  return floatTensor([first.shape[0]! * parts.length, ...first.shape.slice(1)], data);
}

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
