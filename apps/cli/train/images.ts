import type { ImageDataset } from "../../../src/data/dataset.ts";
import { readWeightList, withSampleWeights } from "../../../src/data/sample-weights.ts";
import { splitDataset } from "../../../src/data/sampling.ts";
import { UsageError } from "../../../src/errors.ts";
import type { FileSystem } from "../../../src/platform.ts";
import type { Settings } from "../../../src/tasks/train/settings/settings.ts";
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
