import type { Network } from "../graph/network.ts";
import type { Preprocessing } from "../graph/preprocessing.ts";
import type { Architecture } from "../models/architecture.ts";
import type { DecodeOptions } from "../platform.ts";
import type { Weights } from "../weights/initialize.ts";

/** How a picture becomes a network's input: brought to its size, laid over the background, and scaled. */
export interface PicturePreprocessing extends Preprocessing {
  readonly fit: NonNullable<DecodeOptions["fit"]>;
  /** Behind transparent pixels, `[red, green, blue]` from 0 to 255. */
  readonly background: NonNullable<DecodeOptions["background"]>;
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
