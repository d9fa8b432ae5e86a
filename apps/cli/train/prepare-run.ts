import type { SourceReader } from "../../../src/platform.ts";
import type { ResolvedSettings } from "../../../src/tasks/train/settings/resolve.ts";
import type { Settings } from "../../../src/tasks/train/settings/settings.ts";
import type { FoundCheckpoint } from "./checkpoint-folder.ts";
import type { RunFlags } from "./flags.ts";
import { digestOf, type ImageList, listImages } from "./image-list.ts";
import { readInputs, type TrainingInputs } from "./inputs.ts";
import { assertNothingMissing, assertSameImages, movableSettings, recordedPath } from "./resume.ts";
import { type RunRecord, recordedSettings, recordOf } from "./run-record.ts";

/** A training that is about to begin, or to go on. */
export interface PreparedRun {
  readonly inputs: TrainingInputs;
  readonly images: ImageList;
  readonly record: RunRecord;
  /** Where it goes on from; undefined where it begins. */
  readonly from: FoundCheckpoint | undefined;
  readonly flags: RunFlags;
  /** How long it may take from now on; null: as long as it needs. */
  readonly maxMinutes: Settings["maxMinutes"];
}

/**
 * Reads what a training is made of, but no image yet.
 * @throws as `readInputs`.
 */
export async function beginRun(
  folder: string,
  flags: RunFlags,
  resolved: ResolvedSettings,
  platform: Required<SourceReader>,
): Promise<PreparedRun> {
  const inputs = await readInputs(folder, flags, resolved, platform);
  const images = await listImages(inputs);
  return {
    inputs,
    images,
    record: await recordOf(inputs, digestOf(images)),
    from: undefined,
    flags,
    maxMinutes: resolved.settings.maxMinutes,
  };
}

/**
 * Reads what a run began with, and makes sure that it is the same still.
 * @param folder of the images, where they have moved; the run knows where they were.
 * @param given what flags say besides; `assertSameSettings` has looked at it.
 * @throws as `readInputs`, `assertNothingMissing` and `assertSameImages`.
 */
export async function goOnWithRun(
  from: FoundCheckpoint,
  folder: string | undefined,
  flags: RunFlags,
  given: ResolvedSettings,
  platform: Required<SourceReader>,
): Promise<PreparedRun> {
  const { record } = from;
  await assertNothingMissing(record, folder, given, flags);
  const resolved = recordedSettings(record);
  const placeOf = (path: string | null) => (path === null ? null : recordedPath(record, path));
  const ownVal = placeOf(resolved.settings.val);
  const places = movableSettings.map((name) => [name, given.settings[name] ?? placeOf(resolved.settings[name])]);
  const reading = {
    ...resolved,
    settings: {
      ...resolved.settings,
      ...Object.fromEntries(places),
      // The checkpoint has what became of them.
      weights: null,
      allowMissing: null,
      headOn: null,
    },
  };
  const run = withEngineOf(record, flags);
  const ownFolder = recordedPath(record, record.folder);
  const read = await readInputs(folder ?? ownFolder, run, reading, platform, record.start ?? undefined);
  const images = await listImages(read);
  assertSameImages(flags.output, from, images);
  // What the run says about itself is what it said when it began.
  const { commandLine } = record;
  const preprocessing = (record.preprocessing ?? undefined) as unknown as TrainingInputs["preprocessing"];
  const names = { folder: ownFolder, validationFolder: ownVal ?? undefined, commandLine };
  const inputs = { ...read, ...resolved, ...names, preprocessing };
  const { maxMinutes } = given.settings.maxMinutes === null ? resolved.settings : given.settings;
  return { inputs, images, record, from, flags: run, maxMinutes };
}

/** The flags with what the run computes on, where they do not say it: its device, and its threads. */
function withEngineOf(record: RunRecord, flags: RunFlags): RunFlags {
  const { device: _, ...others } = flags;
  const threads = flags.threads ?? record.threads ?? undefined;
  return {
    ...others,
    ...(record.device !== null && { device: record.device }),
    ...(threads !== undefined && { threads, team: { ...flags.team, threads } }),
  };
}
