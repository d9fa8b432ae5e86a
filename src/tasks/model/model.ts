import { scaledSize } from "../../compiler/onnx/images.ts";
import { imageSizeOf, type Network } from "../../graph/network.ts";
import { type ImageResize, kerasPreprocessing, type Preprocessing } from "../../graph/preprocessing.ts";
import type { Architecture } from "../../models/registry.ts";
import type { DecodeOptions, SizedDecodeOptions } from "../../platform.ts";
import type { Weights } from "../../weights/initialize.ts";

/** How an image becomes a network's input: laid over the background, brought to the network's size, and scaled. */
export interface ImagePreprocessing extends Preprocessing, Omit<ImageResize, "interpolation"> {
  /**
   * With it the model's graph takes images of any size. Models of older files lack it: the decoder brings images to the
   * network's size, with the cubic kernel in Node, and cannot crop.
   */
  readonly interpolation?: ImageResize["interpolation"] | undefined;
}

/** What training takes: stretched to the network's size, over white, scaled to −1 … 1. */
export const defaultPreprocessing: ImagePreprocessing = {
  ...kerasPreprocessing,
  interpolation: "bicubic",
  fit: "fill",
  background: [255, 255, 255],
};

/** Whether the model's graph brings images to the network's size. */
export function resizesInGraph(preprocessing: ImagePreprocessing): preprocessing is ImagePreprocessing & ImageResize {
  return preprocessing.interpolation !== undefined;
}

/** How the decoder brings images to the network's size: to train on, and for models whose graph does not. */
export function sizedDecodeOptionsOf({
  network,
  preprocessing: { fit, background },
}: Pick<Model, "network" | "preprocessing">): SizedDecodeOptions {
  const [height, width] = imageSizeOf(network);
  return { width, height, fit, background };
}

/**
 * How a model wants images decoded: to the network's size, or whole where its graph does the rest. Those of a format
 * that is read faster at a fraction of its size may come smaller, but twice as large as the graph makes them at least.
 */
export function decodeOptionsOf({ network, preprocessing }: Pick<Model, "network" | "preprocessing">): DecodeOptions {
  if (!resizesInGraph(preprocessing)) return sizedDecodeOptionsOf({ network, preprocessing });
  const { background, cropRatio = 1 } = preprocessing;
  const [height, width] = imageSizeOf(network);
  const [scaledHeight, scaledWidth] = scaledSize([height, width], cropRatio);
  return { atLeast: { width: 2 * scaledWidth, height: 2 * scaledHeight }, background };
}

/** Anything that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Where a model comes from: data, recipe, program, date – whatever helps to make it again. */
export type Provenance = Readonly<Record<string, Json>>;

/** What has to be known to write a model file. */
export interface ModelParts {
  /** Of the network; it must end in a classifier that gives probabilities, and read RGB images. */
  readonly architecture: Architecture;
  readonly weights: Weights;
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  /** Of the weights, e.g. `Apache-2.0`. */
  readonly license?: string | undefined;
  readonly provenance?: Provenance | undefined;
}

/** A network that can tell classes apart, with all that is needed to use it. */
export interface Model extends ModelParts {
  /** The network of the architecture. */
  readonly network: Network;
}
