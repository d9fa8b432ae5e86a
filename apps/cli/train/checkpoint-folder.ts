import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FileError, FormatError, TrainingError } from "../../../src/base/errors.ts";
import { checkDocument, parseJson } from "../../../src/base/json.ts";
import { devices } from "../../../src/base/platform.ts";
import { readFile } from "../../../src/runtime/node/files.ts";
import type { Checkpoint } from "../../../src/train/checkpoint.ts";
import { decodeBest, decodeCheckpoint, encodeBest, encodeCheckpoint } from "../../../src/train/checkpoint-file.ts";
import type { TrainingPlan } from "../../../src/train/prepare.ts";
import { type ResolvedSettings, resolveSettings } from "../../../src/train/settings/resolve.ts";
import type { SettingName, Settings } from "../../../src/train/settings/settings.ts";
import type { RunFlags } from "./flags.ts";
import { digestOf, type ImageList, imageListSchema } from "./images.ts";
import { machineFacts } from "./machine.ts";
import { bestPattern, checkpointsFolder, imageList, type RunFolder, stepPattern } from "./run-folder.ts";

const stepFile = (steps: number) => `step-${String(steps).padStart(8, "0")}.safetensors`;
const bestFile = (epoch: number) => `best-epoch-${String(epoch).padStart(5, "0")}.safetensors`;

/** A checkpoint that was read, and what the run's command had written into it. */
export interface FoundCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly record: RunRecord;
  /** Its file, for messages. */
  readonly path: string;
  /** The images that the run began with; undefined where their list is lost. */
  readonly images: ImageList | undefined;
}

/** Writes the checkpoints of a run: the last ones and the best weights stay, older ones go. */
export class CheckpointFolder {
  readonly #folder: RunFolder;
  readonly #keep: number;
  readonly #record: RunRecord;
  readonly #images: ImageList;
  #savedBest: number | undefined;
  #latest: Checkpoint | undefined;

  /** @param keep how many checkpoints stay, from 1. @param from the one that the run resumes from. */
  constructor(
    folder: RunFolder,
    run: { readonly record: RunRecord; readonly images: ImageList; readonly keep: number },
    from?: FoundCheckpoint,
  ) {
    this.#folder = folder;
    this.#keep = run.keep;
    this.#record = run.record;
    this.#images = run.images;
    this.#savedBest = from?.checkpoint.best?.epoch;
    this.#latest = from?.checkpoint;
  }

  /** The latest checkpoint on the disk. */
  get latest(): Checkpoint | undefined {
    return this.#latest;
  }

  /** @throws {FileError} it could not be written; those before are still there. */
  async save(checkpoint: Checkpoint): Promise<void> {
    const { best, state } = checkpoint;
    if (this.#latest === undefined) await this.#write(imageList, `${JSON.stringify(this.#images)}\n`);
    if (best && best.epoch !== this.#savedBest) {
      await this.#write(bestFile(best.epoch), await encodeBest(best));
      this.#savedBest = best.epoch;
    }
    await this.#write(stepFile(state.steps), await encodeCheckpoint(checkpoint, this.#record));
    this.#latest = checkpoint;
    await this.#prune(state.steps, best?.epoch ?? 0);
  }

  #write(name: string, content: Uint8Array | string): Promise<void> {
    return this.#folder.writeCheckpointFile(name, content);
  }

  /**
   * Removes what is older than the last ones, and what is newer than the one just written: the run went on from an older one
   * because those could not be read. Each checkpoint knows at most one of the best weights, so as many of these are enough.
   */
  async #prune(steps: number, bestEpoch: number): Promise<void> {
    const names = await namesIn(this.#folder.path);
    const outdated = (pattern: RegExp, current: number) => {
      const numbered = numberedFiles(names, pattern);
      const kept = numbered.filter(({ number }) => number <= current).slice(0, this.#keep);
      return numbered.filter((file) => !kept.includes(file));
    };
    for (const { name } of [...outdated(stepPattern, steps), ...outdated(bestPattern, bestEpoch)]) {
      await this.#folder.removeCheckpointFile(name);
    }
  }
}

/** Whether there is one to resume from, judging by file names. */
export async function hasCheckpoint(run: string): Promise<boolean> {
  return numberedFiles(await namesIn(run), stepPattern).length > 0;
}

/**
 * The newest checkpoint of a run that can be read.
 * @param note is told of those that cannot.
 * @throws {TrainingError} there is none, or a later version of this package wrote it.
 */
export async function newestCheckpoint(run: string, note: (text: string) => void): Promise<FoundCheckpoint> {
  const files = numberedFiles(await namesIn(run), stepPattern);
  for (const { name } of files) {
    const path = join(run, checkpointsFolder, name);
    try {
      return await readCheckpoint(run, path);
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
      remedy: "Begin the training without --resume; --overwrite replaces reports of one that did not come as far.",
    });
  }
  throw new TrainingError({
    where,
    what: `none of its checkpoints can be read (${files.length} tried)`,
    remedy: "Start a new run, with --overwrite or in another folder.",
  });
}

