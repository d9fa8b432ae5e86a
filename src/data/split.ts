import { DataError, UsageError } from "../errors.ts";
import { deriveSeed, mulberry32, shuffledIndices } from "../tensor/random.ts";
import { type ImageDataset, isMultiLabel, type Sample } from "./dataset.ts";

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
  if (!(share > 0 && share < 1)) {
    throw new UsageError({
      where: "splitDataset",
      what: "the share cannot be held out",
      received: share,
      expected: "a number between 0 and 1",
    });
  }
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
