import { activationOf, OptionChecks, scaling } from "./option-checks.ts";
import { type SharedOptions, sharedDefaults } from "./shared-options.ts";
import type { TopOptions } from "./top.ts";

/** How many layers there are (41, 65, 71), and whether normalization and ReLU come before each convolution (p). */
export type AlignedVariant = "41" | "65" | "71" | "41p" | "65p";

export const alignedVariants: readonly AlignedVariant[] = ["41", "65", "71", "41p", "65p"];

/** Height and width of `inputShape` at least 32. */
export interface AlignedXceptionOptions extends SharedOptions {
  /** Default `65`. */
  readonly variant?: AlignedVariant;
}

export interface ResolvedAlignedOptions extends TopOptions {
  readonly variant: AlignedVariant;
  readonly inputShape: readonly [number, number, number];
  readonly width: (filters: number) => number;
  readonly seed: number;
}

const defaultOptions: Required<AlignedXceptionOptions> = {
  variant: "65",
  ...sharedDefaults,
  seed: 0,
};

/** Smallest height and width of an image: the network halves it five times. */
export const minimumAlignedInputSize = 32;

/** Options with nothing left out: what a model file stores. */
export function completeAlignedOptions(options: AlignedXceptionOptions): Required<AlignedXceptionOptions> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaultOptions, ...Object.fromEntries(given) };
}

/**
 * Options with their defaults filled in and checked.
 * @throws {UsageError} naming the option, the value and the allowed ones.
 */
export function resolveAlignedOptions(options: AlignedXceptionOptions): ResolvedAlignedOptions {
  const { variant, inputShape, width, seed, ...others } = completeAlignedOptions(options);
  const { classes, includeTop, pooling, classifierActivation, dropout, ...unknown } = others;
  const checks = new OptionChecks("alignedXception");
  checks.nothingElse(unknown, Object.keys(defaultOptions));
  checks.oneOf("variant", variant, alignedVariants);
  checks.inputShape(inputShape, minimumAlignedInputSize);
  checks.width(width);
  checks.seed(seed);
  checks.top({ classes, includeTop, pooling, classifierActivation, dropout, fcUnits: [] });
  return {
    variant,
    inputShape,
    classes,
    includeTop,
    pooling,
    classifierActivation: activationOf(classifierActivation),
    width: scaling(width),
    dropout,
    fcUnits: [],
    seed,
  };
}
