import { isMultiLabel } from "../../../src/data/dataset.ts";
import { UsageError } from "../../../src/errors.ts";
import type { Network } from "../../../src/graph/network.ts";
import { type Architecture, buildNetwork } from "../../../src/models/architecture.ts";
import type { Device, Platform } from "../../../src/platform.ts";
import type { PicturePreprocessing } from "../../../src/tasks/model.ts";
import { chosenArchitecture } from "../../../src/tasks/settings/chosen-options.ts";
import type { ResolvedSettings } from "../../../src/tasks/settings/resolve.ts";
import {
  type StartingWeights,
  type StartingWeightsOptions,
  startingWeights,
} from "../../../src/tasks/starting-weights.ts";
import { defaultBatchSize } from "../../../src/tasks/train-plan.ts";
import type { FilePlatform } from "../../../src/tasks/weights-file.ts";
import { readMapWeights } from "../labelled-pictures.ts";
import { commandLineOf } from "./flags.ts";
import { readPictures, type TrainingPictures } from "./pictures.ts";

/** What a training is made of. */
export interface TrainingInputs extends ResolvedSettings, TrainingPictures {
  readonly architecture: Architecture;
  readonly folder: string;
  /** The validation pictures' folder; undefined where they are a part of the training folder. */
  readonly validationFolder: string | undefined;
  /** To start from; undefined: drawn from the seed. */
  readonly weights: StartingWeights | undefined;
  /** How the starting weights want pictures; undefined: the default. */
  readonly preprocessing: PicturePreprocessing | undefined;
  /** Of pictures with several labels: how much each class counts in the mean average precision; undefined: all the same. */
  readonly mapWeights: readonly number[] | undefined;
  /** What the engine computes on; undefined: its default. */
  readonly device: Device | undefined;
  /** That repeats it. */
  readonly commandLine: string;
}

/**
 * Reads the folders, but no picture yet, and fills in what depends on them.
 * @param imagenet where the published weights are, if not at their own address.
 * @throws as `readPictures`.
 * @throws {UsageError} the batch size cannot be cut into the parts that are asked for.
 * @throws as `startingWeights`.
 */
export async function readInputs(
  folder: string,
  run: { readonly output: string; readonly device?: Device | undefined },
  resolved: ResolvedSettings,
  platform: Pick<Platform, "listFolder"> & FilePlatform,
  imagenet: StartingWeightsOptions["imagenet"] = {},
): Promise<TrainingInputs> {
  const { val, mapWeights } = resolved.settings;
  const { training, validation } = await readPictures(folder, resolved.settings, platform);
  const architecture = chosenArchitecture(resolved.settings, {
    classes: training.classes.length,
    ...(isMultiLabel(training) && { classifierActivation: "sigmoid" }),
  });
  const network = buildNetwork(architecture);
  const batchSize = resolved.settings.batchSize ?? defaultBatchSize(training, network);
  refuseUnequalParts(batchSize, resolved.settings.accumulate);
  const complete = { sources: resolved.sources, settings: { ...resolved.settings, batchSize } };
  const weights = await weightsOf(resolved.settings, network, platform, imagenet);
  return {
    ...complete,
    architecture,
    weights,
    preprocessing: weights?.preprocessing,
    folder,
    training,
    validation,
    validationFolder: val ?? undefined,
    mapWeights: await readMapWeights(mapWeights, training.classes, platform),
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
  platform: FilePlatform,
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
