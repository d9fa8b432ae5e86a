import type { ImageDataset } from "../../../src/data/dataset.ts";
import { folderDataset } from "../../../src/data/folder-dataset.ts";
import { splitDataset } from "../../../src/data/split.ts";
import { UsageError } from "../../../src/errors.ts";
import type { Network } from "../../../src/graph/network.ts";
import { xception } from "../../../src/models/xception.ts";
import type { XceptionOptions } from "../../../src/models/xception-options.ts";
import type { Device, Platform } from "../../../src/platform.ts";
import { networkOptions } from "../../../src/tasks/settings/chosen-options.ts";
import type { ResolvedSettings } from "../../../src/tasks/settings/resolve.ts";
import {
  type StartingWeights,
  type StartingWeightsOptions,
  startingWeights,
} from "../../../src/tasks/starting-weights.ts";
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
  /** To start from; undefined: drawn from the seed. */
  readonly weights: StartingWeights | undefined;
  /** What the engine computes on; undefined: its default. */
  readonly device: Device | undefined;
  /** That repeats it. */
  readonly commandLine: string;
}

/**
 * Reads the folders, but no picture yet, and fills in what depends on them.
 * @param imagenet where the published weights are, if not at their own address.
 * @throws {DataError} a folder cannot be used, or a class is too small to hold out a part of it.
 * @throws {UsageError} the batch size cannot be cut into the parts that are asked for.
 * @throws as `startingWeights`.
 */
export async function readInputs(
  folder: string,
  run: { readonly output: string; readonly device?: Device | undefined },
  resolved: ResolvedSettings,
  platform: Pick<Platform, "listFolder" | "readFile">,
  imagenet: StartingWeightsOptions["imagenet"] = {},
): Promise<TrainingInputs> {
  const { val, valShare, seed } = resolved.settings;
  const dataset = folderDataset(await platform.listFolder(folder));
  const { training, heldOut: validation } =
    val === null
      ? splitDataset(dataset, valShare, seed)
      : { training: dataset, heldOut: folderDataset(await platform.listFolder(val)) };
  const options = { ...networkOptions(resolved.settings), classes: training.classes.length };
  const network = xception(options);
  const batchSize = resolved.settings.batchSize ?? defaultBatchSize(training, network);
  refuseUnequalParts(batchSize, resolved.settings.accumulate);
  const complete = { sources: resolved.sources, settings: { ...resolved.settings, batchSize } };
  return {
    ...complete,
    options,
    weights: await weightsOf(resolved.settings, network, platform, imagenet),
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

async function weightsOf(
  { weights, allowMissing }: ResolvedSettings["settings"],
  network: Network,
  platform: Pick<Platform, "readFile">,
  imagenet: StartingWeightsOptions["imagenet"],
): Promise<StartingWeights | undefined> {
  if (weights !== null) {
    return startingWeights(network, weights, platform, { imagenet, ...(allowMissing !== null && { allowMissing }) });
  }
  if (allowMissing === null) return undefined;
  throw new UsageError({
    where: "option --allow-missing",
    what: "there are no weights that it could be about",
    received: allowMissing,
    remedy: "Add --weights.",
  });
}
