import { scaledSize } from "../../compiler/onnx/pictures.ts";
import { inputShapeOf, type Network } from "../../graph/network.ts";
import { kerasPreprocessing, type PictureResize, type Preprocessing } from "../../graph/preprocessing.ts";
import type { Architecture } from "../../models/architecture.ts";
import type { DecodeOptions, SizedDecodeOptions } from "../../platform.ts";
import type { Weights } from "../../weights/initialize.ts";

/** How a picture becomes a network's input: laid over the background, brought to the network's size, and scaled. */
export interface PicturePreprocessing extends Preprocessing, Omit<PictureResize, "interpolation"> {
  /**
   * With it the model's graph takes pictures of any size. Models of older files lack it: the decoder brings pictures to the
   * network's size, with the cubic kernel in Node, and cannot crop.
   */
  readonly interpolation?: PictureResize["interpolation"] | undefined;
}

/** What training takes: stretched to the network's size, over white, scaled to −1 … 1. */
export const defaultPreprocessing: PicturePreprocessing = {
  ...kerasPreprocessing,
  interpolation: "bicubic",
  fit: "fill",
  background: [255, 255, 255],
};

/** Whether the model's graph brings pictures to the network's size. */
export function resizesInGraph(
  preprocessing: PicturePreprocessing,
): preprocessing is PicturePreprocessing & PictureResize {
  return preprocessing.interpolation !== undefined;
}

/** How the decoder brings pictures to the network's size: to train on, and for models whose graph does not. */
export function sizedDecodeOptionsOf({
  network,
  preprocessing: { fit, background },
}: Pick<Model, "network" | "preprocessing">): SizedDecodeOptions {
  const [height, width] = inputShapeOf(network) as [number, number, number];
  return { width, height, fit, background };
}

/**
 * How a model wants pictures decoded: to the network's size, or whole where its graph does the rest. Those of a format
 * that is read faster at a fraction of its size may come smaller, but twice as large as the graph makes them at least.
 */
export function decodeOptionsOf({ network, preprocessing }: Pick<Model, "network" | "preprocessing">): DecodeOptions {
  if (!resizesInGraph(preprocessing)) return sizedDecodeOptionsOf({ network, preprocessing });
  const { background, cropRatio = 1 } = preprocessing;
  const [height, width] = inputShapeOf(network) as [number, number, number];
  const [scaledHeight, scaledWidth] = scaledSize([height, width], cropRatio);
  return { atLeast: { width: 2 * scaledWidth, height: 2 * scaledHeight }, background };
}

/** Anything that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Where a model comes from: data, recipe, program, date – whatever helps to make it again. */
export type Provenance = Readonly<Record<string, Json>>;

/** What has to be known to write a model file. */
export interface ModelParts {
  /** Of the network; it must end in a classifier that gives probabilities, and read RGB pictures. */
  readonly architecture: Architecture;
  readonly weights: Weights;
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[];
  readonly preprocessing: PicturePreprocessing;
  /** Of the weights, e.g. `Apache-2.0`. */
  readonly licence?: string | undefined;
  readonly provenance?: Provenance | undefined;
}

/** A network that can tell classes apart, with all that is needed to use it. */
export interface Model extends ModelParts {
  /** The network of the architecture. */
  readonly network: Network;
}
