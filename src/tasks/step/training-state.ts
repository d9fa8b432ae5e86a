import type { WeightSpec } from "../../graph/layer-weights.ts";
import { checkWeights, engineShape, toEngineLayout } from "../../graph/weights.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import type { Weights } from "../../weights/initialize.ts";

/** A tensor that belongs to a training step: a weight, a moving statistic, a slot of the optimizer, an average. */
export interface StateEntry {
  /** Name of the graph's input; its successor, if it changes, is the output `next/<name>`. */
  readonly name: string;
  readonly weight: WeightSpec;
  /** Name of the optimizer's slot, or {@link averageSlot}; undefined for the weight itself. */
  readonly slot?: string;
  /** In the engine's layout. */
  readonly shape: readonly number[];
}

/** Name of the slot that holds a weight's average. */
export const averageSlot = "average";

/** All that a training step remembers: a step restored from it goes on exactly as the one it was taken from. */
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
