import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FileError, FormatError, TrainingError } from "../../../src/base/errors.ts";
import { parseJson } from "../../../src/base/json.ts";
import { anyJson, choice, string, wholeNumber } from "../../../src/base/kinds.ts";
import { devices } from "../../../src/base/platform.ts";
import { type Described, fitting, list, nullable, object, orElse, record, tuple } from "../../../src/base/schema.ts";
import { readFile } from "../../../src/runtime/node/files.ts";
import type { Checkpoint } from "../../../src/train/checkpoint.ts";
import { decodeBest, decodeCheckpoint, encodeBest, encodeCheckpoint } from "../../../src/train/checkpoint-file.ts";
import type { TrainingPlan } from "../../../src/train/prepare.ts";
import { type ResolvedSettings, resolveSettings } from "../../../src/train/settings/resolve.ts";
import type { SettingName, Settings } from "../../../src/train/settings/settings.ts";
import { machineFacts } from "../machine.ts";
import type { RunFlags } from "./flags.ts";
import { digestOf, type ImageList, imageListSchema } from "./images.ts";
import { bestPattern, checkpointsFolder, imageList, type RunFolder, stepPattern } from "./run-folder.ts";

const stepFile = (steps: number) => `step-${String(steps).padStart(8, "0")}.safetensors`;
const bestFile = (epoch: number) => `best-epoch-${String(epoch).padStart(5, "0")}.safetensors`;

/** A checkpoint as read from its file, with the record of its run. */
export interface FoundCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly record: RunRecord;
  readonly path: string;
  /** The images of the run; undefined if their list is missing. */
  readonly images: ImageList | undefined;
}

/**
 * Writes the checkpoints of a run, keeping the last ones and the best weights.
 * @param from checkpoint that the run resumes from.
 */
export function checkpointFolder(
  folder: RunFolder,
  { record, images, keep }: { readonly record: RunRecord; readonly images: ImageList; readonly keep: number },
  from?: FoundCheckpoint,
) {
  let savedBest = from?.checkpoint.best?.epoch;
  let latest = from?.checkpoint;

  /**
   * Removes checkpoints older than the last ones, and unreadable ones newer than the one just written. Each checkpoint has at
   * most one file of best weights.
   */
  const prune = async (steps: number, bestEpoch: number) => {
    const names = await namesIn(folder.path);
    const outdated = (pattern: RegExp, current: number) => {
      const numbered = numberedFiles(names, pattern);
      const kept = numbered.filter(({ number }) => number <= current).slice(0, keep);
      return numbered.filter((file) => !kept.includes(file));
    };
    for (const { name } of [...outdated(stepPattern, steps), ...outdated(bestPattern, bestEpoch)]) {
      await folder.removeCheckpointFile(name);
    }
  };

  return {
    /** The latest saved checkpoint. */
    get latest(): Checkpoint | undefined {
      return latest;
    },
    /** @throws {FileError} it could not be written; earlier ones are kept. */
    async save(checkpoint: Checkpoint): Promise<void> {
      const { best, state } = checkpoint;
      if (latest === undefined) await folder.writeCheckpointFile(imageList, `${JSON.stringify(images)}\n`);
      if (best && best.epoch !== savedBest) {
        await folder.writeCheckpointFile(bestFile(best.epoch), await encodeBest(best));
        savedBest = best.epoch;
      }
      await folder.writeCheckpointFile(stepFile(state.steps), await encodeCheckpoint(checkpoint, record));
      latest = checkpoint;
      await prune(state.steps, best?.epoch ?? 0);
    },
  };
}

/** Returns true if a run has a checkpoint, by its file name. */
export async function hasCheckpoint(run: string): Promise<boolean> {
  return numberedFiles(await namesIn(run), stepPattern).length > 0;
}

/**
 * The newest readable checkpoint of a run.
 * @param note receives messages about unreadable ones.
 * @throws {TrainingError} there is none, or a later version of this package wrote it.
 */
export async function newestCheckpoint(run: string, note: (text: string) => void): Promise<FoundCheckpoint> {
  const names = await namesIn(run, note);
  const files = numberedFiles(names, stepPattern);
  for (const { name } of files) {
    const path = join(run, checkpointsFolder, name);
    try {
      return await readCheckpoint(run, path, names, note);
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof FileError)) throw error;
      note(`Cannot resume from ${path}; trying the previous one. ${error.message}`);
    }
  }
  const where = `folder "${run}"`;
  if (files.length === 0) {
    throw new TrainingError({
      where,
      what: "it contains no checkpoint to resume from",
      remedy: "Start without --resume; --overwrite replaces the reports of a run that did not get as far.",
    });
  }
  throw new TrainingError({
    where,
    what: `none of its checkpoints can be read (${files.length} tried)`,
    remedy: "Start a new run, with --overwrite or in another folder.",
  });
}

