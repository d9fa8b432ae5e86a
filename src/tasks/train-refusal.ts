import { TrainingError } from "../errors.ts";
import type { FloatTensor } from "../tensor/tensor.ts";

/**
 * Refuses weights that no step can repair.
 * @param weights by name, in any layout; the optimizer's memory (`<weight>#<slot>`) is not looked at.
 * @throws {TrainingError} one is no finite number.
 */
export function refuseBrokenWeights(
  weights: ReadonlyMap<string, FloatTensor>,
  place: string,
  learningRate: number,
): void {
  for (const [name, { data }] of weights) {
    if (name.includes("#")) continue;
    const broken = data.find((value) => !Number.isFinite(value));
    if (broken !== undefined) refuseDiverged(place, `weight "${name}"`, broken, learningRate);
  }
}

/** @throws {TrainingError} always: a number of the training is none any more. */
export function refuseDiverged(place: string, subject: string, received: number, learningRate: number): never {
  const lower = Number((learningRate / 10).toPrecision(3));
  throw new TrainingError({
    where: `training, ${place}`,
    what: `${subject} is no finite number any more`,
    received,
    remedy: `The steps were too large: use a lower learning rate, e.g. ${lower} instead of ${learningRate}.`,
  });
}
