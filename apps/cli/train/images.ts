import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { DataError, UsageError } from "../../../src/base/errors.ts";
import type { FileSystem } from "../../../src/base/platform.ts";
import { compareCodePoints, type ImageDataset, type Sample } from "../../../src/data/dataset.ts";
import { readWeightList, withSampleWeights } from "../../../src/data/sample-weights.ts";
import { splitDataset } from "../../../src/data/sampling.ts";
import type { Settings } from "../../../src/train/settings/settings.ts";
import { readDataset } from "../labels.ts";

/** What is trained on and what is tested on. */
export interface TrainingImages {
  readonly training: ImageDataset;
  readonly validation: ImageDataset;
  /** How many others the files of labels say nothing of. */
  readonly unlabeled: number;
}

/**
 * Lists the folders, and reads the weights of images, but no image yet.
 * @throws {DataError} a folder cannot be used, a class is too small to hold out a part of it, or a weight is of no image.
 * @throws {FileError} the file of weights cannot be read.
 * @throws {FormatError} it is no list of weights, or a file of labels is none.
 * @throws {UsageError} only one of the two folders has a file of labels.
 */
export async function readTrainingImages(
  folder: string,
  { val, valShare, seed, labelsFile, valLabelsFile, sampleWeights }: Settings,
  files: FileSystem,
): Promise<TrainingImages> {
  assertFullyLabeled({ val, labelsFile, valLabelsFile });
  const { unlabeled, ...unweighted } = await readDataset(folder, labelsFile, files);
  const dataset = sampleWeights === null ? unweighted : await weighted(unweighted, sampleWeights, files);
  if (val !== null) {
    const { unlabeled: others, ...validation } = await readDataset(val, valLabelsFile, files, dataset.classes);
    return { training: dataset, validation, unlabeled: unlabeled + others };
  }
  const { training, heldOut: validation } = splitDataset(dataset, valShare, seed);
  return { training, validation, unlabeled };
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
  /** Size; null where it cannot be read. */
  bytes: z.int().nullable(),
  /** First digits of the SHA-256 of the content, where it was looked at. */
  sha256: z.string().optional(),
  /** Its classes, where a file of labels says them. */
  labels: z.array(z.string()).optional(),
  /** How much it counts in the loss, where a file says it. */
  weight: z.number().optional(),
});
type Entry = z.infer<typeof entrySchema>;

/** The images of a run as they were when it began. */
export const imageListSchema = z.object({ images: z.array(entrySchema), validation: z.array(entrySchema) });
export type ImageList = z.infer<typeof imageListSchema>;

/** Up to so many bytes of images in all, contents are compared, not only sizes. */
const contentLimit = 2 ** 28;
/** Files that are looked at together. */
const atATime = 64;

/** Looks at all image files of a training; held out ones are among the `images`. */
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

/** SHA-256 of the list. */
export function digestOf(list: ImageList): string {
  return createHash("sha256").update(JSON.stringify(list)).digest("hex");
}

/**
 * @param run its folder, for the message.
 * @throws {DataError} the images are not those that the run began with; the message names them.
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
    what: `they have changed since it began: ${differences}`,
    remedy: "Put them back as they were, or start a new run in another folder.",
  });
}

function differencesOf(before: readonly Entry[], now: readonly Entry[], kind: string): string[] {
  const old = new Map(before.map((entry) => [entry.file, entry]));
  const current = new Map(now.map((entry) => [entry.file, entry]));
  const added = [...current.keys()].filter((file) => !old.has(file));
  const removed = [...old.keys()].filter((file) => !current.has(file));
  const withOther = (isOther: (a: Entry, b: Entry) => boolean) =>
    [...current].filter(([file, entry]) => old.has(file) && isOther(old.get(file)!, entry)).map(([file]) => file);
  return [
    ...describe(added, `added${kind}`),
    ...describe(removed, `removed${kind}`),
    ...describe(withOther(isOtherImage), `changed${kind}`),
    ...describe(
      withOther((a, b) => a.labels?.join("\0") !== b.labels?.join("\0")),
      `with other labels${kind}`,
    ),
    ...describe(
      withOther((a, b) => a.weight !== b.weight),
      `with another weight${kind}`,
    ),
  ];
}

/** Contents count only where both were looked at. */
function isOtherImage(a: Entry, b: Entry): boolean {
  return a.bytes !== b.bytes || (a.sha256 !== undefined && b.sha256 !== undefined && a.sha256 !== b.sha256);
}

function describe(files: readonly string[], what: string): string[] {
  if (files.length === 0) return [];
  const named = files.toSorted(compareCodePoints).slice(0, 5).join(", ");
  return [`${files.length} ${what} (${named}${files.length > 5 ? ", …" : ""})`];
}

async function sizesOf(samples: readonly Sample[]): Promise<ReadonlyMap<Sample, number | null>> {
  const sizes = new Map<Sample, number | null>();
  await inGroups(samples, async (sample) => {
    const status = await stat(pathOf(sample)).catch(() => undefined);
    sizes.set(sample, status?.size ?? null);
  });
  return sizes;
}

async function entriesOf(
  { classes, samples }: ImageDataset,
  sizes: ReadonlyMap<Sample, number | null>,
  withContent: boolean,
): Promise<Entry[]> {
  const entries = new Map<Sample, Entry>();
  await inGroups(samples, async (sample) => {
    const content = withContent ? await readFile(pathOf(sample)).catch(() => undefined) : undefined;
    entries.set(sample, {
      file: sample.name,
      bytes: sizes.get(sample)!,
      ...(content && { sha256: createHash("sha256").update(content).digest("hex").slice(0, 16) }),
      ...(sample.labels && { labels: sample.labels.map((label) => classes[label]!) }),
      ...(sample.weight !== undefined && { weight: sample.weight }),
    });
  });
  return samples.map((sample) => entries.get(sample)!);
}

/** Samples of a folder are named by their path. */
function pathOf({ image }: Sample): string {
  return image as string;
}

async function inGroups<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let start = 0; start < items.length; start += atATime) {
    await Promise.all(items.slice(start, start + atATime).map(work));
  }
}
