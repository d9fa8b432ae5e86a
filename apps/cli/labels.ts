import type { Command } from "commander";
import { UsageError } from "../../src/base/errors.ts";
import type { FileSystem } from "../../src/base/platform.ts";
import { folderDataset, type ImageDataset, isMultiLabel } from "../../src/data/dataset.ts";
import { multiLabelDataset, parseLabels, parseMapWeights } from "../../src/data/labels.ts";
import { imagenetLabels } from "../../src/models/imagenet-classes.ts";
import { withCommas } from "../../src/report/numbers.ts";
import { readFile } from "../../src/runtime/node/files.ts";

/** A data set, and how many images of its folder are not part of it because a file has no label for them. */
export type LabeledImages = ImageDataset & { readonly unlabeled: number };

/**
 * A folder of images: of one class each by its sub-folders, or with the labels of a file.
 * @param classes of the model that images with several labels are for.
 */
export async function readDataset(
  folder: string,
  labelsFile: string | null,
  files: FileSystem,
  classes?: readonly string[],
): Promise<LabeledImages> {
  const listing = await files.list(folder);
  if (labelsFile === null) return { ...folderDataset(listing), unlabeled: 0 };
  const where = `file "${labelsFile}"`;
  return multiLabelDataset(listing, parseLabels(await readText(labelsFile, files), where), where, classes);
}

/** Notes on images left out for want of a label; empty if there are none. */
export function describeUnlabeled(count: number): readonly string[] {
  if (count === 0) return [];
  return [
    count === 1
      ? "1 image has no label in the file and is left out"
      : `${withCommas(count)} images have no label in the file and are left out`,
  ];
}

/**
 * Reads the class weights of the mean average precision; undefined if all are the same.
 * @throws {UsageError} the images have one class each.
 */
export async function readMapWeights(
  file: string | null,
  dataset: ImageDataset,
  files: FileSystem,
  classes = dataset.classes,
): Promise<number[] | undefined> {
  if (file === null) return undefined;
  if (!isMultiLabel(dataset)) {
    throw new UsageError({
      where: "option --map-weights",
      what: "there is no MAP@100 of images with one class each",
      received: file,
      expected: "--map-weights together with --labels-file",
    });
  }
  return parseMapWeights(await readText(file, files), classes, `file "${file}"`);
}

async function readText(file: string, files: FileSystem): Promise<string> {
  return new TextDecoder().decode(await files.read(file));
}

/** Gives a command that reads models the flag for what a file may not say: how its classes are called. */
export function addLabelsOption(command: Command): Command {
  return command.option(
    "--labels <file>",
    "names of the classes, one a line; imagenet: those of ImageNet's 1000 classes",
  );
}

/** Reads the class names of `--labels`; undefined without the flag. */
export async function labelsOf(file: string | undefined): Promise<readonly string[] | undefined> {
  if (file === undefined || file === "imagenet") return file && imagenetLabels();
  return new TextDecoder()
    .decode(await readFile(file))
    .split(/\r?\n/)
    .filter((line) => line !== "");
}
