import type { Command } from "commander";
import { UsageError } from "../../src/base/errors.ts";
import type { FileSystem } from "../../src/base/platform.ts";
import { folderDataset, type ImageDataset, isMultiLabel, unsupportedKinds } from "../../src/data/dataset.ts";
import { multiLabelDataset, parseLabels, parseMapWeights } from "../../src/data/labels.ts";
import { imagenetLabels } from "../../src/models/imagenet-classes.ts";
import { counted, withCommas } from "../../src/report/numbers.ts";
import { readFile } from "../../src/runtime/node/files.ts";

/** A data set, the number of images without a label, and notes on the files left out. */
export type LabeledImages = ImageDataset & { readonly unlabeled: number; readonly notes: readonly string[] };

/**
 * Reads a folder of images, labeled by subfolder or by a file.
 * @param classes of the model; the folder may have fewer, even a single one.
 */
export async function readDataset(
  folder: string,
  labelsFile: string | null,
  files: FileSystem,
  classes?: readonly string[],
): Promise<LabeledImages> {
  const listing = await files.list(folder);
  const notes = describeUnsupported(folder, unsupportedKinds(listing.files));
  if (labelsFile === null) return { ...folderDataset(listing, { leastClasses: classes ? 1 : 2 }), unlabeled: 0, notes };
  const where = `file "${labelsFile}"`;
  const labels = parseLabels(await readText(labelsFile, files), where);
  return { ...multiLabelDataset(listing, labels, where, classes), notes };
}

/** A note on the files of a folder that are not images, by kind; empty if there are none. */
export function describeUnsupported(folder: string, kinds: ReadonlyMap<string, number>): readonly string[] {
  if (kinds.size === 0) return [];
  const counts = [...kinds].map(([kind, count]) => `${withCommas(count)} ${kind}`);
  return [`Skipped files in ${folder} that are not supported images: ${counts.join(", ")}`];
}

/** Notes on images left out because they have no label; empty if there are none. */
export function describeUnlabeled(count: number): readonly string[] {
  if (count === 0) return [];
  return [`${counted(count, "image has", "images have")} no label in the file; left out`];
}

/**
 * Reads the class weights for mean average precision; undefined without a file.
 * @throws {UsageError} the images have one label each.
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
      what: "MAP@100 is computed only for images with several labels",
      received: file,
      expected: "--map-weights together with --labels-file",
    });
  }
  return parseMapWeights(await readText(file, files), classes, `file "${file}"`);
}

async function readText(file: string, files: FileSystem): Promise<string> {
  return new TextDecoder().decode(await files.read(file));
}

/** Adds the flag for class names, which a file may lack. */
export function addLabelsOption(command: Command): Command {
  return command.option("--labels <file>", "class names, one per line; imagenet: ImageNet's 1000 classes");
}

/** Reads the class names of `--labels`; undefined without the flag. */
export async function labelsOf(file: string | undefined): Promise<readonly string[] | undefined> {
  if (file === undefined || file === "imagenet") return file && imagenetLabels();
  const lines = new TextDecoder().decode(await readFile(file)).split(/\r?\n/);
  return lines.filter((line) => line !== "");
}
