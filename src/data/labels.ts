import { UsageError } from "../errors.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";
import type { Sample } from "./dataset.ts";

/**
 * Labels as the probabilities a network is trained towards: `[N]` → `[N, classes]`.
 * @param smoothing share of the probability that is spread evenly over all classes, from 0 to 1 (exclusive).
 * @throws {UsageError} the smoothing or a label is out of its range.
 * @see https://arxiv.org/abs/1512.00567 section 7, label smoothing
 * @example oneHot([1], 2, 0.1).data // [0.05, 0.95]
 */
export function oneHot(labels: ArrayLike<number>, classes: number, smoothing = 0): FloatTensor {
  return targetsOf(
    Array.from(labels, (label) => ({ label })),
    classes,
    smoothing,
  );
}

/**
 * What a network is trained towards: `[N, classes]`. Samples with one label are as in {@link oneHot}; of those with a set of
 * labels each class is a yes or no of its own, 1 or 0, moved towards ½ by the smoothing.
 * @throws as {@link oneHot}.
 */
export function targetsOf(
  samples: readonly Pick<Sample, "label" | "labels">[],
  classes: number,
  smoothing = 0,
): FloatTensor {
  if (!(smoothing >= 0 && smoothing < 1)) refuse("label smoothing", smoothing, "a number from 0 to below 1");
  const targets = new Float32Array(samples.length * classes);
  for (const [row, { label, labels }] of samples.entries()) {
    const lowest = labels ? smoothing / 2 : smoothing / classes;
    const target = targets.subarray(row * classes, (row + 1) * classes).fill(lowest);
    for (const present of labels ?? [label]) {
      if (!Number.isInteger(present) || present < 0 || present >= classes) {
        refuse("label", present, `a whole number from 0 to ${classes - 1}`);
      }
      target[present] = 1 - smoothing + lowest;
    }
  }
  return floatTensor([samples.length, classes], targets);
}

function refuse(what: string, received: number, expected: string): never {
  throw new UsageError({ where: "oneHot", what: `the ${what} is not allowed`, received, expected });
}
