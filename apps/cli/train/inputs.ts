import type { ImageDataset } from "../../../src/data/dataset.ts";
import { folderDataset } from "../../../src/data/folder-dataset.ts";
import { splitDataset } from "../../../src/data/split.ts";
import { xception } from "../../../src/models/xception.ts";
import type { XceptionOptions } from "../../../src/models/xception-options.ts";
import type { Device, Platform } from "../../../src/platform.ts";
import { xceptionOptionsOf } from "../network-options.ts";
import { type Recipe, recipeOf, type TrainFlags } from "./flags.ts";

/** What a training is made of. */
export interface TrainingInputs {
  readonly options: XceptionOptions;
  readonly recipe: Recipe;
  readonly folder: string;
  readonly training: ImageDataset;
  readonly validation: ImageDataset;
  /** The validation pictures' folder; undefined where they are a part of the training folder. */
  readonly validationFolder: string | undefined;
  /** What the engine computes on; undefined: its default. */
  readonly device: Device | undefined;
  /** That repeats it. */
  readonly commandLine: string;
}

/**
 * Reads the folders, but no picture yet, and fills in what the flags leave open.
 * @throws {DataError} a folder cannot be used, or a class is too small to hold out a part of it.
 * @throws {UsageError} flags do not go together.
 */
export async function readInputs(
  folder: string,
  flags: TrainFlags,
  commandLine: string,
  platform: Pick<Platform, "listFolder">,
): Promise<TrainingInputs> {
  const { val, valShare, imageSize, seed } = flags;
  const dataset = folderDataset(await platform.listFolder(folder));
  const { training, heldOut: validation } =
    val === undefined
      ? splitDataset(dataset, valShare, seed)
      : { training: dataset, heldOut: folderDataset(await platform.listFolder(val)) };
  const options: XceptionOptions = {
    ...xceptionOptionsOf(flags),
    inputShape: [imageSize, imageSize, 3],
    classes: training.classes.length,
    seed,
  };
  return {
    options,
    recipe: recipeOf(flags, training, xception(options)),
    folder,
    training,
    validation,
    validationFolder: val,
    device: flags.device,
    commandLine,
  };
}
