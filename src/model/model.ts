import type { Json } from "../base/json.ts";
import type { Quantization } from "../compiler/quantize/quantization.ts";
import type { Network } from "../graph/network.ts";
import { type ImageResize, kerasPreprocessing, type Preprocessing } from "../graph/preprocessing.ts";
import type { Weights } from "../graph/weights.ts";
import type { Architecture } from "../models/registry.ts";

/** Preprocessing of images: composited over the background, resized, and scaled. */
export interface ImagePreprocessing extends Preprocessing, Omit<ImageResize, "interpolation"> {
  /**
   * If set, the model's graph takes images of any size. Models from older files lack it: the decoder resizes images,
   * with the cubic kernel in Node, and cannot crop.
   */
  readonly interpolation?: ImageResize["interpolation"] | undefined;
}

/** The preprocessing that training uses: stretched to the network's size, over white, scaled to −1 … 1. */
export const defaultPreprocessing: ImagePreprocessing = {
  ...kerasPreprocessing,
  interpolation: "bicubic",
  fit: "fill",
  background: [255, 255, 255],
};

/** Returns whether the model's graph resizes images. */
export function resizesInGraph(preprocessing: ImagePreprocessing): preprocessing is ImagePreprocessing & ImageResize {
  return preprocessing.interpolation !== undefined;
}

/** Where a model comes from: data, recipe, program, date – whatever helps to reproduce it. */
export type Provenance = Readonly<Record<string, Json>>;

/** Everything that goes into a model file. */
export interface ModelParts {
  /** The network; must read images, RGB or grayscale, and end in a classifier with probabilities. */
  readonly architecture: Architecture;
  readonly weights: Weights;
  /** Names of the classes, in the order of the network's outputs. */
  readonly labels: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  /** License of the weights, e.g. `Apache-2.0`. */
  readonly license?: string | undefined;
  readonly provenance?: Provenance | undefined;
  /** If set, the model's file and its sessions on CPUs compute with integers; the weights are those that the integers stand for. */
  readonly quantization?: Quantization | undefined;
}

/** An image classifier with everything needed to use it. */
export interface Model extends ModelParts {
  /** The network of the architecture. */
  readonly network: Network;
}
