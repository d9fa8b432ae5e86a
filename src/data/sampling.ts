import { DataError } from "../base/errors.ts";
import { assertOption, number } from "../base/kinds.ts";
import { deriveSeed, mulberry32, shuffledIndices } from "../tensor/random.ts";
import { classesOf, type ImageDataset, isMultiLabel, type Sample } from "./dataset.ts";

/** A data set in two parts that share no image. */
export interface SplitDataset {
  readonly training: ImageDataset;
  readonly heldOut: ImageDataset;
}

/**
 * Holds out a share of every class, or of all images together if they have several labels: at least one image, never
 * all of them. Both parts keep the order of the data set, and the same seed holds out the same images.
 * @param share part that is held out, between 0 and 1.
 * @throws {UsageError} the share is not between 0 and 1.
 * @throws {DataError} a class has fewer than two images.
 */
export function splitDataset(dataset: ImageDataset, share: number, seed: number): SplitDataset {
  assertOption("splitDataset option share", share, number({ above: 0, below: 1 }));
  const heldOut = new Set<Sample>();
  const hold = (members: readonly Sample[], name: string) => {
    if (members.length < 2) throwUnsplittable(name, members.length);
    const count = Math.min(members.length - 1, Math.max(1, Math.round(members.length * share)));
    const order = shuffledIndices(members.length, mulberry32(deriveSeed(seed, "split", name)));
    for (const index of order.subarray(0, count)) heldOut.add(members[index]!);
  };
  // Sets of labels cannot be shared out class by class.
  if (isMultiLabel(dataset)) hold(dataset.samples, "all");
  else {
    for (const [label, name] of dataset.classes.entries()) {
      hold(
        dataset.samples.filter((sample) => sample.label === label),
        name,
      );
    }
  }
  const part = (isHeldOut: boolean) => ({
    classes: dataset.classes,
    samples: dataset.samples.filter((sample) => heldOut.has(sample) === isHeldOut),
  });
  return { training: part(false), heldOut: part(true) };
}

function throwUnsplittable(name: string, count: number): never {
  throw new DataError({
    where: `class "${name}"`,
    what: "there are too few images to hold one out for validation",
    received: count,
    expected: "at least 2",
    remedy: "Add images, or give a validation folder of its own.",
  });
}

/** `shuffled`: every sample once. `balanced`: every class equally often. */
export type Sampling = "shuffled" | "balanced";

/** The samples of one epoch in the order in which they are trained on; as many as the data set has. */
export interface EpochOrder {
  /** Indices into the data set's samples. */
  readonly indices: Uint32Array;
  /** Number of earlier occurrences in the epoch of the sample at this position: 0 except in small classes. */
  readonly repeats: Uint32Array;
}

/** The part of a data set that belongs to one of several ranks. */
export interface Shard {
  /** Rank of the process, from 0. */
  readonly rank: number;
  /** Number of processes. */
  readonly size: number;
}

/** A shard's part of an order: the positions `rank`, `rank + size`, `rank + 2·size` … */
export function shardOf({ indices, repeats }: EpochOrder, { rank, size }: Shard): EpochOrder {
  const isOwn = (_: number, position: number) => position % size === rank;
  return { indices: indices.filter(isOwn), repeats: repeats.filter(isOwn) };
}

/** The order of one epoch: the same for the same seed and epoch. */
export function epochOrder(dataset: ImageDataset, sampling: Sampling, seed: number, epoch: number): EpochOrder {
  const { length } = dataset.samples;
  const shuffle = shuffledIndices(length, mulberry32(deriveSeed(seed, "shuffle", epoch)));
  if (sampling === "shuffled") return { indices: shuffle, repeats: new Uint32Array(length) };
  const drawn = balancedDraw(dataset, seed, epoch);
  const indices = shuffle.map((place) => drawn[place]!);
  const seen = new Map<number, number>();
  const repeats = indices.map((index) => {
    const before = seen.get(index) ?? 0;
    seen.set(index, before + 1);
    return before;
  });
  return { indices, repeats };
}

/**
 * As many samples as the data set has, of each class the same number, or one more of some where that is not whole. A class with
 * fewer samples is gone through several times, always to the end before it begins again; of one with more, each epoch
 * draws others.
 */
function balancedDraw(dataset: ImageDataset, seed: number, epoch: number): Uint32Array {
  const members = membersPerClass(dataset).filter(({ length }) => length > 0);
  const total = dataset.samples.length;
  const drawn = new Uint32Array(total);
  // Which classes get one more changes from epoch to epoch.
  const order = shuffledIndices(members.length, mulberry32(deriveSeed(seed, "balance", epoch)));
  let written = 0;
  for (const [place, label] of order.entries()) {
    const end = Math.floor(((place + 1) * total) / members.length);
    const ofClass = members[label]!;
    const random = mulberry32(deriveSeed(seed, "balance", epoch, label));
    while (written < end) {
      for (const member of shuffledIndices(ofClass.length, random)) {
        if (written < end) drawn[written++] = ofClass[member]!;
      }
    }
  }
  return drawn;
}

function membersPerClass({ classes, samples }: ImageDataset): number[][] {
  const members = classes.map((): number[] => []);
  for (const [index, sample] of samples.entries()) {
    for (const label of classesOf(sample)) members[label]!.push(index);
  }
  return members;
}
