import { UsageError } from "../errors.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";

/**
 * Labels as the probabilities a network is trained towards: `[N]` → `[N, classes]`.
 * @param smoothing share of the probability that is spread evenly over all classes, from 0 to 1 (exclusive).
 * @throws {UsageError} the smoothing or a label is out of its range.
 * @see https://arxiv.org/abs/1512.00567 section 7, label smoothing
 * @example oneHot([1], 2, 0.1).data // [0.05, 0.95]
 */
export function oneHot(labels: ArrayLike<number>, classes: number, smoothing = 0): FloatTensor {
  if (!(smoothing >= 0 && smoothing < 1)) refuse("label smoothing", smoothing, "a number from 0 to below 1");
  const probabilities = new Float32Array(labels.length * classes).fill(smoothing / classes);
  for (let row = 0; row < labels.length; row++) {
    const label = labels[row]!;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      refuse("label", label, `a whole number from 0 to ${classes - 1}`);
    }
    probabilities[row * classes + label] = 1 - smoothing + smoothing / classes;
  }
  return floatTensor([labels.length, classes], probabilities);
}

function refuse(what: string, received: number, expected: string): never {
  throw new UsageError({ where: "oneHot", what: `the ${what} is not allowed`, received, expected });
}
