import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FileError, FormatError, TrainingError } from "../../../src/errors.ts";
import { checkDocument, parseJson } from "../../../src/json-document.ts";
import { readFile } from "../../../src/runtime/node-files.ts";
import type { Checkpoint } from "../../../src/tasks/train/checkpoint.ts";
import {
  decodeBest,
  decodeCheckpoint,
  encodeBest,
  encodeCheckpoint,
} from "../../../src/tasks/train/checkpoint-file.ts";
import { digestOf, type ImageList, imageListSchema } from "./image-list.ts";
import { bestPattern, checkpointsFolder, imageList, type RunFolder, stepPattern } from "./run-folder.ts";
import { type RunRecord, readRecord } from "./run-record.ts";

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

  /** @param keep how many checkpoints stay, from 1. @param from the one that the run goes on from. */
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

/** Whether there is one to go on from, as far as the names of files tell. */
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
      note(`Cannot go on from ${path}, looking for the one before. ${error.message}`);
    }
  }
  const where = `folder "${run}"`;
  if (files.length === 0) {
    throw new TrainingError({
      where,
      what: "there is no checkpoint in it to go on from",
      remedy: "Begin the training without --resume; --overwrite replaces reports of one that did not come as far.",
    });
  }
  throw new TrainingError({
    where,
    what: `none of its checkpoints can be read (${files.length} tried)`,
    remedy: "Begin the training anew, with --overwrite or in another folder.",
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