async function readCheckpoint(run: string, path: string): Promise<FoundCheckpoint> {
  const where = `checkpoint "${path}"`;
  const { checkpoint, bestEpoch, extra } = await decodeCheckpoint(await readFile(path), where);
  const record = readRecord(extra, where);
  const bestPath = bestEpoch === undefined ? undefined : join(run, checkpointsFolder, bestFile(bestEpoch));
  const best =
    bestPath === undefined ? undefined : await decodeBest(await readFile(bestPath), `best weights "${bestPath}"`);
  return { checkpoint: { ...checkpoint, best }, record, path, images: await readTrainingImages(run, record) };
}

/** Undefined where the list is missing or not the run's own. */
async function readTrainingImages(run: string, record: RunRecord): Promise<ImageList | undefined> {
  try {
    const text = new TextDecoder().decode(await readFile(join(run, checkpointsFolder, imageList)));
    const list = checkDocument(imageListSchema, parseJson(text, imageList), imageList);
    return digestOf(list) === record.images ? list : undefined;
  } catch (error) {
    if (error instanceof FileError || error instanceof FormatError) return undefined;
    throw error;
  }
}

async function namesIn(run: string): Promise<readonly string[]> {
  return readdir(join(run, checkpointsFolder)).catch(() => []);
}

/** Files of a kind, the highest number first. */
function numberedFiles(names: readonly string[], pattern: RegExp): { name: string; number: number }[] {
  return names
    .flatMap((name) => {
      const match = pattern.exec(name);
      return match ? [{ name, number: Number(match[1]) }] : [];
    })
    .sort((a, b) => b.number - a.number);
}

const recordSchema = z.object({
  /** The images' folder as it was given, and where. */
  folder: z.string(),
  workingFolder: z.string(),
  device: z.enum(devices).nullable(),
  /** Of the engine in each process, where they were chosen: with another number the last digits may differ. */
  threads: z.int().nullable().default(null),
  settings: z.record(z.string(), z.json()),
  /** Where each setting that has an effect comes from. */
  sources: z.array(z.tuple([z.string(), z.string()])),
  /** How the starting weights want images; null: the default. The weights themselves are no longer needed. */
  preprocessing: z.json(),
  /** What of the starting weights still matters. */
  start: z
    .object({
      file: z.string(),
      format: z.string(),
      tensors: z.int(),
      headOn: z.string().nullable(),
      reinitialized: z.array(z.string()),
      origin: z.record(z.string(), z.json()).default({}),
    })
    .nullable(),
  commandLine: z.string(),
  /** Of the list of images. */
  images: z.string(),
  /** What computes: with another one the last digits may differ. */
  machine: z.array(z.object({ name: z.string(), value: z.string() })),
});

/** All that a command needs to resume a run; every checkpoint holds it. */
export type RunRecord = z.infer<typeof recordSchema>;

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

/** @throws {FormatError} it is no record of a run. */
function readRecord(value: unknown, where: string): RunRecord {
  return checkDocument(recordSchema, value, where);
}

/** The settings of a run as they were resolved when it began; those that its version had not yet do nothing. */
export function recordedSettings({ settings, sources }: RunRecord): ResolvedSettings {
  return {
    settings: { ...resolveSettings([]).settings, ...settings } as unknown as Settings,
    sources: new Map(sources) as unknown as ReadonlyMap<SettingName, string>,
  };
}
