import type { Platform } from "../../../src/base/platform.ts";
import { prepareTraining, type TrainingPlan } from "../../../src/train/prepare.ts";
import type { TrainingHooks, TrainingRequest } from "../../../src/train/request.ts";
import type { ResolvedSettings } from "../../../src/train/settings/resolve.ts";
import type { Settings } from "../../../src/train/settings/settings.ts";
import { readMapWeights } from "../labels.ts";
import { type FoundCheckpoint, type RunRecord, recordedSettings, recordOf } from "./checkpoint-folder.ts";
import { commandLineOf, nameOf, type RunFlags } from "./flags.ts";
import {
  digestOf,
  type EvaluationImages,
  type ImageList,
  listImages,
  readTrainingImages,
  type TrainingImages,
} from "./images.ts";
import { assertNothingMissing, assertSameImages, isExtended, movableSettings, recordedPath } from "./resume.ts";

/** A training run that is about to start or to be resumed, and where its images and settings came from. */
export interface Run {
  readonly plan: TrainingPlan;
  /** The images' folder. */
  readonly folder: string;
  /** Images that choose the epoch, with the classes of their folder. */
  readonly validation: EvaluationImages | undefined;
  /** Images for the test at the end. */
  readonly test: EvaluationImages | undefined;
  /** Notes on the files left out. */
  readonly notes: readonly string[];
  /** Command line that repeats the run. */
  readonly commandLine: string;
  readonly images: ImageList;
  readonly record: RunRecord;
  /** Checkpoint to resume from. */
  readonly from: FoundCheckpoint | undefined;
  readonly flags: RunFlags;
  /** Time limit from now on; null: none. */
  readonly maxMinutes: Settings["maxMinutes"];
}

/**
 * Prepares a new run; reads no images yet.
 * @throws as `readTrainingImages` and `prepareTraining`.
 */
export async function startRun(
  folder: string,
  flags: RunFlags,
  resolved: ResolvedSettings,
  platform: Platform,
): Promise<Run> {
  const { weights, maxMinutes } = resolved.settings;
  const read = await readTrainingImages(folder, resolved.settings, platform.files!);
  const request = await requestOf(read, flags, resolved, platform);
  const weightsName = weights === null ? undefined : nameOf(weights);
  const plan = await prepareTraining(read.training, { ...request, weightsName });
  const place = { folder, commandLine: commandLineOf(folder, flags, plan) };
  const images = await listImages(read);
  const record = await recordOf({ plan, flags, ...place }, digestOf(images));
  return { plan, ...read, ...place, images, record, from: undefined, flags, maxMinutes };
}

/**
 * Prepares a run to be resumed, and checks that its images are unchanged.
 * @param folder of the images, if they have moved.
 * @param given settings of the flags; `assertSameSettings` has checked them.
 * @throws as `startRun`, `assertNothingMissing` and `assertSameImages`.
 */
export async function resumeRun(
  from: FoundCheckpoint,
  folder: string | undefined,
  flags: RunFlags,
  given: ResolvedSettings,
  platform: Platform,
): Promise<Run> {
  const record = isExtended(from, given) ? withEpochs(from.record, given.settings.epochs) : from.record;
  await assertNothingMissing(record, folder, given, flags);
  const resolved = recordedSettings(record);
  const placeOf = (path: string | null) => (path === null ? null : recordedPath(record, path));
  const places = movableSettings.map((name) => [name, given.settings[name] ?? placeOf(resolved.settings[name])]);
  const settings: Settings = { ...resolved.settings, ...Object.fromEntries(places) };
  const engine = withEngineOf(record, flags);
  const ownFolder = recordedPath(record, record.folder);
  const read = await readTrainingImages(folder ?? ownFolder, settings, platform.files!);
  const images = await listImages(read);
  assertSameImages(flags.output, from, images);
  const plan = await prepareTraining(read.training, {
    ...(await requestOf(read, engine, { ...resolved, settings }, platform)),
    resolved,
    start: record.start ?? undefined,
    preprocessing: (record.preprocessing ?? undefined) as TrainingRequest["preprocessing"],
  });
  // Reports keep the paths of the start.
  const { val, test } = resolved.settings;
  const validation = read.validation && { ...read.validation, folder: placeOf(val) ?? undefined };
  const tested = read.test && { ...read.test, folder: placeOf(test) ?? undefined };
  const { maxMinutes } = given.settings.maxMinutes === null ? resolved.settings : given.settings;
  const commandLine = record === from.record ? record.commandLine : commandLineOf(ownFolder, engine, plan);
  const place = { folder: ownFolder, validation, test: tested, commandLine };
  return { plan, ...read, ...place, images, record, from, flags: engine, maxMinutes };
}

function withEpochs(record: RunRecord, epochs: number): RunRecord {
  const sources = new Map(record.sources).set("epochs", "flag");
  return { ...record, settings: { ...record.settings, epochs }, sources: [...sources] };
}

/** The hooks of all ranks of a run. @param save stores checkpoints on rank 0. */
export function hooksOf(
  { from, flags }: Run,
  signal: AbortSignal,
  save: NonNullable<TrainingHooks["checkpoints"]>["save"],
): TrainingHooks {
  const checkpoints = { save, everyMinutes: flags.checkpointMinutes, everySteps: flags.checkpointSteps };
  return { signal, checkpoints, resume: from?.checkpoint };
}

async function requestOf(
  { training, validation, test }: TrainingImages,
  { device, ranks, healthSteps = 3 }: RunFlags,
  resolved: ResolvedSettings,
  platform: Platform,
): Promise<TrainingRequest> {
  const mapWeights = await readMapWeights(resolved.settings.mapWeights, training, platform.files!);
  const { communicator, threads } = ranks;
  const evaluated = { validation: validation?.dataset, test: test?.dataset };
  return { resolved, platform, ...evaluated, mapWeights, device, communicator, threads, healthSteps };
}

/** The flags with the device and threads of the run, unless given. */
function withEngineOf(record: RunRecord, flags: RunFlags): RunFlags {
  const { device: _, ...others } = flags;
  const threads = flags.threads ?? record.threads ?? undefined;
  return {
    ...others,
    ...(record.device !== null && { device: record.device }),
    ...(threads !== undefined && { threads, ranks: { ...flags.ranks, threads } }),
  };
}
