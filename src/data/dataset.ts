import { DataError } from "../base/errors.ts";
import type { FolderListing, PortableImage } from "../base/platform.ts";

/** One labeled image of a data set. */
export interface Sample {
  readonly image: PortableImage;
  /** Index into the data set's classes. */
  readonly label: number;
  /** All its classes in a multi-label data set; `label` is then the one under which tables list it. */
  readonly labels?: readonly number[];
  /** Sample weight in the loss, from 0; default 1. */
  readonly weight?: number;
  /** Name in reports, e.g. its path inside the data set. */
  readonly name: string;
}

/** Images, each of one class. */
export interface ImageDataset {
  /** Names of the classes; a sample's label is an index into them. */
  readonly classes: readonly string[];
  readonly samples: readonly Sample[];
}

/** The classes of a sample: its `labels` if set, else its only `label`. */
export function classesOf({ label, labels }: Sample): readonly number[] {
  return labels ?? [label];
}

/** Returns true if samples have sets of labels, not one label each. */
export function isMultiLabel({ samples }: ImageDataset): boolean {
  return samples.some(({ labels }) => labels !== undefined);
}

/**
 * @param name the data set in messages.
 * @throws {DataError} a label of a sample is not an index into the classes, or its weight is not a number from 0.
 */
export function assertSamples({ classes, samples }: ImageDataset, name: string): void {
  for (const sample of samples) {
    const wrong = [sample.label, ...classesOf(sample)].find((label) => classes[label] === undefined);
    const where = `${name}, image "${sample.name}"`;
    const { weight = 1 } = sample;
    if (!(weight >= 0 && weight < Infinity)) {
      throw new DataError({ where, what: "its weight is not allowed", received: weight, expected: "a number from 0" });
    }
    if (wrong === undefined) continue;
    throw new DataError({
      where,
      what: "its label is not the index of a class",
      received: wrong,
      expected: `a whole number from 0 to ${classes.length - 1}`,
    });
  }
}

/** Counts the samples of each class, in the order of the classes. */
export function countPerClass({ classes, samples }: ImageDataset): number[] {
  const counts = new Array<number>(classes.length).fill(0);
  for (const sample of samples) {
    for (const label of classesOf(sample)) counts[label] = counts[label]! + 1;
  }
  return counts;
}

/**
 * Returns the same images with labels that are indices into `classes`, so that a validation folder fits the classes of a model
 * whatever their order.
 * @param owner owner of the classes, for the message, e.g. `the training folder`.
 * @param options `name`: the data set in messages, e.g. `the validation set`; `isPartial`: it may lack some of the classes.
 * @throws {DataError} the sets of classes differ, or a label is not the index of a class, or a weight is not allowed.
 */
export function relabel(
  dataset: ImageDataset,
  classes: readonly string[],
  owner: string,
  { name = "the data set", isPartial = false }: { readonly name?: string; readonly isPartial?: boolean } = {},
): ImageDataset {
  const unknown = dataset.classes.filter((each) => !classes.includes(each));
  const missing = isPartial ? [] : classes.filter((each) => !dataset.classes.includes(each));
  if (unknown.length > 0 || missing.length > 0) {
    const differences = [
      ...(unknown.length > 0 ? [`${owner} does not know ${unknown.join(", ")}`] : []),
      ...(missing.length > 0 ? [`${name} lacks ${missing.join(", ")}`] : []),
    ];
    throw new DataError({
      where: `classes of ${name}`,
      what: `they differ from those of ${owner}: ${differences.join("; ")}`,
      received: dataset.classes,
      expected: `[${classes.map((each) => JSON.stringify(each)).join(", ")}]`,
    });
  }
  assertSamples(dataset, name);
  const places = dataset.classes.map((each) => classes.indexOf(each));
  const samples = dataset.samples.map((sample) => ({
    ...sample,
    label: places[sample.label]!,
    ...(sample.labels && { labels: sample.labels.map((label) => places[label]!) }),
  }));
  return { classes, samples };
}

/**
 * Returns the images that a list names, in the order of the data set.
 * @param list one name a line; empty lines are skipped.
 * @param where the list's name in errors.
 * @throws {DataError} a name is not in the data set, or a class loses all its images.
 */
export function onlyListed({ classes, samples }: ImageDataset, list: string, where: string): ImageDataset {
  const names = new Set(
    list
      .replace(/^\uFEFF/, "")
      .split(/\r?\n/)
      .filter((line) => line !== ""),
  );
  const kept = samples.filter(({ name }) => names.has(name));
  const known = new Set(kept.map(({ name }) => name));
  const unknown = [...names].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    const expected = "paths inside the folder, e.g. cat/1.jpg";
    throw new DataError({
      where,
      what: `it lists images that the data set lacks (${unknown.length})`,
      received: unknown.slice(0, 3),
      expected,
    });
  }
  const used = new Set(kept.flatMap((sample) => classesOf(sample)));
  const empty = classes.filter((_, label) => !used.has(label));
  if (empty.length === 0) return { classes, samples: kept };
  throw new DataError({ where, what: "it lists no image of some classes", received: empty.slice(0, 5) });
}

