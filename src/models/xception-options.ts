import { UsageError } from "../errors.ts";
import type { ActivationName } from "../graph/layers.ts";

/** `paper`: as published and in keras.applications. `tutorial`: as the "from scratch with TensorFlow" article lists it. */
export type XceptionVariant = "paper" | "tutorial";

export interface XceptionOptions {
  /** Default `paper`. */
  readonly variant?: XceptionVariant;
  /** `[height, width, channels]`, default `[299, 299, 3]`; height and width at least 71. */
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
  /** Sizes of fully connected layers before the classifier; the paper tried `[4096, 4096]` on JFT. Default none. */
  readonly fcUnits?: readonly number[];
  /** False leaves the shortcuts out, as in the paper's figure 9; default true. */
  readonly residual?: boolean;
  /** Between depthwise and pointwise step, as in the paper's figure 10; default `none`. */
  readonly intermediateActivation?: "none" | "relu" | "elu";
  /** Blocks of the middle flow; default 8. */
  readonly middleFlowRepeats?: number;
  /** Seed of the initial weights; default 0. */
  readonly seed?: number;
}

/** What the flows need to know of the options. */
export interface FlowOptions {
  /** Number of channels to use for a number in the paper. */
  readonly width?: (filters: number) => number;
  readonly residual?: boolean;
  readonly intermediateActivation?: ActivationName;
}

export interface ResolvedOptions {
  readonly variant: XceptionVariant;
  readonly inputShape: readonly [number, number, number];
  readonly classes: number;
  readonly includeTop: boolean;
  readonly pooling: "none" | "avg" | "max";
  readonly classifierActivation: ActivationName;
  readonly width: (filters: number) => number;
  readonly dropout: number;
  readonly fcUnits: readonly number[];
  readonly residual: boolean;
  readonly intermediateActivation: ActivationName;
  readonly middleFlowRepeats: number;
  readonly seed: number;
}

/** What an option means when it is left out. */
const defaultOptions: Required<XceptionOptions> = {
  variant: "paper",
  inputShape: [299, 299, 3],
  classes: 1000,
  includeTop: true,
  pooling: "none",
  classifierActivation: "softmax",
  width: 1,
  dropout: 0,
  fcUnits: [],
  residual: true,
  intermediateActivation: "none",
  middleFlowRepeats: 8,
  seed: 0,
};

/** Smallest height and width of a picture, the rule of keras.applications.Xception. */
export const minimumInputSize = 71;

/** Largest height and width: beyond, a picture's feature maps fit no memory. */
const maximumInputSize = 8192;

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
    seed,
    ...unknown
  } = completeOptions(options);

  for (const name of Object.keys(unknown)) {
    throw new UsageError({
      where: `xception option "${name}"`,
      what: "there is no such option",
      expected: knownOptions,
    });
  }
  oneOf("variant", variant, ["paper", "tutorial"]);
  oneOf("pooling", pooling, ["none", "avg", "max"]);
  oneOf("classifierActivation", classifierActivation, ["softmax", "sigmoid", "none"]);
  oneOf("intermediateActivation", intermediateActivation, ["none", "relu", "elu"]);
  flag("includeTop", includeTop);
  flag("residual", residual);
  check("inputShape", inputShape, Array.isArray(inputShape) && inputShape.length === 3, "[height, width, channels]");
  const [rows, columns, channels] = inputShape;
  const wholeNumbers = inputShape.every((size) => Number.isInteger(size));
  const largeEnough = Math.min(rows, columns) >= minimumInputSize;
  check("inputShape", inputShape, wholeNumbers, "whole numbers of pixels and channels");
  check("inputShape", inputShape, largeEnough, `height and width of at least ${minimumInputSize}×${minimumInputSize}`);
  const smallEnough = Math.max(rows, columns) <= maximumInputSize;
  check("inputShape", inputShape, smallEnough, `height and width of at most ${maximumInputSize}`);
  check("inputShape", inputShape, channels >= 1, "at least one channel, usually 3");
  check("classes", classes, Number.isInteger(classes) && classes >= 1, "an integer of at least 1");
  check("width", width, Number.isFinite(width) && width > 0 && width <= 16, "a number above 0, at most 16, e.g. 0.25");
  check(
    "dropout",
    dropout,
    Number.isFinite(dropout) && dropout >= 0 && dropout < 1,
    "a number from 0 up to, not including, 1",
  );
  const unitsFit = Array.isArray(fcUnits) && fcUnits.every((units) => Number.isInteger(units) && units >= 1);
  check("fcUnits", fcUnits, unitsFit, "a list of positive integers, e.g. [4096, 4096]");
  const repeatsFit = Number.isInteger(middleFlowRepeats) && middleFlowRepeats >= 0 && middleFlowRepeats <= 100;
  check("middleFlowRepeats", middleFlowRepeats, repeatsFit, "an integer from 0 to 100");
  check("seed", seed, Number.isSafeInteger(seed) && seed >= 0, "an integer from 0 to 2^53 - 1");
  check("pooling", pooling, !includeTop || pooling === "none", '"none" with includeTop, which has its own pooling');
  check("dropout", dropout, includeTop || dropout === 0, "0 without includeTop, for it stands before the classifier");
  check("fcUnits", fcUnits, includeTop || fcUnits.length === 0, "[] without includeTop, to which these layers belong");

  return {
    variant,
    inputShape,
    classes,
    includeTop,
    pooling,
    classifierActivation: classifierActivation === "none" ? "linear" : classifierActivation,
    width: width === 1 ? (filters) => filters : (filters) => Math.max(8, Math.round((filters * width) / 8) * 8),
    dropout,
    fcUnits,
    residual,
    intermediateActivation: intermediateActivation === "none" ? "linear" : intermediateActivation,
    middleFlowRepeats,
    seed,
  };
}

const knownOptions =
  "variant, inputShape, classes, includeTop, pooling, classifierActivation, width, dropout, fcUnits, residual, " +
  "intermediateActivation, middleFlowRepeats or seed";

function check(name: string, value: unknown, fits: boolean, expected: string): void {
  if (fits) return;
  throw new UsageError({
    where: `xception option "${name}"`,
    what: "this value is not allowed",
    received: value,
    expected,
  });
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  check(name, value, allowed.includes(value), `one of ${allowed.map((each) => `"${each}"`).join(", ")}`);
}

function flag(name: string, value: unknown): void {
  check(name, value, typeof value === "boolean", "true or false");
}
