import type { EpochRecord, Evaluation, HealthRecord, Prediction, SkippedFile, StepRecord } from "../records.ts";
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
  /** Losses of single steps, as many as a chart can show. */
  readonly steps?: readonly StepRecord[];
  /** How the blocks of the network were doing at some steps. */
  readonly health?: readonly HealthRecord[];
  /** The test on images that were not used for training. */
  readonly evaluation?: Evaluation;
  readonly gallery?: Gallery;
  readonly cost?: NetworkCost;
  readonly skipped?: readonly SkippedFile[];
  readonly reproduction?: Reproduction;
  /** It was stopped before its end, and can go on. */
  readonly isStopped?: boolean;
  /** Where the training stands, while it goes on: the page then loads itself again and again. */
  readonly live?: LiveStatus;
}

/** Where a training stood when the report was written. */
export interface LiveStatus {
  /** From 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done in this epoch, and how many it has. */
  readonly step: number;
  readonly steps: number;
  /** Means over this epoch's steps so far. */
  readonly loss: number;
  readonly accuracy: number;
  /** Until the end of the training. */
  readonly secondsLeft: number;
  /** When the report was written, as shown. */
  readonly time: string;
  /** How many train together; default 1. */
  readonly processes?: number;
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

/** Tested images to look at, in the order in which they are shown. */
export interface Gallery {
  /** The epoch whose test they are from; shown, where it is known. */
  readonly epoch?: number;
  readonly wrong: readonly GalleryItem[];
  readonly right: readonly GalleryItem[];
}

export interface GalleryItem extends Prediction {
  /** The image as a PNG file. */
  readonly png: Uint8Array;
}

/** How to get the same result again. */
export interface Reproduction {
  /** Command lines, shown as given. */
  readonly commands: readonly string[];
  /** Where the result comes from: versions, hashes, licenses, dates. */
  readonly facts?: readonly Fact[];
}
