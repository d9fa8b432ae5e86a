import type { OptimizerName } from "./optimizers.ts";

/** What suits an optimizer when nothing better is known. */
export const optimizerDefaults: Readonly<
  Record<OptimizerName, { readonly learningRate: number; readonly weightDecay: number }>
> = {
  // As the paper trained on ImageNet and on JFT.
  sgd: { learningRate: 0.045, weightDecay: 1e-5 },
  rmsprop: { learningRate: 0.001, weightDecay: 0 },
  adam: { learningRate: 0.001, weightDecay: 0 },
  adamw: { learningRate: 0.003, weightDecay: 0.05 },
};
