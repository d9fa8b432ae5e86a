import { DataError, ShapeError, TrainingError } from "../errors.ts";
import { formatShape } from "../tensor/shape.ts";
import type { FloatTensor } from "../tensor/tensor.ts";

/** Least probability that enters a logarithm, as in Keras: one image costs at most −ln 1e-7 ≈ 16.1. */
export const leastProbability = 1e-7;

/** @throws {ShapeError} the probabilities do not fit the classes, or there are fewer rows than images. */
export function checkRows({ shape }: FloatTensor, images: number, classes: number): void {
  const [rows = 0, columns] = shape;
  if (shape.length === 2 && columns === classes && rows >= images) return;
  throw new ShapeError({
    where: "EvaluationTally.add",
    what: "the probabilities do not fit the labels",
    received: formatShape(shape),
    expected: `at least ${images}×${classes}`,
  });
}

/** @throws {DataError} a true class is not one of the labels. */
export function checkTruth(truth: number, classes: number): void {
  if (Number.isInteger(truth) && truth >= 0 && truth < classes) return;
  throw new DataError({
    where: "EvaluationTally.add",
    what: "the true class is not one of the network's",
    received: truth,
    expected: `0 to ${classes - 1}`,
  });
}

/** A NaN compares as "not higher" with everything: without this check it would count as a right answer. */
export function checkFinite(scores: Float32Array): void {
  if (scores.every(Number.isFinite)) return;
  throw new TrainingError({
    where: "EvaluationTally.add",
    what: "the network's probabilities are not finite numbers",
    received: `[${scores.join(", ")}]`,
    remedy: "Its weights have probably diverged: train again with a lower learning rate.",
  });
}
