import { deriveSeed, mulberry32 } from "../tensor/random.ts";
import type { Augmentation } from "./augment.ts";
import { drawImageChange, type ImageChange } from "./image-change.ts";
import { drawMixture, type Mixing, type Mixture } from "./mixing.ts";
import type { Size } from "./warp.ts";

/** What training images go through, and the seed of it. */
export interface RandomChanges {
  readonly seed: number;
  readonly size: Size;
  readonly augmentation?: Augmentation | undefined;
  readonly mixing?: Mixing | undefined;
}

/** One showing of a sample: all that its changes depend on. */
export interface Showing {
  /** From 0. */
  readonly epoch: number;
  /** Of the sample in the data set. */
  readonly index: number;
  /** How often the epoch showed it before. */
  readonly repeat: number;
}

/** How an image is changed in one showing: the same whichever batch it lands in, whatever is decoded first. */
export function imageChangeOf(changes: RandomChanges, showing: Showing): ImageChange | undefined {
  return changes.augmentation && drawImageChange(changes.augmentation, randomOf("augment", changes, showing));
}

/** How an image is mixed with its partner in one showing. */
export function mixtureOf(changes: RandomChanges, showing: Showing): Mixture | undefined {
  return changes.mixing && drawMixture(changes.mixing, changes.size, randomOf("mix", changes, showing));
}

function randomOf(purpose: string, { seed }: RandomChanges, { epoch, index, repeat }: Showing) {
  return mulberry32(deriveSeed(seed, purpose, epoch, index, ...(repeat > 0 ? [repeat] : [])));
}
