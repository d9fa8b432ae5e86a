/** Options that all architectures have. */
export interface SharedOptions {
  /** `[height, width, channels]`, default `[299, 299, 3]`; the architecture says how small an image may be. */
  readonly inputShape?: readonly [height: number, width: number, channels: number];
  /** Number of classes, default 1000. */
  readonly classes?: number;
  /** Global pooling and classifier on top; default true. */
  readonly includeTop?: boolean;
  /** Without the top: what to do with the last feature maps; default `none`. */
  readonly pooling?: "none" | "avg" | "max";
  /** Default `softmax`; `none` gives logits. */
  readonly classifierActivation?: "softmax" | "sigmoid" | "none";
  /** Multiplies every channel count, rounded to a multiple of 8; default 1. 0.25 suits a laptop. */
  readonly width?: number;
  /** Share of features set to 0 before the classifier while training, 0 ≤ rate < 1; default 0 (the paper used 0.5). */
  readonly dropout?: number;
  /** Seed of the initial weights; default 0. */
  readonly seed?: number;
}

/** What they mean when they are left out, but for the seed, which comes last among the options. */
export const sharedDefaults: Required<Omit<SharedOptions, "seed">> = {
  inputShape: [299, 299, 3],
  classes: 1000,
  includeTop: true,
  pooling: "none",
  classifierActivation: "softmax",
  width: 1,
  dropout: 0,
};
