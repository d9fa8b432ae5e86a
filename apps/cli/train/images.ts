import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import * as z from "zod";
import { DataError, UsageError } from "../../../src/base/errors.ts";
import type { FileSystem } from "../../../src/base/platform.ts";
import { compareCodePoints, type ImageDataset, type Sample } from "../../../src/data/dataset.ts";
import { readWeightList, withSampleWeights } from "../../../src/data/sample-weights.ts";
import { splitDataset } from "../../../src/data/sampling.ts";
import type { Settings } from "../../../src/train/settings/settings.ts";
import { describeUnlabeled, readDataset } from "../labels.ts";

/** The images of a run. */
export interface TrainingImages {
  readonly training: ImageDataset;
  readonly validation: ImageDataset;
  /** Notes on the files left out. */
  readonly notes: readonly string[];
}

/**
 * Lists the folders, and reads labels and weights, but no images.
 * @throws {DataError} a folder cannot be used, a class is too small to hold out a part of it, or a weight is of no image.
 * @throws {FileError} the file of weights cannot be read.
 * @throws {FormatError} a file of weights or labels is invalid.
 * @throws {UsageError} only one of two folders has a file of labels.
 */
export async function readTrainingImages(
  folder: string,
  { val, valShare, seed, labelsFile, valLabelsFile, sampleWeights }: Settings,
  files: FileSystem,
): Promise<TrainingImages> {
  assertFullyLabeled({ val, labelsFile, valLabelsFile });
  const { notes, unlabeled, ...unweighted } = await readDataset(folder, labelsFile, files);
  const dataset = sampleWeights === null ? unweighted : await weighted(unweighted, sampleWeights, files);
  if (val !== null) {
    const {
      notes: others,
      unlabeled: more,
      ...validation
    } = await readDataset(val, valLabelsFile, files, dataset.classes);
    return { training: dataset, validation, notes: [...notes, ...others, ...describeUnlabeled(unlabeled + more)] };
  }
  const { training, heldOut: validation } = splitDataset(dataset, valShare, seed);
  return { training, validation, notes: [...notes, ...describeUnlabeled(unlabeled)] };
}

async function weighted(dataset: ImageDataset, path: string, files: FileSystem): Promise<ImageDataset> {
  const where = `file "${path}"`;
  return withSampleWeights(dataset, readWeightList(new TextDecoder().decode(await files.read(path)), where), where);
}

function assertFullyLabeled(settings: Pick<Settings, "val" | "labelsFile" | "valLabelsFile">): void {
  const { val, labelsFile, valLabelsFile } = settings;
  const expected = (val !== null && labelsFile !== null) === (valLabelsFile !== null);
  if (expected) return;
  throw new UsageError({
    where: "option --val-labels-file",
    what: valLabelsFile === null ? "the images of --val need labels too" : "there are no images for it",
    ...(valLabelsFile !== null && { received: valLabelsFile }),
    expected: "--val-labels-file together with --labels-file and --val",
  });
}

const entrySchema = z.object({
  /** Path inside the data set; its first part is the class. */
  file: z.string(),
  /** Size; null if it cannot be read. */
  bytes: z.int().nullable(),
  /** First digits of the SHA-256 of the content, if compared. */
  sha256: z.string().optional(),
  /** Classes from a file of labels. */
  labels: z.array(z.string()).optional(),
  /** Weight in the loss from a file. */
  weight: z.number().optional(),
});
type Entry = z.infer<typeof entrySchema>;

/** The images of a run at its start. */
export const imageListSchema = z.object({ images: z.array(entrySchema), validation: z.array(entrySchema) });
export type ImageList = z.infer<typeof imageListSchema>;

/** Up to this total size in bytes, contents are compared, not only sizes. */
const contentLimit = 2 ** 28;
/** Files read in parallel. */
const atATime = 64;

/** Lists all image files of a run with their sizes or digests; held-out ones are among the `images`. */
export async function listImages({
  training,
  validation,
  validationFolder,
}: TrainingImages & { readonly validationFolder: string | undefined }): Promise<ImageList> {
  const isHeldOut = validationFolder === undefined;
  const images = isHeldOut ? [...training.samples, ...validation.samples] : training.samples;
  const sizes = await sizesOf([...images, ...(isHeldOut ? [] : validation.samples)]);
  const total = [...sizes.values()].reduce((sum: number, bytes) => sum + (bytes ?? 0), 0);
  const list = (samples: readonly Sample[], { classes }: ImageDataset) =>
    entriesOf({ classes, samples }, sizes, total <= contentLimit);
  return {
    images: await list(images, training),
    validation: isHeldOut ? [] : await list(validation.samples, validation),
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
  const describe = (entries: readonly Entry[], change: string) => describeFiles(entries, `${change}${kind}`);
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

function describeFiles(entries: readonly Entry[], change: string): string[] {
  if (entries.length === 0) return [];
  const files = entries.map(({ file }) => file).sort(compareCodePoints);
  return [`${files.length} ${change} (${files.slice(0, 5).join(", ")}${files.length > 5 ? ", …" : ""})`];
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
    const content = withContent ? await readFile(pathOf(sample)).catch(() => undefined) : undefined;
    return {
      file: sample.name,
      bytes: sizes.get(sample)!,
      ...(content && { sha256: createHash("sha256").update(content).digest("hex").slice(0, 16) }),
      ...(sample.labels && { labels: sample.labels.map((label) => classes[label]!) }),
      ...(sample.weight !== undefined && { weight: sample.weight }),
    };
  });
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
