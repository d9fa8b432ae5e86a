import type { Mode } from "../../compiler/lower.ts";
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
   * Which weights the optimizer moves, of those it can; default: all. For the others nothing is computed, and nothing at
   * all before the first layer that trains.
   */
  readonly trainable?: ((spec: WeightSpec) => boolean) | undefined;
  /**
   * Whether a batch normalization normalizes by the batch and collects moving statistics (`training`), or uses the moving
   * statistics it has (`inference`). Default, as in Keras: `inference` where neither its gamma nor its beta trains.
   */
  readonly batchNorm?: ((layer: Layer) => Mode) | undefined;
  /** Normalize by the batches of all machines that train together, as if they were one; default: by one's own. */
  readonly synchronizeBatchNormalization?: boolean;
  /** Factor of the learning rate for each weight, e.g. smaller in early layers; default 1. */
  readonly rateFactor?: ((spec: WeightSpec) => number) | undefined;
  /** Which weights the optimizer's weight decay applies to; default: kernels, not biases, gammas and betas. */
  readonly decays?: ((spec: WeightSpec) => boolean) | undefined;
  /** Limits the gradients of the loss, before a weight decay in the form of a penalty is added. */
  readonly clip?: GradientClip | undefined;
  /** Put out the common norm of all gradients, unclipped; default: only where they are clipped by norm. */
  readonly gradientNorm?: boolean;
  /** The loss has a weight for each sample; default false. */
  readonly sampleWeights?: boolean;
  /** Keeps an average of every weight that changes, moving statistics too. */
  readonly averageDecay?: AverageDecay | undefined;
  /** Prepares the step to tell of its health; default false. It costs one to two hundredths of the step's time. */
  readonly health?: boolean;
  /**
   * Compute outputs of normalizations, activations and depthwise convolutions again on the way back instead of keeping
   * them: larger batches in the same memory, for a few hundredths of the step's time. In channel blocks the numbers stay
   * the same, to the last bit; channels first they are rounded differently. Default false.
   */
  readonly recompute?: boolean;
  /** Also put out the gradients, unclipped, as `gradient/<weight>`; default false. */
  readonly gradientOutputs?: boolean;
}

/** What the graph of a step puts out about an activation. */
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
  /** A number of the optimizer's, for weights with this factor of the learning rate. */
  scalar: (name: string, rateFactor: number) => `step/${name}${rateFactor === 1 ? "" : `*${rateFactor}`}`,
  /** Square of the norm of a weight's gradient. */
  gradientSquare: (weight: string) => `health/gradient/${weight}`,
  activation: (statistic: ActivationStatistic, layer: string) => `health/${statistic}/${layer}`,
  next: (name: string) => `next/${name}`,
  gradient: (name: string) => `gradient/${name}`,
  /** What a batch says about a moving statistic, where a step is two graphs. */
  batchStatistic: (name: string) => `batch/${name}`,
} as const;
