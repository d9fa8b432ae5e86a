import type { EpochRecord, Evaluation, Prediction, SkippedFile } from "../records.ts";
import type { NetworkCost } from "./cost.ts";

/**
 * Everything a report on a training run can show, as plain data; a section whose data are absent is left out. Nothing
 * else enters the report: the same data give the same bytes, so a date appears only if it is among the facts.
 */
export interface TrainingReport {
  /** What it is called above the title; default `Training report`. */
  readonly kind?: string;
  readonly title: string;
  /** One paragraph under the title: what was done, in words. */
  readonly summary?: string;
  readonly network?: NetworkSize;
  /** What was trained and how: recipe, data, seed, machine. */
  readonly settings?: readonly Fact[];
  readonly history?: readonly EpochRecord[];
  /** The test on pictures that were not used for training. */
  readonly evaluation?: Evaluation;
  readonly gallery?: Gallery;
  readonly cost?: NetworkCost;
  readonly skipped?: readonly SkippedFile[];
  readonly reproduction?: Reproduction;
}

/** How large the trained network is, beside the full one that it is a smaller sibling of. */
export interface NetworkSize {
  readonly parameters: number;
  readonly full?: { readonly name: string; readonly parameters: number };
}

/** A name and its value, shown as given. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** Tested pictures to look at, in the order in which they are shown. */
export interface Gallery {
  readonly wrong: readonly GalleryItem[];
  readonly right: readonly GalleryItem[];
}

export interface GalleryItem extends Prediction {
  /** The picture as a PNG file. */
  readonly png: Uint8Array;
}

/** How to get the same result again. */
export interface Reproduction {
  /** Command lines, shown as given. */
  readonly commands: readonly string[];
  /** Where the result comes from: versions, hashes, licences, dates. */
  readonly facts?: readonly Fact[];
}
