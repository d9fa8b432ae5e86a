import type { ImageDataset } from "../../src/data/dataset.ts";
import { folderDataset } from "../../src/data/folder-dataset.ts";
import { multiLabelDataset, parseLabels, parseMapWeights } from "../../src/data/labels-file.ts";
import type { Platform } from "../../src/platform.ts";

type DataPlatform = Pick<Platform, "listFolder" | "readFile">;

/**
 * A folder of pictures: of one class each by its sub-folders, or with the labels of a file.
 * @param classes of the model that pictures with several labels are for.
 */
export async function readDataset(
  folder: string,
  labelsFile: string | null,
  platform: DataPlatform,
  classes?: readonly string[],
): Promise<ImageDataset> {
  const listing = await platform.listFolder(folder);
  if (labelsFile === null) return folderDataset(listing);
  const where = `file "${labelsFile}"`;
  return multiLabelDataset(listing, parseLabels(await readText(labelsFile, platform), where), where, classes);
}

/** How much each class counts in the mean average precision; undefined: all the same. */
export async function readMapWeights(
  file: string | null,
  classes: readonly string[],
  platform: DataPlatform,
): Promise<number[] | undefined> {
  if (file === null) return undefined;
  return parseMapWeights(await readText(file, platform), classes, `file "${file}"`);
}

async function readText(file: string, platform: DataPlatform): Promise<string> {
  return new TextDecoder().decode(await platform.readFile(file));
}
