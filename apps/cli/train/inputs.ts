import { isMultiLabel } from "../../../src/data/dataset.ts";
import { UsageError } from "../../../src/errors.ts";
import type { Network } from "../../../src/graph/network.ts";
import { topOn } from "../../../src/models/parts.ts";
import { type Architecture, architectureOf, buildNetwork } from "../../../src/models/registry.ts";
import type { Device, SourceReader } from "../../../src/platform.ts";
import type { ImagePreprocessing, Provenance } from "../../../src/tasks/model/model.ts";
import { type FineTuning, fineTuning } from "../../../src/tasks/train/fine-tuning.ts";
import { defaultBatchSize } from "../../../src/tasks/train/plan.ts";
import { chosenArchitecture, fineTuningChoice } from "../../../src/tasks/train/settings/chosen-options.ts";
import { withNetworkOf } from "../../../src/tasks/train/settings/file-network.ts";
import type { ResolvedSettings } from "../../../src/tasks/train/settings/resolve.ts";
import { networkOfRun } from "../../../src/tasks/train/settings/run-network.ts";
import type { SettingName, Settings } from "../../../src/tasks/train/settings/settings.ts";
import {
  openStartingFile,
  type StartingFile,
  type StartingWeights,
  startingWeightsIn,
} from "../../../src/tasks/weights/starting-weights.ts";
import { readMapWeights } from "../labeled-images.ts";
import { commandLineOf } from "./command-line.ts";
import { nameOf } from "./data-name.ts";
import type { RunFlags } from "./flags.ts";
import { readTrainingImages, type TrainingImages } from "./images.ts";

/** What of the weights to start from matters as long as the training lasts. */
export interface TrainingStart {
  /** Name of the file, what it is, and how many weights came from it. */
  readonly file: string;
  readonly format: string;
  readonly tensors: number;
  /** The layer that the top stands on; null: its own place. */
  readonly headOn: string | null;
  /** Weights that started anew. */
  readonly anew: readonly string[];
  /** License of the weights, and where they come from, as far as their file says so. */
  readonly origin: Provenance;
}

/** What a training is made of. */
export interface TrainingInputs extends ResolvedSettings, TrainingImages {
  readonly architecture: Architecture;
  /** Of the architecture. */
  readonly network: Network;
  /** What is trained of it, and how. */
  readonly tuning: FineTuning;
  /** What it began with; undefined: weights drawn from the seed. */
  readonly start: TrainingStart | undefined;
  readonly folder: string;
  /** The validation images' folder; undefined where they are a part of the training folder. */
  readonly validationFolder: string | undefined;
  /** To start from; undefined: drawn from the seed. */
  readonly weights: StartingWeights | undefined;
  /** Settings that are as in their file because nobody chose them. */
  readonly taken: readonly SettingName[];
  /** How the starting weights want images; undefined: the default. */
  readonly preprocessing: ImagePreprocessing | undefined;
  /** Of images with several labels: how much each class counts in the mean average precision; undefined: all the same. */
  readonly mapWeights: readonly number[] | undefined;
  /** What the engine computes on; undefined: its default. */
  readonly device: Device | undefined;
  /** Of the engine in each process, where they were chosen. */
  readonly threads: number | undefined;
  /** How many train together. */
  readonly processes: number;
  /** That repeats it. */
  readonly commandLine: string;
}

/**
 * Reads the folders, but no image yet, and fills in what depends on them.
 * @param begun what a training that goes on began with.
 * @throws as `readTrainingImages`.
 * @throws {UsageError} the batch size cannot be cut into the parts that are asked for.
 * @throws as `startingWeights`.
 */
