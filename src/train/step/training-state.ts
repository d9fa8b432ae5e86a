import { UsageError } from "../../base/errors.ts";
import type { DeviceTensor, Platform, Session, SessionOptions } from "../../base/platform.ts";
import { compileGraph } from "../../compiler/compile.ts";
import type { Weights } from "../../graph/initialize.ts";
import type { WeightSpec } from "../../graph/layer-weights.ts";
import { OpGraphBuilder } from "../../graph/op-builder.ts";
import { checkWeights, engineShape, toEngineLayout } from "../../graph/weights.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";

/** A tensor that belongs to a training step: a weight, a moving statistic, a slot of the optimizer, an average. */
export interface StateEntry {
  /** Name of the graph's input; its successor, if it changes, is the output `next/<name>`. */
  readonly name: string;
  readonly weight: WeightSpec;
  /** Name of the optimizer's slot, or `averageSlot`; undefined for the weight itself. */
  readonly slot?: string;
  /** In the engine's layout. */
  readonly shape: readonly number[];
}

/** Name of the slot that holds a weight's average. */
export const averageSlot = "average";

/** All that a training step remembers: a step restored from it continues exactly like the one it was taken from. */
export interface TrainingState {
  /**
   * Weights under their names, frozen ones too, and slots as `<weight>#<slot>`, all in the engine's layout. No step writes
   * into tensors that it has handed out, and nobody else should.
   */
  readonly tensors: ReadonlyMap<string, FloatTensor>;
  /** Number of steps done. */
  readonly steps: number;
}

/** The weight itself, as a part of the state. */
export function weightEntry(weight: WeightSpec): StateEntry {
  return { name: weight.name, weight, shape: engineShape(weight) };
}

/** The state before the first step: the given weights (Keras's layout), copied, as their own averages; zeros in slots. */
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

/** A part of a training step's state: here, or in the memory of the device that computes. */
export type StateTensor = FloatTensor | DeviceTensor;

/** Up to this size state comes back from each step: it is looked at, and small. */
export const largestLookedAt = 16_384;

/** Whether a tensor lies in a device's own memory. */
export function isOnDevice(tensor: StateTensor): tensor is DeviceTensor {
  return "device" in tensor;
}

/** The names of what is worth leaving on the device from one step to the next. */
export function worthKeeping(
  entries: readonly { readonly name: string; readonly shape: readonly number[] }[],
): string[] {
  return entries.filter(({ shape }) => sizeOf(shape) > largestLookedAt).map(({ name }) => name);
}

/** Gives back what lies on the device. */
export function disposeState(state: ReadonlyMap<string, StateTensor>): void {
  for (const tensor of state.values()) if (isOnDevice(tensor)) tensor.dispose();
}

/** Where a training step is told to compute. */
interface Place {
  readonly platform: Platform;
  readonly session?: SessionOptions | undefined;
}

/** The state of a training step, wherever its parts lie. */
export class StateMemory {
  readonly #place: Place;
  #tensors: ReadonlyMap<string, StateTensor>;
  /** All of it here, once it was fetched. */
  #fetched: ReadonlyMap<string, FloatTensor> | undefined;
  #reader: Session | undefined;

  constructor(tensors: ReadonlyMap<string, FloatTensor>, place: Place) {
    this.#tensors = tensors;
    this.#fetched = tensors;
    this.#place = place;
  }

  get tensors(): ReadonlyMap<string, StateTensor> {
    return this.#tensors;
  }

  /** @throws {UsageError} some of it is on a device, and was not fetched. */
  get here(): ReadonlyMap<string, FloatTensor> {
    if (this.#fetched) return this.#fetched;
    throw new UsageError({
      where: "training step",
      what: "its weights are in the memory of the device that computes",
      remedy: "Call `await step.fetch()` before asking for its state or weights.",
    });
  }

  /** What comes after a step; memory of what was before it is given back. */
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
   * Any state of this step with all of it here. A handle has no other way to be read than by a model that hands out what goes
   * in; to a session of another device it would be a wrong address.
   */
  async read(state: ReadonlyMap<string, StateTensor>): Promise<ReadonlyMap<string, FloatTensor>> {
    if (isAllHere(state)) return state;
    const away = [...state].flatMap(([name, tensor]) => (isOnDevice(tensor) ? [[name, tensor] as const] : []));
    const { platform, session } = this.#place;
    this.#reader ??= await platform.engine.createSession(readingModel(away), { ...session, profile: false });
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
