import type { Session, Tensors } from "../../base/platform.ts";
import { type Stage, stagesOf } from "../../compiler/stages.ts";
import type { OpGraph, Value } from "../../graph/ops.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../tensor/tensor.ts";
import type { StepProgram } from "./step-program.ts";
import type { SplitTrainingGraph } from "./training-graph.ts";
import { trainingNames } from "./training-graph-options.ts";

/**
 * Replaces the numbers of a buffer by their means over all ranks. It holds the gradients of all trained weights, the batch
 * mean and variance of each normalization by the batch, and the loss.
 */
export type Reduce = (buffer: Float32Array) => Promise<void>;

/**
 * A step that is two graphs, between which the gradients of its micro-batches, and of several ranks, are averaged.
 *
 * Normalizations by the batch see only their own micro-batch; their moving statistics follow the averages of its means and
 * variances. Everything else is as if all of them had been one batch.
 */
export function splitProgram(
  forward: Session,
  update: Session,
  { forward: graph, exchanged, frozen }: SplitTrainingGraph,
  reduce?: Reduce,
): StepProgram {
  const stored = new Set(frozen.map(({ name }) => name));
  const read = graph.parameters.filter(({ name }) => !stored.has(name));
  const parts = [...exchanged, { name: trainingNames.loss, shape: [] }];
  const starts = startsOf(parts);
  /** Gradients, statistics and the loss, side by side. */
  const buffer = new Float32Array(starts.at(-1)!);
  const views = parts.map(({ name, shape }, index) => {
    return [name, floatTensor(shape, buffer.subarray(starts[index], starts[index + 1]))] as const;
  });
  return {
    // The state is never on a device: nothing of it was kept there.
    run: async ({ state, scalars, batches }) => {
      const here = Object.fromEntries(state) as Readonly<Record<string, FloatTensor>>;
      const weights = Object.fromEntries(read.map(({ name }) => [name, here[name]!]));
      const logits: FloatTensor[] = [];
      let first: Tensors = {};
      for (const batch of batches) {
        const results = await forward.run({ ...weights, ...batch });
        const add = logits.length === 0 ? copyTo : addTo;
        for (const [name, { data }] of views) add(data, results[name]!.data as Float32Array);
        if (logits.length === 0) first = results;
        logits.push(results[trainingNames.logits] as FloatTensor);
      }
      if (batches.length > 1) scale(buffer, 1 / batches.length);
      await reduce?.(buffer);
      const { [trainingNames.loss]: loss, ...averaged } = Object.fromEntries(views);
      const updated = await update.run({ ...here, ...scalars, ...averaged });
      const tensors = { ...first, ...averaged, loss: loss!, ...updated, [trainingNames.logits]: stacked(logits) };
      return { tensors, kept: {} };
    },
    endProfiling: async () => [...(await forward.endProfiling()), ...(await update.endProfiling())],
    dispose: async () => {
      await forward.dispose();
      await update.dispose();
    },
  };
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
 * Loads a graph that averages values over all ranks (`allReduceMean`): the parts between two exchanges are models of the
 * engine, run in sequence. All ranks have to run it the same number of times.
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
  return {
    run: async (feeds) => {
      const known = new Map<string, Tensor>(Object.entries(feeds));
      for (const [index, { graph: part, exchanged }] of stages.entries()) {
        // A parameter that nobody feeds is stored in the model.
        const inputs = [...part.inputs, ...part.parameters].filter(({ name }) => known.has(name));
        const results = await sessions[index]?.run(
          Object.fromEntries(inputs.map(({ name }) => [name, known.get(name)!])),
        );
        for (const [name, tensor] of Object.entries(results ?? {})) known.set(name, tensor);
        await average(exchanged, known, reduce);
      }
      return Object.fromEntries([...graph.outputs].map(([name, value]) => [name, known.get(value.name)!]));
    },
    endProfiling: async () => (await Promise.all(sessions.map((session) => session?.endProfiling() ?? []))).flat(),
    dispose: async () => {
      for (const session of sessions) await session?.dispose();
    },
  };
}

/** Sends all values of an exchange as one message: latency costs more than another copy in memory. */
async function average(exchanged: Stage["exchanged"], known: Map<string, Tensor>, reduce: Reduce): Promise<void> {
  if (exchanged.length === 0) return;
  const starts = startsOf(exchanged.map(({ local }) => local));
  const message = new Float32Array(starts.at(-1)!);
  for (const [index, { local }] of exchanged.entries()) {
    message.set(known.get(local.name)!.data as Float32Array, starts[index]);
  }
  await reduce(message);
  for (const [index, { mean }] of exchanged.entries()) {
    known.set(mean.name, floatTensor(mean.shape, message.slice(starts[index], starts[index + 1])));
  }
}

/** Start of each value in a message, and the end of the last one. */
function startsOf(values: readonly Pick<Value, "shape">[]): readonly number[] {
  const starts = [0];
  for (const { shape } of values) starts.push(starts.at(-1)! + sizeOf(shape));
  return starts;
}