export async function readInputs(
  folder: string,
  run: Pick<RunFlags, "output" | "team" | "device" | "threads">,
  resolved: ResolvedSettings,
  platform: Required<SourceReader>,
  begun?: TrainingStart,
): Promise<TrainingInputs> {
  const { val, mapWeights } = resolved.settings;
  const images = await readTrainingImages(folder, resolved.settings, platform.files);
  const { training } = images;
  const { classes } = training;
  if (begun === undefined) assertHasStart(resolved.settings);
  const opened = await openStart(resolved.settings, classes.length, platform);
  const { settings, sources, taken } = settled(resolved, opened);
  const chosen = chosenArchitecture(settings, {
    classes: classes.length,
    ...(isMultiLabel(training) && { classifierActivation: "sigmoid" }),
  });
  const whole = buildNetwork(chosen);
  const { allowMissing, headOn } = settings;
  const patterns = { allowMissing: allowMissing ?? undefined, headOn: headOn ?? undefined };
  const weights = opened && startingWeightsIn(whole, opened, patterns);
  const start = begun ?? (weights && startOf(weights, settings.weights!));
  const network = weights?.network ?? (start?.headOn ? topOn(whole, start.headOn) : whole);
  const ranks = run.team.communicator.size;
  const { recompute, accumulate } = settings;
  const batchSize = settings.batchSize ?? defaultBatchSize(training, network, { ranks, recompute });
  assertDivisible(batchSize, accumulate);
  const complete = { sources, settings: { ...settings, batchSize } };
  const seen = { anew: start?.anew, batchSize: batchSize / accumulate };
  return {
    ...complete,
    architecture: network === whole ? chosen : architectureOf(network),
    network,
    tuning: fineTuning(network, fineTuningChoice(settings), seen),
    start,
    weights,
    taken,
    preprocessing: weights?.preprocessing,
    folder,
    ...images,
    validationFolder: val ?? undefined,
    mapWeights: await readMapWeights(mapWeights, training, platform.files),
    device: run.device,
    threads: run.threads,
    processes: ranks,
    commandLine: commandLineOf(folder, run, complete),
  };
}

function startOf({ headOn, format, report, origin }: StartingWeights, source: string): TrainingStart {
  const { taken, missing, wrongShape } = report;
  const file = nameOf(source);
  return {
    file,
    format,
    tensors: taken,
    headOn: headOn ?? null,
    anew: [...missing, ...wrongShape.map((entry) => entry.split(" ")[0]!)],
    origin: { ...origin },
  };
}

function assertDivisible(batchSize: number, accumulate: number): void {
  if (batchSize % accumulate === 0) return;
  throw new UsageError({
    where: "option --accumulate",
    what: `the images of a step cannot be taken through in so many equal parts`,
    received: accumulate,
    expected: `a whole number that divides the batch size ${batchSize}`,
  });
}

async function openStart(
  { weights, allowMissing, headOn }: Settings,
  classes: number,
  platform: SourceReader,
): Promise<StartingFile | undefined> {
  if (weights !== null) return openStartingFile(weights, platform, { classes });
  assertHasWeights("--allow-missing", allowMissing);
  assertHasWeights("--head-on", headOn);
  return undefined;
}

/** The settings of the network that the weights are of, where nobody says anything else. */
function settled(
  resolved: ResolvedSettings,
  opened: StartingFile | undefined,
): ResolvedSettings & Pick<TrainingInputs, "taken"> {
  const { weights, allowMissing } = resolved.settings;
  if (opened === undefined) return { ...resolved, taken: [] };
  const run = opened.architecture === undefined ? networkOfRun(opened.file) : undefined;
  const architecture = opened.architecture ?? run?.architecture;
  if (architecture === undefined) return { ...resolved, taken: [] };
  const file = nameOf(weights!);
  const isPartial = allowMissing !== null;
  const found = withNetworkOf(architecture, resolved, { file, isPartial });
  if (run === undefined || isPartial || resolved.settings.headOn !== null) return found;
  return {
    settings: { ...found.settings, headOn: run.headOn },
    sources: new Map<SettingName, string>([...found.sources, ["headOn", file]]),
    taken: [...found.taken, "headOn"],
  };
}

/** What is drawn from a seed cannot stay as it is. */
function assertHasStart({ weights, headEpochs, unfreezeFrom }: ResolvedSettings["settings"]): void {
  if (weights !== null || (headEpochs === 0 && unfreezeFrom === null)) return;
  throw new UsageError({
    where: "option --weights",
    what: "it is missing: fine-tuning needs weights to start from",
    expected: "imagenet, or a file with weights",
    remedy: "To train new weights, leave out --recipe finetune, --head-epochs and --unfreeze-from.",
  });
}

function assertHasWeights(flag: string, received: string | null): void {
  if (received === null) return;
  throw new UsageError({
    where: `option ${flag}`,
    what: "there are no weights that it could be about",
    received,
    remedy: "Add --weights.",
  });
}
