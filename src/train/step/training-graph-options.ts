import type { Mode } from "../../compiler/lower.ts";
import type { Quantization } from "../../compiler/quantize/quantization.ts";
import type { WeightSpec } from "../../graph/layer-weights.ts";
import type { Layer } from "../../graph/network.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";
import type { GradientClip } from "../../learning/gradient-clipping.ts";
import type { Loss } from "../../learning/losses.ts";
import type { AverageDecay, Optimizer } from "../../learning/optimizers.ts";

/** Options of a training graph. */
export interface TrainingGraphOptions {
  readonly batchSize: number;
  readonly optimizer: Optimizer;
  readonly loss: Loss;
  /** Without it the images are float32, already scaled. */
  readonly preprocessing?: Preprocessing | undefined;
  /**
   * Selects the weights that train, among the trainable ones; default: all. No gradients are computed for the others, nor
   * before the first layer that trains.
   */
  readonly trainable?: ((spec: WeightSpec) => boolean) | undefined;
  /**
   * Mode of a batch normalization: `training` normalizes by the batch and collects moving statistics, `inference` uses the
   * moving statistics. Default, as in Keras: `inference` if neither its gamma nor its beta trains.
   */
  readonly batchNorm?: ((layer: Layer) => Mode) | undefined;
  /** Normalizes by the batches of all ranks together; default: each by its own. */
  readonly synchronizeBatchNormalization?: boolean;
  /** Factor of the learning rate for each weight, e.g. smaller in early layers; default 1. */
  readonly rateFactor?: ((spec: WeightSpec) => number) | undefined;
  /** Selects the weights that decay; default: kernels, not biases, gammas and betas. */
  readonly decays?: ((spec: WeightSpec) => boolean) | undefined;
  /** Limits the gradients of the loss, before a weight decay in the form of a penalty is added. */
  readonly clip?: GradientClip | undefined;
  /** Outputs the global norm of the unclipped gradients; default: only if they are clipped by norm. */
  readonly gradientNorm?: boolean;
  /** The loss has a weight for each sample; default false. */
  readonly sampleWeights?: boolean;
  /** Keeps an average of every weight that changes, moving statistics included. */
  readonly averageDecay?: AverageDecay | undefined;
  /** Enables health records, for 1 to 2 % of the step's time; default false. */
  readonly health?: boolean;
  /**
   * Recomputes outputs of normalizations, activations and depthwise convolutions in the backward pass instead of keeping
   * them: larger batches in the same memory, for a few percent of the step's time. In channel blocks the results are the
   * same to the last bit; channels first they are rounded differently. Default false.
   */
  readonly recompute?: boolean;
  /**
   * Rounds weights and activations as the int8 form does, straight through for gradients. Batch normalization is folded into the
   * weights by its moving statistics, which stay the same, and nothing is dropped out. Default: no rounding.
   */
  readonly quantization?: Quantization | undefined;
  /** Also outputs the unclipped gradients, as `gradient/<weight>`; default false. */
  readonly gradientOutputs?: boolean;
}

/** A statistic of an activation among the outputs of a step's graph. */
export type ActivationStatistic = "mean" | "meanSquare" | "positiveShare";

/** Names of the step's inputs and outputs besides the state. */
export const trainingNames = {
  images: "images",
  targets: "targets",
  sampleWeights: "sample_weights",
  loss: "loss",
  logits: "logits",
  gradientNorm: "gradient_norm",
  /** 1 − decay of the average of the weights. */
  averageShare: "step/average_share",
  /** A scalar of the optimizer, for weights with this factor of the learning rate. */
  scalar: (name: string, rateFactor: number) => `step/${name}${rateFactor === 1 ? "" : `*${rateFactor}`}`,
  /** Squared norm of a weight's gradient. */
  gradientSquare: (weight: string) => `health/gradient/${weight}`,
  activation: (statistic: ActivationStatistic, layer: string) => `health/${statistic}/${layer}`,
  next: (name: string) => `next/${name}`,
  gradient: (name: string) => `gradient/${name}`,
  /** A batch statistic passed from the first to the second graph of a split step. */
  batchStatistic: (name: string) => `batch/${name}`,
} as const;
