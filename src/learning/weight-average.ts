import { assertOption, number } from "../kinds.ts";

/** How much of the old average of each weight is kept at a step; steps count from 1. */
export type AverageDecay = (step: number) => number;

/**
 * An exponential average with a warm-up, so that the initial weights do not count for long:
 * min(decay, (1 + step)/(10 + step)).
 * @see TensorFlow, `tf.train.ExponentialMovingAverage` with `num_updates`
 * @throws {UsageError} the decay is not a number from 0 up to, not including, 1.
 */
export function exponentialAverage(decay: number, options: { readonly warmUp?: boolean } = {}): AverageDecay {
  assertOption("average of the weights, decay", decay, number({ from: 0, below: 1 }));
  const { warmUp = true } = options;
  return (step) => (warmUp ? Math.min(decay, (1 + step) / (10 + step)) : decay);
}

/** The arithmetic mean of the weights after each step so far. @see Polyak and Juditsky, 1992 */
export const polyakAverage: AverageDecay = (step) => 1 - 1 / step;
