import { DataError } from "../errors.ts";
import type { ImageSource, RgbImage } from "../platform.ts";

/** One labeled image of a data set. */
export interface Sample {
  /** A file's path, an encoded image's bytes, or pixels that are decoded already. */
  readonly image: ImageSource | RgbImage;
  /** Index into the data set's classes. */
  readonly label: number;
  /** In a multi-label data set: all its classes, in any number; `label` is then the one that tables file it under. */
  readonly labels?: readonly number[];
  /** How much it counts in the loss, from 0; default 1. */
  readonly weight?: number;
  /** What reports call it, e.g. its path inside the data set. */
  readonly name: string;
}

/** Images, each of one class. */
export interface ImageDataset {
  /** Names of the classes; a sample's label is an index into them. */
  readonly classes: readonly string[];
  readonly samples: readonly Sample[];
}

/** The classes of a sample: one, or as many as its `labels` say. */
export function classesOf({ label, labels }: Sample): readonly number[] {
  return labels ?? [label];
}

/** Whether the samples have sets of labels, not one each. */
export function isMultiLabel({ samples }: ImageDataset): boolean {
  return samples.some(({ labels }) => labels !== undefined);
}

/** How many samples each class has, in the order of the classes. */
export function countPerClass({ classes, samples }: ImageDataset): number[] {
  const counts = new Array<number>(classes.length).fill(0);
  for (const sample of samples) {
    for (const label of classesOf(sample)) counts[label] = counts[label]! + 1;
  }
  return counts;
}

/**
 * The same images with labels that count in `classes`: what makes a validation folder fit the classes of a model,
 * whatever order either lists them in.
 * @param owner whose classes they are, for the message, e.g. `the training folder`.
 * @throws {DataError} the two do not name the same set of classes.
 */
export function relabel(dataset: ImageDataset, classes: readonly string[], owner: string): ImageDataset {
  const unknown = dataset.classes.filter((name) => !classes.includes(name));
  const missing = classes.filter((name) => !dataset.classes.includes(name));
  if (unknown.length > 0 || missing.length > 0) {
    const differences = [
      ...(unknown.length > 0 ? [`${owner} does not know ${unknown.join(", ")}`] : []),
      ...(missing.length > 0 ? [`the data set lacks ${missing.join(", ")}`] : []),
    ];
    throw new DataError({
      where: "classes of the data set",
      what: `they differ from those of ${owner}: ${differences.join("; ")}`,
      received: dataset.classes,
      expected: `[${classes.map((name) => JSON.stringify(name)).join(", ")}]`,
    });
  }
  const places = dataset.classes.map((name) => classes.indexOf(name));
  const samples = dataset.samples.map((sample) => ({
    ...sample,
    label: places[sample.label]!,
    ...(sample.labels && { labels: sample.labels.map((label) => places[label]!) }),
  }));
  return { classes, samples };
}
