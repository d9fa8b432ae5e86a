import type { ActivationName } from "../graph/layers.ts";
import { activationOf, OptionChecks, scaling } from "./option-checks.ts";
import { type SharedOptions, sharedDefaults } from "./shared-options.ts";
import type { TopOptions } from "./top.ts";

/** `paper`: as published and in keras.applications. `tutorial`: as the "from scratch with TensorFlow" article lists it. */
export type XceptionVariant = "paper" | "tutorial";

/** Height and width of `inputShape` at least 71. */
export interface XceptionOptions extends SharedOptions {
  /** Default `paper`. */
  readonly variant?: XceptionVariant;
  /** Sizes of fully connected layers before the classifier; the paper tried `[4096, 4096]` on JFT. Default none. */
  readonly fcUnits?: readonly number[];
  /** False leaves the shortcuts out, as in the paper's figure 9; default true. */
  readonly residual?: boolean;
  /** Between depthwise and pointwise step, as in the paper's figure 10; default `none`. */
  readonly intermediateActivation?: "none" | "relu" | "elu";
  /** Blocks of the middle flow; default 8. */
  readonly middleFlowRepeats?: number;
  /** Added to the variance in batch normalization; default 1e-3, as in Keras. PyTorch has 1e-5. */
  readonly batchNormEpsilon?: number;
  /**
   * Around the 3×3 windows of max pooling; default `same`, as in Keras: an odd pixel goes to the end. `symmetric`: one pixel
   * on every side, as in PyTorch, which differs where a side is even.
   */
  readonly poolPadding?: "same" | "symmetric";
}

/** What timm's `legacy_xception` has that Keras's Xception has not; all else is the same. */
export const legacyXceptionOptions = { batchNormEpsilon: 1e-5, poolPadding: "symmetric" } as const;

/** What the flows need to know of the options. */
export interface FlowOptions {
  /** Number of channels to use for a number in the paper. */
  readonly width?: (filters: number) => number;
  readonly residual?: boolean;
  readonly intermediateActivation?: ActivationName;
  readonly batchNormEpsilon?: number;
  readonly poolPadding?: "same" | "symmetric";
}

export interface ResolvedOptions extends TopOptions {
  readonly variant: XceptionVariant;
  readonly inputShape: readonly [number, number, number];
  readonly width: (filters: number) => number;
  readonly residual: boolean;
  readonly intermediateActivation: ActivationName;
  readonly middleFlowRepeats: number;
  readonly batchNormEpsilon: number;
  readonly poolPadding: "same" | "symmetric";
  readonly seed: number;
}

/** What an option means when it is left out. */
const defaultOptions: Required<XceptionOptions> = {
  variant: "paper",
  ...sharedDefaults,
  fcUnits: [],
  residual: true,
  intermediateActivation: "none",
  middleFlowRepeats: 8,
  batchNormEpsilon: 1e-3,
  poolPadding: "same",
  seed: 0,
};

/** What a pooling layer is told; one pixel is half a 3×3 window. */
export function poolPadding({ poolPadding: chosen = "same" }: Pick<FlowOptions, "poolPadding">): "same" | 1 {
  return chosen === "symmetric" ? 1 : chosen;
}

/** Smallest height and width of an image, the rule of keras.applications.Xception. */
export const minimumInputSize = 71;

/** Options with nothing left out: what a model file stores, so that its network does not change with the defaults. */
export function completeOptions(options: XceptionOptions): Required<XceptionOptions> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaultOptions, ...Object.fromEntries(given) };
}

/**
 * Options with their defaults filled in and checked.
 * @throws {UsageError} naming the option, the value and the allowed ones.
 */
export function resolveOptions(options: XceptionOptions): ResolvedOptions {
  const {
    variant,
    inputShape,
    classes,
    includeTop,
    pooling,
    classifierActivation,
    width,
    dropout,
    fcUnits,
    residual,
    intermediateActivation,
    middleFlowRepeats,
    batchNormEpsilon,
    poolPadding,
    seed,
    ...unknown
  } = completeOptions(options);

  const checks = new OptionChecks("xception");
  checks.nothingElse(unknown, Object.keys(defaultOptions));
  checks.oneOf("variant", variant, ["paper", "tutorial"]);
  checks.oneOf("intermediateActivation", intermediateActivation, ["none", "relu", "elu"]);
  checks.oneOf("poolPadding", poolPadding, ["same", "symmetric"]);
  checks.flag("residual", residual);
  checks.inputShape(inputShape, minimumInputSize);
  checks.width(width);
  checks.integer("middleFlowRepeats", middleFlowRepeats, 0, 100);
  checks.range(
    "batchNormEpsilon",
    batchNormEpsilon,
    batchNormEpsilon > 0 && batchNormEpsilon <= 1,
    "a number above 0, at most 1",
  );
  checks.seed(seed);
  checks.top({ classes, includeTop, pooling, classifierActivation, dropout, fcUnits });

  return {
    variant,
    inputShape,
    classes,
    includeTop,
    pooling,
    classifierActivation: activationOf(classifierActivation),
    width: scaling(width),
    dropout,
    fcUnits,
    residual,
    intermediateActivation: activationOf(intermediateActivation),
    middleFlowRepeats,
    batchNormEpsilon,
    poolPadding,
    seed,
  };
}
