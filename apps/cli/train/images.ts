import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { DataError, UsageError } from "../../../src/base/errors.ts";
import { number, string, wholeNumber } from "../../../src/base/kinds.ts";
import type { FileSystem } from "../../../src/base/platform.ts";
import { type Described, list, nullable, object, optional } from "../../../src/base/schema.ts";
import { compareCodePoints, type ImageDataset, onlyListed, type Sample } from "../../../src/data/dataset.ts";
import { readWeightList, withSampleWeights } from "../../../src/data/sample-weights.ts";
import { type SplitShares, splitDataset } from "../../../src/data/sampling.ts";
import { flagOf, type Settings } from "../../../src/train/settings/settings.ts";
import { describeUnlabeled, readDataset } from "../labels.ts";

/** Images to evaluate the network on. */
export interface EvaluationImages {
  readonly dataset: ImageDataset;
  /** Their own folder; undefined if they are held out of the training folder. */
  readonly folder: string | undefined;
}

/** The images of a run. */
export interface TrainingImages {
  readonly training: ImageDataset;
  readonly validation: EvaluationImages | undefined;
  readonly test: EvaluationImages | undefined;
  /** Notes on the files left out. */
  readonly notes: readonly string[];
}

/**
 * Lists the folders, and reads labels and weights; of the images only files of equal size, since equal ones must be on one
 * side of a split.
 * @throws {DataError} a folder cannot be used, a class is too small to hold out a part of it, or a weight is of no image.
 * @throws {FileError} the list of images or the file of weights cannot be read.
 * @throws {FormatError} a file of weights or labels is invalid.
 * @throws {UsageError} only one of two folders has a file of labels, or a part has both a folder and a share of the split.
 */
export async function readTrainingImages(
  folder: string,
  settings: Settings,
  files: FileSystem,
): Promise<TrainingImages> {
  const { val, test, imagesList, sampleWeights, labelsFile, valLabelsFile, testLabelsFile, seed } = settings;
  assertFullyLabeled(settings);
  const shares = splitOf(settings);
  const { notes, unlabeled, ...whole } = await readDataset(folder, labelsFile, files);
  let dataset: ImageDataset = whole;
  const textOf = async (path: string) => [new TextDecoder().decode(await files.read(path)), `file "${path}"`] as const;
  if (imagesList !== null) dataset = onlyListed(dataset, ...(await textOf(imagesList)));
  if (sampleWeights !== null) {
    const [text, where] = await textOf(sampleWeights);
    dataset = withSampleWeights(dataset, readWeightList(text, where), where);
  }
  const parts = splitDataset(dataset, shares, seed, { contents: await contentsOf(dataset, shares) });
  const others = { notes: [...notes], unlabeled };
  const evaluated = async (name: "validation" | "test", own: string | null, labels: string | null) => {
    if (own === null) return shares[name] > 0 ? { dataset: parts[name], folder: undefined } : undefined;
    const { notes: more, unlabeled: without, ...read } = await readDataset(own, labels, files, dataset.classes);
    others.notes.push(...more);
    others.unlabeled += without;
    return { dataset: read, folder: own };
  };
  const validation = await evaluated("validation", val, valLabelsFile);
  const tested = await evaluated("test", test, testLabelsFile);
  const all = [...others.notes, ...describeUnlabeled(others.unlabeled)];
  return { training: parts.training, validation, test: tested, notes: all };
}

/** The shares to hold out of the training folder. */
export function splitOf({ val, test, split }: Pick<Settings, "val" | "test" | "split">): SplitShares {
  if (val !== null && test !== null && resolve(val) === resolve(test)) {
    const what = "the images of --val choose the weights: a test needs other images";
    throw new UsageError({ where: "option --test", what, received: test });
  }
  const [training, validation, tested] = split ?? [80, val === null ? 20 : 0, 0];
  const total = training + validation + tested;
  for (const [flag, own, share] of [
    ["--val", val, validation],
    ["--test", test, tested],
  ] as const) {
    if (own === null || share === 0) continue;
    throw new UsageError({
      where: "option --split",
      what: `the images of ${flag} take the place of a share of the folder`,
      received: split,
      expected: `0 as its ${flag === "--val" ? "second" : "third"} number`,
    });
  }
  return { validation: validation / total, test: tested / total };
}

/** A key for each image to split: its place, or the digest of its file if another one has the same size. */
async function contentsOf({ samples }: ImageDataset, shares: SplitShares): Promise<readonly string[] | undefined> {
  if (shares.validation + shares.test === 0) return undefined;
  const sizes = await sizesOf(samples);
  const counts = new Map<number | null, number>();
  for (const size of sizes.values()) counts.set(size, (counts.get(size) ?? 0) + 1);
  return inGroups([...samples.entries()], async ([index, sample]) => {
    const isAlone = counts.get(sizes.get(sample)!) === 1;
    return (isAlone ? undefined : await contentDigest(sample)) ?? String(index);
  });
}

function assertFullyLabeled(settings: Settings): void {
  const { labelsFile } = settings;
  for (const [images, labels] of [
    ["val", "valLabelsFile"],
    ["test", "testLabelsFile"],
  ] as const) {
    const file = settings[labels];
    if ((settings[images] !== null && labelsFile !== null) === (file !== null)) continue;
    throw new UsageError({
      where: `option ${flagOf(labels)}`,
      what: file === null ? `the images of ${flagOf(images)} need labels too` : "there are no images for it",
      ...(file !== null && { received: file }),
      expected: `${flagOf(labels)} together with --labels-file and ${flagOf(images)}`,
    });
  }
}

