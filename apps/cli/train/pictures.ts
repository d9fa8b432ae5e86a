import type { ImageDataset } from "../../../src/data/dataset.ts";
import { folderDataset } from "../../../src/data/folder-dataset.ts";
import { splitDataset } from "../../../src/data/split.ts";
import { readWeightList, withSampleWeights } from "../../../src/data/weight-list.ts";
import type { Platform } from "../../../src/platform.ts";
import type { Settings } from "../../../src/tasks/settings/settings.ts";

/** What is trained on and what is tested on. */
export interface TrainingPictures {
  readonly training: ImageDataset;
  readonly validation: ImageDataset;
}

/**
 * Lists the folders, and reads the weights of pictures, but no picture yet.
 * @throws {DataError} a folder cannot be used, a class is too small to hold out a part of it, or a weight is of no picture.
 * @throws {FileError} the file of weights cannot be read.
 * @throws {FormatError} it is no list of weights.
 */
export async function readPictures(
  folder: string,
  { val, valShare, seed, sampleWeights }: Settings,
  platform: Pick<Platform, "listFolder" | "readFile">,
): Promise<TrainingPictures> {
  const unweighted = folderDataset(await platform.listFolder(folder));
  const dataset = sampleWeights === null ? unweighted : await weighted(unweighted, sampleWeights, platform);
  if (val !== null) return { training: dataset, validation: folderDataset(await platform.listFolder(val)) };
  const { training, heldOut: validation } = splitDataset(dataset, valShare, seed);
  return { training, validation };
}

async function weighted(
  dataset: ImageDataset,
  path: string,
  platform: Pick<Platform, "readFile">,
): Promise<ImageDataset> {
  const where = `file "${path}"`;
  return withSampleWeights(
    dataset,
    readWeightList(new TextDecoder().decode(await platform.readFile(path)), where),
    where,
  );
}
