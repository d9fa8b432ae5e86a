import { DataError } from "../base/errors.ts";
import { assertAllowed, assertOption, number } from "../base/kinds.ts";
import { deriveSeed, mulberry32, shuffledIndices } from "../tensor/random.ts";
import { classesOf, type ImageDataset, isMultiLabel } from "./dataset.ts";

/** Fractions of the images that are held out; the others are trained on. */
export interface SplitShares {
  /** From 0, below 1. */
  readonly validation: number;
  readonly test: number;
}

/** A data set in parts that share no image. */
export interface SplitDataset {
  readonly training: ImageDataset;
  readonly validation: ImageDataset;
  readonly test: ImageDataset;
}

type Part = keyof SplitDataset;

/**
 * Holds out shares of every class, or of all images together if they have several labels: of a share above 0 at least one
 * image, and never all. Parts keep the order of the data set, and the same seed holds out the same images.
 * @param options `contents`: a key for each sample, equal for images with equal bytes, which stay in one part.
 * @throws {UsageError} a share is out of its range, or nothing remains to train on.
 * @throws {DataError} a class has fewer different images than there are parts.
 */
export function splitDataset(
  dataset: ImageDataset,
  { validation, test }: SplitShares,
  seed: number,
  { contents }: { readonly contents?: readonly string[] | undefined } = {},
): SplitDataset {
  for (const [name, share] of Object.entries({ validation, test })) {
    assertOption(`splitDataset option ${name}`, share, number({ from: 0, below: 1 }));
  }
  assertAllowed("splitDataset option validation", validation, validation + test < 1, "with the test's less than 1");
  const keys = contents ?? dataset.samples.map((_, index) => String(index));
  const parts = new Map<string, Part>();
  const divide = (members: readonly string[], name: string) => {
    const different = [...new Set(members)];
    const counts = countsOf(different.length, { validation, test }, name);
    const order = shuffledIndices(different.length, mulberry32(deriveSeed(seed, "split", name)));
    const free = Array.from(order, (index) => different[index]!).filter((key) => !parts.has(key));
    // The same image may be of another class, too, and have its part already.
    const assigned = (part: Part) => different.filter((key) => parts.get(key) === part).length;
    for (const part of ["validation", "test"] as const) {
      for (const key of free.splice(0, Math.max(0, counts[part] - assigned(part)))) parts.set(key, part);
    }
    for (const key of free) parts.set(key, "training");
  };
  // Sets of labels cannot be shared out class by class.
  if (isMultiLabel(dataset)) divide(keys, "all");
  else {
    for (const [label, name] of dataset.classes.entries()) {
      divide(
        keys.filter((_, index) => dataset.samples[index]!.label === label),
        name,
      );
    }
  }
  const partOf = (part: Part) => ({
    classes: dataset.classes,
    samples: dataset.samples.filter((_, index) => parts.get(keys[index]!) === part),
  });
  return { training: partOf("training"), validation: partOf("validation"), test: partOf("test") };
}

/** Numbers of images to hold out of `total`, so that at least one remains. */
function countsOf(total: number, shares: SplitShares, name: string): Record<keyof SplitShares, number> {
  const heldOut = (["validation", "test"] as const).filter((part) => shares[part] > 0);
  if (total <= heldOut.length) {
    throw new DataError({
      where: `class "${name}"`,
      what: `there are too few different images to hold one out for ${heldOut.join(" and one for ")}`,
      received: total,
      expected: `at least ${heldOut.length + 1}`,
      remedy: `Add images, or give a folder for ${heldOut.join(" and one for ")}.`,
    });
  }
  const counts = { validation: 0, test: 0 };
  for (const part of heldOut) counts[part] = Math.max(1, Math.round(total * shares[part]));
  while (counts.validation + counts.test >= total) counts[counts.test > counts.validation ? "test" : "validation"]--;
  return counts;
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