async function readCheckpoint(
  run: string,
  path: string,
  names: readonly string[],
  note: (text: string) => void,
): Promise<FoundCheckpoint> {
  const where = `checkpoint "${path}"`;
  const { checkpoint, bestEpoch, extra } = await decodeCheckpoint(await readFile(path), where);
  const record = fitting(recordSchema, extra, where);
  const best = bestEpoch === undefined ? undefined : await readBest(run, bestEpoch, names, note);
  return { checkpoint: { ...checkpoint, best }, record, path, images: await readTrainingImages(run, record) };
}

/** Returns undefined, with a note, if the best weights are lost: the run can continue without them. */
async function readBest(run: string, epoch: number, names: readonly string[], note: (text: string) => void) {
  const path = join(run, checkpointsFolder, bestFile(epoch));
  try {
    const where = `best weights "${path}"`;
    if (!names.includes(bestFile(epoch))) throw new FileError({ where, what: "the file does not exist" });
    return await decodeBest(await readFile(path), where);
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof FileError)) throw error;
    note(
      `The best weights so far, of epoch ${epoch}, are lost; later epochs are compared without them. ${error.message}`,
    );
    return undefined;
  }
}

/** Returns undefined if the list is missing or belongs to another run. */
async function readTrainingImages(run: string, record: RunRecord): Promise<ImageList | undefined> {
  try {
    const text = new TextDecoder().decode(await readFile(join(run, checkpointsFolder, imageList)));
    const list = fitting(imageListSchema, parseJson(text, imageList), imageList);
    return digestOf(list) === record.images ? list : undefined;
  } catch (error) {
    if (error instanceof FileError || error instanceof FormatError) return undefined;
    throw error;
  }
}

/** Names of the regular files among the checkpoints. @param note receives messages about others with such a name. */
async function namesIn(run: string, note: (text: string) => void = () => {}): Promise<readonly string[]> {
  const folder = join(run, checkpointsFolder);
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const isOurs = stepPattern.test(entry.name) || bestPattern.test(entry.name);
    if (isOurs && !entry.isFile()) note(`Ignored ${join(folder, entry.name)}: it is not a file.`);
  }
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

/** Files whose names match a pattern, the highest number first. */
function numberedFiles(names: readonly string[], pattern: RegExp): { name: string; number: number }[] {
  return names
    .flatMap((name) => {
      const match = pattern.exec(name);
      return match ? [{ name, number: Number(match[1]) }] : [];
    })
    .sort((a, b) => b.number - a.number);
}

const count = wholeNumber({ from: 0 });
const startSchema = object({
  file: string,
  format: string,
  tensors: count,
  headOn: nullable(string),
  reinitialized: list(string),
  origin: orElse(record(anyJson), {}),
});
const recordSchema = object({
  /** The image folder as given, and the working folder. */
  folder: string,
  workingFolder: string,
  device: nullable(choice(...devices)),
  /** Threads of the engine, if chosen: another number may change the last digits. */
  threads: orElse(nullable(count), null),
  settings: record(anyJson),
  /** Source of each setting that has an effect. */
  sources: list(tuple(string, string)),
  /** Preprocessing of the initial weights; null: the default. */
  preprocessing: anyJson,
  /** Origin of the initial weights. */
  start: nullable(startSchema),
  commandLine: string,
  /** Digest of the list of images. */
  images: string,
  /** Hardware and software: another one may change the last digits. */
  machine: list(object({ name: string, value: string })),
});

/** Everything needed to resume a run, stored in each checkpoint. */
export type RunRecord = Described<typeof recordSchema>;

interface RecordedRun {
  readonly plan: TrainingPlan;
  readonly flags: Pick<RunFlags, "device" | "threads">;
  readonly folder: string;
  readonly commandLine: string;
}

/** @param images digest of their list. */
export async function recordOf({ plan, flags, folder, commandLine }: RecordedRun, images: string): Promise<RunRecord> {
  const { settings, sources, start, loaded } = plan;
  const { device, threads } = flags;
  return {
    folder,
    workingFolder: process.cwd(),
    device: device ?? null,
    threads: threads ?? null,
    settings: { ...settings } as unknown as RunRecord["settings"],
    sources: [...sources],
    preprocessing: (loaded?.preprocessing ?? null) as RunRecord["preprocessing"],
    start: start ? ({ ...start, reinitialized: [...start.reinitialized] } as NonNullable<RunRecord["start"]>) : null,
    commandLine,
    images,
    machine: await machineFacts(),
  };
}

/** The settings of a run as resolved at its start; settings newer than its version have their defaults. */
export function recordedSettings({ settings, sources }: RunRecord): ResolvedSettings {
  return {
    settings: { ...resolveSettings([]).settings, ...settings } as unknown as Settings,
    sources: new Map(sources) as unknown as ReadonlyMap<SettingName, string>,
  };
}
