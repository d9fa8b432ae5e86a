import { UsageError } from "../base/errors.ts";
import { assertOption, choice } from "../base/kinds.ts";
import { inputShapeOf, type Network } from "../graph/network.ts";
import {
  fits,
  type ImageResize,
  interpolations,
  kerasPreprocessing,
  type Preprocessing,
  standardization,
} from "../graph/preprocessing.ts";
import { type Architecture, familyOf } from "../models/registry.ts";
import { defaultPreprocessing, type ImagePreprocessing } from "./model.ts";

const identity: Preprocessing = { scale: 1, offset: 0 };

/** Conventions for the scaling of pixels, named as in keras.applications. */
const conventions = {
  /** −1 … 1: Xception, Inception, MobileNet; `tf` in Keras. */
  keras: kerasPreprocessing,
  /** 0 … 1. */
  scale01: { scale: 1 / 255, offset: 0 },
  /** ImageNet's mean and standard deviation, as in torchvision; `torch` in Keras. */
  imagenet: standardization([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
  /** Blue, green, red, less ImageNet's mean: VGG, ResNet; `caffe` in Keras. */
  caffe: { scale: 1, offset: [-103.939, -116.779, -123.68], order: "bgr" },
  /** 0 … 255. */
  none: identity,
} as const satisfies Readonly<Record<string, Preprocessing>>;

/** Name of a convention for the scaling of pixels. */
export type PreprocessName = keyof typeof conventions;

/** Names of the conventions for the scaling of pixels. */
export const preprocessNames = Object.keys(conventions) as [PreprocessName, ...PreprocessName[]];

type PerChannel = number | readonly [number, number, number];

/** Preprocessing of a model's images, where it differs from that in its file or the file does not specify it. */
export interface PreprocessingOptions {
  /** Scaling of pixels: `keras` to −1 … 1, `scale01`, `imagenet`, `caffe`, `none`, or `pixel · scale + offset`. */
  readonly preprocess?: PreprocessName | { readonly scale: PerChannel; readonly offset: PerChannel } | undefined;
  readonly interpolation?: ImageResize["interpolation"] | undefined;
  readonly fit?: ImageResize["fit"] | undefined;
}

/** Returns whether options state any part of the preprocessing. */
export function isStated({ preprocess, interpolation, fit }: PreprocessingOptions): boolean {
  return preprocess !== undefined || interpolation !== undefined || fit !== undefined;
}

/** The preprocessing of an opened model, and notes of what was assumed. */
export interface ResolvedPreprocessing {
  readonly preprocessing: ImagePreprocessing;
  readonly notes: readonly string[];
}

/**
 * Completes the preprocessing of a model: as the options state it, else as in its file, else as in keras.applications.
 * @throws {UsageError} an option is invalid, or scales three channels where the network has one.
 */
export function resolvePreprocessing(
  {
    network,
    architecture,
    preprocessing: own,
  }: {
    readonly network: Network;
    readonly architecture?: Architecture;
    readonly preprocessing?: ImagePreprocessing | undefined;
  },
  { preprocess, interpolation, fit }: PreprocessingOptions = {},
): ResolvedPreprocessing {
  if (interpolation !== undefined) assertOption("option interpolation", interpolation, choice(...interpolations));
  if (fit !== undefined) assertOption("option fit", fit, choice(...fits));
  const usual = { ...defaultPreprocessing, ...(architecture && familyOf(architecture)?.preprocessing) };
  const { order: _, ...resize } = own ?? usual;
  const preprocessing: ImagePreprocessing = {
    ...(preprocess === undefined ? (own ?? usual) : { ...resize, ...scalingOf(preprocess) }),
    ...(interpolation && { interpolation }),
    ...(fit && { fit }),
  };
  const [height, width, channels] = inputShapeOf(network);
  const { scale, offset, order } = preprocessing;
  if (channels === 1 && (typeof scale !== "number" || typeof offset !== "number" || order === "bgr")) {
    throw new UsageError({
      where: "option preprocess",
      what: "a grayscale network has one channel",
      received: typeof preprocess === "string" ? preprocess : preprocessing,
      expected: "keras, scale01, none, or one scale and one offset",
    });
  }
  if (own) return { preprocessing, notes: [] };
  const scaling = "pixel/127.5 - 1 is assumed, as in keras.applications";
  const resizing = `images are ${verbs[preprocessing.fit]} ${height}×${width} by ${preprocessing.interpolation} interpolation`;
  const isResizeKnown = interpolation !== undefined && fit !== undefined;
  const assumed = [...(preprocess === undefined ? [scaling] : []), ...(isResizeKnown ? [] : [resizing])];
  return {
    preprocessing,
    notes: assumed.length > 0 ? [`The file does not specify preprocessing; ${assumed.join("; ")}.`] : [],
  };
}

const verbs = { fill: "stretched to", cover: "cropped to", contain: "padded to" } as const;

function scalingOf(preprocess: NonNullable<PreprocessingOptions["preprocess"]>): Preprocessing {
  if (typeof preprocess === "object" && preprocess !== null) {
    const { scale, offset } = preprocess;
    if ([scale, offset].every(isScaling)) return { scale, offset };
  } else if (Object.hasOwn(conventions, preprocess)) return conventions[preprocess];
  throw new UsageError({
    where: "option preprocess",
    what: "this value is not allowed",
    received: preprocess,
    expected: `${preprocessNames.join(", ")}, or a scale and an offset: numbers, or three numbers each`,
  });
}

function isScaling(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 3 && value.every((each) => Number.isFinite(each));
  return Number.isFinite(value);
}
