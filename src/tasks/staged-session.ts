import { toOnnx } from "../compiler/onnx.ts";
import { type Stage, stagesOf } from "../compiler/stages.ts";
import type { OpGraph, Value } from "../graph/ops.ts";
import type { Communicator, Platform, Session, SessionOptions, Tensors } from "../platform.ts";
import { sizeOf } from "../tensor/shape.ts";
import { floatTensor, type Tensor } from "../tensor/tensor.ts";

export interface StagedSessionOptions {
  readonly platform: Pick<Platform, "createSession">;
  readonly communicator: Communicator;
  /** As for `toOnnx`. */
  readonly blockSize?: number | undefined;
  readonly session?: SessionOptions | undefined;
}

/**
 * Loads a graph that averages values over several processes (`allReduceMean`): the parts between two exchanges are models of
 * the engine, one after the other. All processes have to run it the same number of times.
 */
export async function createStagedSession(graph: OpGraph, options: StagedSessionOptions): Promise<Session> {
  const { platform, communicator, blockSize, session } = options;
  const stages = stagesOf(graph);
  const sessions: (Session | undefined)[] = [];
  for (const { graph: part } of stages) {
    const isEmpty = part.operations.length === 0;
    sessions.push(isEmpty ? undefined : await platform.createSession(toOnnx(part, { blockSize }), session));
  }
  return new StagedSession(graph, stages, sessions, communicator);
}

class StagedSession implements Session {
  readonly #graph: OpGraph;
  readonly #stages: readonly Stage[];
  readonly #sessions: readonly (Session | undefined)[];
  readonly #communicator: Communicator;

  constructor(
    graph: OpGraph,
    stages: readonly Stage[],
    sessions: readonly (Session | undefined)[],
    communicator: Communicator,
  ) {
    this.#graph = graph;
    this.#stages = stages;
    this.#sessions = sessions;
    this.#communicator = communicator;
  }

  async run(feeds: Tensors): Promise<Tensors> {
    const known = new Map<string, Tensor>(Object.entries(feeds));
    const tensorOf = ({ name }: Value): [string, Tensor] => [name, known.get(name)!];
    for (const [index, { graph, exchanged }] of this.#stages.entries()) {
      const inputs = [...graph.inputs, ...graph.parameters];
      const results = await this.#sessions[index]?.run(Object.fromEntries(inputs.map(tensorOf)));
      for (const [name, tensor] of Object.entries(results ?? {})) known.set(name, tensor);
      for (const [name, tensor] of this.#average(exchanged, known)) known.set(name, tensor);
    }
    return Object.fromEntries([...this.#graph.outputs].map(([name, value]) => [name, known.get(value.name)!]));
  }

  /** All values of an exchange travel as one message: latency counts more than another copy in memory. */
  #average(exchanged: Stage["exchanged"], known: ReadonlyMap<string, Tensor>): [string, Tensor][] {
    if (exchanged.length === 0) return [];
    const message = new Float32Array(exchanged.reduce((sum, { local }) => sum + sizeOf(local.shape), 0));
    let offset = 0;
    for (const { local } of exchanged) {
      message.set(known.get(local.name)!.data as Float32Array, offset);
      offset += sizeOf(local.shape);
    }
    this.#communicator.sum(message);
    for (let index = 0; index < message.length; index++) message[index]! /= this.#communicator.size;
    offset = 0;
    return exchanged.map(({ mean: { name, shape } }) => {
      const end = offset + sizeOf(shape);
      const tensor = floatTensor(shape, message.slice(offset, end));
      offset = end;
      return [name, tensor];
    });
  }

  async endProfiling() {
    return (await Promise.all(this.#sessions.map((session) => session?.endProfiling() ?? []))).flat();
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions) await session?.dispose();
  }
}
