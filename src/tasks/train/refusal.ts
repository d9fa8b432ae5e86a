import { TrainingError } from "../../errors.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import type { Fault } from "../step/training-diagnosis.ts";

/** The highest learning rate of a training, and one that usually works with its optimizer. */
export interface LearningRates {
  readonly learningRate: number;
  readonly usualRate: number;
}

/**
 * Refuses weights that no step can repair.
 * @param weights by name, in any layout; the optimizer's memory (`<weight>#<slot>`) is not looked at.
 * @throws {TrainingError} one is no finite number.
 */
export function assertFiniteWeights(
  weights: ReadonlyMap<string, FloatTensor>,
  place: string,
  rates: LearningRates,
): void {
  for (const [name, { data }] of weights) {
    if (name.includes("#")) continue;
    const broken = data.find((value) => !Number.isFinite(value));
    if (broken !== undefined) throwDiverged(place, `weight "${name}"`, broken, rates);
  }
}

/**
 * Refuses a step whose loss or new weights are no finite numbers.
 * @param fault where that began; undefined for the optimizer's update.
 * @throws {TrainingError} always.
 */
export function throwBrokenStep(place: string, loss: number, fault: Fault | undefined, rates: LearningRates): never {
  if (!Number.isFinite(loss)) throwDiverged(place, "the loss", loss, rates, describe(fault));
  throwDiverged(place, "a new weight", undefined, rates, describe(fault));
}

function describe(fault: Fault | undefined): string {
  if (!fault) return ", from the optimizer's update on";
  const { kind, layer, name } = fault;
  if (kind === "weight") return `, because of weight "${name}"`;
  if (kind === "input") return `, because of the batch's ${name}`;
  if (kind === "loss") return "";
  return `, from the ${kind} of layer "${layer}" on`;
}

function throwDiverged(place: string, subject: string, received: unknown, rates: LearningRates, began = ""): never {
  const { learningRate, usualRate } = rates;
  const lower = Math.min(Number((learningRate / 10).toPrecision(3)), usualRate);
  throw new TrainingError({
    where: `training, ${place}`,
    what: `${subject} is no finite number any more${began}`,
    received,
    remedy: `The steps were too large: use a lower learning rate, e.g. ${lower} instead of ${learningRate}.`,
  });
}