const imageExtensions = ["jpg", "jpeg", "jfif", "png", "webp", "avif", "gif", "tif", "tiff", "bmp"];

/** A data set read from a folder with one subfolder per class. */
export interface FolderDataset extends ImageDataset {
  /** Ignored files, counted by reason. */
  readonly ignored: {
    /** Hidden: its name, or that of a folder on its path, starts with a dot. */
    readonly hidden: number;
    /** Not an image by its extension. */
    readonly notImages: number;
    /** An image beside the class folders, not in one of them. */
    readonly outsideClasses: number;
  };
}

/**
 * Builds a data set from a folder with one subfolder per class. Classes are the subfolders, sorted by code point as
 * Keras and torchvision sort them, so that labels agree with theirs; images may lie in folders inside a class.
 * @param options `leastClasses`: 1 to evaluate a model on a single one of its classes; default 2.
 * @throws {DataError} there are no class folders, no images, a class without images, or only one class.
 */
export function folderDataset(
  listing: FolderListing,
  { leastClasses = 2 }: { readonly leastClasses?: 1 | 2 } = {},
): FolderDataset {
  const classes = listing.folders.filter((name) => !name.startsWith(".")).sort(compareCodePoints);
  const labels = new Map(classes.map((name, label) => [name, label]));
  const ignored = { hidden: 0, notImages: 0, outsideClasses: 0 };
  const samples: Sample[] = [];
  for (const name of [...listing.files].sort(compareCodePoints)) {
    const label = labels.get(name.slice(0, name.indexOf("/")));
    if (isHidden(name)) ignored.hidden++;
    else if (!isImageFile(name)) ignored.notImages++;
    else if (!name.includes("/") || label === undefined) ignored.outsideClasses++;
    else samples.push({ image: `${listing.path}/${name}`, label, name });
  }
  assertUsable(listing.path, { classes, samples }, ignored.outsideClasses, leastClasses);
  return { classes, samples, ignored };
}

/** Returns true if a file below a folder is hidden: its name, or that of a folder on its path, starts with a dot. */
export function isHidden(file: string): boolean {
  return file.split("/").some((part) => part.startsWith("."));
}

/** Counts the files below a folder that are not supported images by extension, e.g. `.heic`; hidden ones are left out. */
export function unsupportedKinds(files: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const file of files.filter((name) => !isHidden(name) && !isImageFile(name))) {
    const name = file.slice(file.lastIndexOf("/") + 1);
    const kind = name.includes(".") ? name.slice(name.lastIndexOf(".")).toLowerCase() : "without extension";
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return new Map([...counts].sort(([a], [b]) => compareCodePoints(a, b)));
}

/** Returns true if the file name has the extension of an image. */
export function isImageFile(file: string): boolean {
  return imageExtensions.includes(file.slice(file.lastIndexOf(".") + 1).toLowerCase());
}

function assertUsable(path: string, { classes, samples }: ImageDataset, loose: number, leastClasses: number): void {
  const where = `data set "${path}"`;
  const layout = `one subfolder of images for each class, e.g. ${path}/cat/1.jpg and ${path}/dog/1.jpg`;
  if (classes.length === 0) {
    const what =
      loose > 0 ? `there are no class folders, only loose images (${loose})` : "the folder has no class folders";
    throw new DataError({ where, what, expected: layout });
  }
  if (samples.length === 0) {
    throw new DataError({
      where,
      what: `there are no images in its subfolders (${classes.length})`,
      expected: `${layout}; files that end in ${imageExtensions.map((extension) => `.${extension}`).join(" ")}`,
    });
  }
  const filled = new Set(samples.map(({ label }) => label));
  const empty = classes.filter((_, label) => !filled.has(label));
  if (empty.length > 0) {
    throw new DataError({
      where,
      what: "there are classes without images",
      received: empty,
      remedy: "Add images to these folders or remove them.",
    });
  }
  if (classes.length >= leastClasses) return;
  throw new DataError({ where, what: "there is only one class", received: classes[0], expected: layout });
}

/**
 * Orders two strings by code point, as Python does: JavaScript's own order compares UTF-16 units and puts an emoji before
 * `U+FF21`, which would give the classes of a folder other labels than in Keras.
 */
export function compareCodePoints(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const difference = a.codePointAt(at)! - b.codePointAt(at)!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