const entrySchema = object({
  /** Path inside the data set; its first part is the class. */
  file: string,
  /** Size; null if it cannot be read. */
  bytes: nullable(wholeNumber({ from: 0 })),
  /** First digits of the SHA-256 of the content, if compared. */
  sha256: optional(string),
  /** Classes from a file of labels. */
  labels: optional(list(string)),
  /** Weight in the loss from a file. */
  weight: optional(number()),
});
type Entry = Described<typeof entrySchema>;

/** The images of a run at its start: those of its folder, and those of others to validate and test on. */
export const imageListSchema = object({
  images: list(entrySchema),
  validation: list(entrySchema),
  test: optional(list(entrySchema)),
});
export type ImageList = Described<typeof imageListSchema>;

/** Up to this total size in bytes, contents are compared, not only sizes. */
const contentLimit = 2 ** 28;
/** Files read in parallel. */
const atATime = 64;

/** Lists all image files of a run with their sizes or digests; held-out ones are among the `images`. */
export async function listImages({ training, validation, test }: TrainingImages): Promise<ImageList> {
  const samplesOf = (part: EvaluationImages | undefined, isHeldOut: boolean) =>
    part && (part.folder === undefined) === isHeldOut ? part.dataset.samples : [];
  const images = [...training.samples, ...samplesOf(validation, true), ...samplesOf(test, true)];
  const validated = samplesOf(validation, false);
  const tested = samplesOf(test, false);
  const sizes = await sizesOf([...images, ...validated, ...tested]);
  const total = [...sizes.values()].reduce((sum: number, bytes) => sum + (bytes ?? 0), 0);
  const list = (samples: readonly Sample[], { classes }: ImageDataset) =>
    entriesOf({ classes, samples }, sizes, total <= contentLimit);
  return {
    images: await list(images, training),
    validation: await list(validated, validation?.dataset ?? training),
    ...(tested.length > 0 && { test: await list(tested, test!.dataset) }),
  };
}

export function digestOf(list: ImageList): string {
  return createHash("sha256").update(JSON.stringify(list)).digest("hex");
}

/**
 * @param run its folder, for the message.
 * @throws {DataError} the images have changed since the start of the run; the message names them.
 */
export function assertUnchangedImages(run: string, before: ImageList, now: ImageList): void {
  const differences = [
    ...differencesOf(before.images, now.images, ""),
    ...differencesOf(before.validation, now.validation, " for validation"),
    ...differencesOf(before.test ?? [], now.test ?? [], " for the test"),
  ];
  if (differences.length === 0) return;
  throw changedImages(run, differences.join("; "));
}

export function changedImages(run: string, differences: string): DataError {
  return new DataError({
    where: `images of the run in "${run}"`,
    what: `they have changed since it started: ${differences}`,
    remedy: "Restore them, or start a new run in another folder.",
  });
}

function differencesOf(before: readonly Entry[], now: readonly Entry[], kind: string): string[] {
  const old = new Map(before.map((entry) => [entry.file, entry]));
  const files = new Set(now.map(({ file }) => file));
  const describe = (entries: readonly Entry[], change: string): string[] => {
    const names = entries.map(({ file }) => file).sort(compareCodePoints);
    const more = names.length > 5 ? ", …" : "";
    return names.length === 0 ? [] : [`${names.length} ${change}${kind} (${names.slice(0, 5).join(", ")}${more})`];
  };
  const differing = (isOther: (a: Entry, b: Entry) => boolean) =>
    now.filter((entry) => old.has(entry.file) && isOther(old.get(entry.file)!, entry));
  const otherLabels = differing((a, b) => a.labels?.join("\0") !== b.labels?.join("\0"));
  return [
    ...describe(
      now.filter(({ file }) => !old.has(file)),
      "added",
    ),
    ...describe(
      before.filter(({ file }) => !files.has(file)),
      "removed",
    ),
    ...describe(differing(isOtherImage), "changed"),
    ...describe(otherLabels, "with other labels"),
    ...describe(
      differing((a, b) => a.weight !== b.weight),
      "with another weight",
    ),
  ];
}

/** Contents are compared only if both were read. */
function isOtherImage(a: Entry, b: Entry): boolean {
  return a.bytes !== b.bytes || (a.sha256 !== undefined && b.sha256 !== undefined && a.sha256 !== b.sha256);
}

async function sizesOf(samples: readonly Sample[]): Promise<ReadonlyMap<Sample, number | null>> {
  const sizes = await inGroups(samples, async (sample) => {
    const status = await stat(pathOf(sample)).catch(() => undefined);
    return [sample, status?.size ?? null] as const;
  });
  return new Map(sizes);
}

function entriesOf(
  { classes, samples }: ImageDataset,
  sizes: ReadonlyMap<Sample, number | null>,
  withContent: boolean,
): Promise<Entry[]> {
  return inGroups(samples, async (sample) => {
    const digest = withContent ? await contentDigest(sample) : undefined;
    return {
      file: sample.name,
      bytes: sizes.get(sample)!,
      ...(digest && { sha256: digest.slice(0, 16) }),
      ...(sample.labels && { labels: sample.labels.map((label) => classes[label]!) }),
      ...(sample.weight !== undefined && { weight: sample.weight }),
    };
  });
}

/** SHA-256 of an image's file; undefined if it cannot be read. */
async function contentDigest(sample: Sample): Promise<string | undefined> {
  const content = await readFile(pathOf(sample)).catch(() => undefined);
  return content && createHash("sha256").update(content).digest("hex");
}

function pathOf({ image }: Sample): string {
  return image as string;
}

async function inGroups<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += atATime) {
    results.push(...(await Promise.all(items.slice(start, start + atATime).map(work))));
  }
  return results;
}
