import type { ImageDataset } from "../../../src/data/dataset.ts";
import { folderDataset } from "../../../src/data/folder-dataset.ts";
import { splitDataset } from "../../../src/data/split.ts";
import { UsageError } from "../../../src/errors.ts";
import { xception } from "../../../src/models/xception.ts";
import type { XceptionOptions } from "../../../src/models/xception-options.ts";
import type { Device, Platform } from "../../../src/platform.ts";
import { networkOptions } from "../../../src/tasks/settings/chosen-options.ts";
import type { ResolvedSettings } from "../../../src/tasks/settings/resolve.ts";
import { defaultBatchSize } from "../../../src/tasks/train-plan.ts";
import { commandLineOf } from "./flags.ts";

/** What a training is made of. */
export interface TrainingInputs extends ResolvedSettings {
  readonly options: XceptionOptions;
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
 * Reads the folders, but no picture yet, and fills in what depends on them.
 * @throws {DataError} a folder cannot be used, or a class is too small to hold out a part of it.
 * @throws {UsageError} the batch size cannot be cut into the parts that are asked for.
 */
export async function readInputs(
  folder: string,
  run: { readonly output: string; readonly device?: Device | undefined },
  resolved: ResolvedSettings,
  platform: Pick<Platform, "listFolder">,
): Promise<TrainingInputs> {
  const { val, valShare, seed } = resolved.settings;
  const dataset = folderDataset(await platform.listFolder(folder));
  const { training, heldOut: validation } =
    val === null
      ? splitDataset(dataset, valShare, seed)
      : { training: dataset, heldOut: folderDataset(await platform.listFolder(val)) };
  const options = { ...networkOptions(resolved.settings), classes: training.classes.length };
  const batchSize = resolved.settings.batchSize ?? defaultBatchSize(training, xception(options));
  refuseUnequalParts(batchSize, resolved.settings.accumulate);
  const complete = { sources: resolved.sources, settings: { ...resolved.settings, batchSize } };
  return {
    ...complete,
    options,
    folder,
    training,
    validation,
    validationFolder: val ?? undefined,
    device: run.device,
    commandLine: commandLineOf(folder, run, complete),
  };
}

function refuseUnequalParts(batchSize: number, accumulate: number): void {
  if (batchSize % accumulate === 0) return;
  throw new UsageError({
    where: "option --accumulate",
    what: `the pictures of a step cannot be taken through in so many equal parts`,
    received: accumulate,
    expected: `a whole number that divides the batch size ${batchSize}`,
  });
}
