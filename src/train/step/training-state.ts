import { UsageError } from "../../base/errors.ts";
import type { DeviceTensor, Session } from "../../base/platform.ts";
import { compileGraph } from "../../compiler/compile.ts";
import type { WeightSpec } from "../../graph/layer-weights.ts";
import { OpGraphBuilder } from "../../graph/op-builder.ts";
import { checkWeights, engineShape, toEngineLayout, type Weights } from "../../graph/weights.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";

/** A tensor of a training step: a weight, a moving statistic, an optimizer slot or an average. */
export interface StateEntry {
  /** Name of the graph's input; its successor is the output `next/<name>`. */
  readonly name: string;
  readonly weight: WeightSpec;
  /** Name of the optimizer's slot, or `averageSlot`; undefined for the weight itself. */
  readonly slot?: string;
  /** In the engine's layout. */
  readonly shape: readonly number[];
}

/** Name of the slot that holds a weight's average. */
export const averageSlot = "average";

/** State of a training step; a step restored from it continues exactly like the original one. */
export interface TrainingState {
  /**
   * Weights by name, frozen ones included, and slots as `<weight>#<slot>`, all in the engine's layout. Must not be written
   * to; no step does.
   */
  readonly tensors: ReadonlyMap<string, FloatTensor>;
  /** Number of steps done. */
  readonly steps: number;
}

/** The state entry of a weight itself. */
export function weightEntry(weight: WeightSpec): StateEntry {
  return { name: weight.name, weight, shape: engineShape(weight) };
}

/** The state before the first step: copies of the weights (Keras's layout), also as their averages; slots are 0. */
export function initialState(entries: readonly StateEntry[], weights: Weights): TrainingState {
  const tensors = entries.map(({ name, weight, slot, shape }): [string, FloatTensor] => {
    if (slot !== undefined && slot !== averageSlot) return [name, floatTensor(shape)];
    const tensor = toEngineLayout(weight, weights.get(weight.name)!);
    return [name, floatTensor(tensor.shape, tensor.data.slice())];
  });
  return { tensors: new Map(tensors), steps: 0 };
}

/** @throws {WeightsError} the state is not that of a step with these entries. */
export function checkState(network: string, entries: readonly StateEntry[], { tensors }: TrainingState): void {
  const remedy = "Create the step with the network and the options (optimizer and the rest) that the state comes from.";
  checkWeights(`training state of ${network}`, entries, tensors, remedy);
}

/** A tensor of the state: in main memory, or in the device's. */
export type StateTensor = FloatTensor | DeviceTensor;

/** State up to this size is returned by each step, to be checked. */
export const largestLookedAt = 16_384;

/** Returns true if a tensor is in device memory. */
export function isOnDevice(tensor: StateTensor): tensor is DeviceTensor {
  return "device" in tensor;
}

/** Names of the entries worth keeping on the device between steps. */
export function worthKeeping(
  entries: readonly { readonly name: string; readonly shape: readonly number[] }[],
): string[] {
  return entries.filter(({ shape }) => sizeOf(shape) > largestLookedAt).map(({ name }) => name);
}

/** Frees tensors on the device. */
export function disposeState(state: ReadonlyMap<string, StateTensor>): void {
  for (const tensor of state.values()) if (isOnDevice(tensor)) tensor.dispose();
}

/** The state of a training step, in main memory and on the device. */
export class StateMemory {
  readonly #createSession: (model: Uint8Array) => Promise<Session>;
  #tensors: ReadonlyMap<string, StateTensor>;
  /** All of it in main memory, once fetched. */
  #fetched: ReadonlyMap<string, FloatTensor> | undefined;
  #reader: Session | undefined;

  /** @param createSession loads a model on the device of the state. */
  constructor(tensors: ReadonlyMap<string, FloatTensor>, createSession: (model: Uint8Array) => Promise<Session>) {
    this.#tensors = tensors;
    this.#fetched = tensors;
    this.#createSession = createSession;
  }

  get tensors(): ReadonlyMap<string, StateTensor> {
    return this.#tensors;
  }

  /** @throws {UsageError} some of it is on a device and was not fetched. */
  get here(): ReadonlyMap<string, FloatTensor> {
    if (this.#fetched) return this.#fetched;
    throw new UsageError({
      where: "training step",
      what: "its weights are in the memory of the device that computes",
      remedy: "Call `await step.fetch()` before asking for its state or weights.",
    });
  }

  /** Replaces the state by that after a step, and frees the old one. */
  replace(next: ReadonlyMap<string, StateTensor>): void {
    disposeState(this.#tensors);
    this.#tensors = next;
    this.#fetched = isAllHere(next) ? next : undefined;
  }

  async fetch(): Promise<ReadonlyMap<string, FloatTensor>> {
    this.#fetched ??= await this.read(this.#tensors);
    return this.#fetched;
  }

  /**
   * Copies a state of this step to main memory. A handle can only be read by a model that returns its inputs; to a session
   * of another device it would be a wrong address.
   */
  async read(state: ReadonlyMap<string, StateTensor>): Promise<ReadonlyMap<string, FloatTensor>> {
    if (isAllHere(state)) return state;
    const away = [...state].flatMap(([name, tensor]) => (isOnDevice(tensor) ? [[name, tensor] as const] : []));
    this.#reader ??= await this.#createSession(readingModel(away));
    const { tensors } = await this.#reader.runOnDevice!(Object.fromEntries(away));
    return new Map([...state].map(([name, tensor]) => [name, (tensors[outputOf(name)] ?? tensor) as FloatTensor]));
  }

  async dispose(): Promise<void> {
    disposeState(this.#tensors);
    await this.#reader?.dispose();
  }
}

function isAllHere(state: ReadonlyMap<string, StateTensor>): state is ReadonlyMap<string, FloatTensor> {
  return [...state.values()].every((tensor) => !isOnDevice(tensor));
}

function readingModel(tensors: readonly (readonly [string, DeviceTensor])[]): Uint8Array {
  const build = new OpGraphBuilder();
  const one = build.constant(1);
  for (const [name, { shape }] of tensors) {
    build.output(outputOf(name), build.op({ kind: "multiply" }, [build.input(name, shape), one], outputOf(name)));
  }
  return compileGraph(build.finish(), new Map(), { form: "exact" });
}

function outputOf(name: string): string {
  return `${name}/read`;
}
