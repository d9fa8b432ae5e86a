import { appendFile, readdir, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../../src/base/errors.ts";
import type { BlockHealth } from "../../../src/base/records.ts";
import { firstRecord, readEvents, restartRecord, scalarRecord } from "../../../src/report/tensorboard.ts";
import { readFile } from "../../../src/runtime/node/files.ts";
import type { TrainingProgress, TrainingResult } from "../../../src/train/request.ts";
import { eventPattern, eventsFolder, type RunFolder } from "./run-folder.ts";

/** Longest time before events are written. */
const longestWaitMs = 1000;

/** The metrics of a run for TensorBoard. */
export type EventLog = ReturnType<typeof eventLog>;

/**
 * Writes the metrics of each step and epoch for TensorBoard. If they cannot be written, training continues without them.
 * @param stepsBefore done before: later and damaged events in older files of the run are removed.
 * @param note receives the reason if the log cannot be written.
 */
export function eventLog(folder: RunFolder, stepsBefore: number, note: (text: string) => void) {
  const startedAt = Date.now();
  let steps = stepsBefore;
  /** Undefined until the file is created. */
  let path: string | undefined;
  let waiting: Uint8Array[] = [];
  let writing: Promise<void> = Promise.resolve();
  let flushedAt = startedAt;
  let hasFailed = false;

  const create = async (): Promise<string> => {
    // Not the time of writing, which is after the first events.
    const seconds = startedAt / 1000;
    const isResumed = stepsBefore > 0;
    const older = isResumed ? await cutEvents(folder, stepsBefore) : [];
    const latest = Math.max(0, ...older.map((name) => Number(eventPattern.exec(name)![1])));
    // Readers sort files by name.
    const name = `events.out.tfevents.${String(Math.max(Math.floor(seconds), latest + 1)).padStart(10, "0")}.xception`;
    const restart = isResumed ? [restartRecord(seconds, stepsBefore + 1)] : [];
    await folder.writeEventFile(name, Buffer.concat([firstRecord(seconds), ...restart]));
    return join(folder.path, eventsFolder, name);
  };
  const write = async (bytes: Uint8Array): Promise<void> => {
    if (hasFailed) return;
    path ??= await create();
    await appendFile(path, bytes);
  };
  const fail = (error: unknown): void => {
    hasFailed = true;
    waiting = [];
    note(`TensorBoard's events in ${join(folder.path, eventsFolder)} end here: ${messageOf(error)}`);
  };
  const flush = (): void => {
    // An older run in the folder is kept until this one saves something.
    if (waiting.length === 0 || !folder.isOwn) return;
    const bytes = Buffer.concat(waiting);
    waiting = [];
    flushedAt = Date.now();
    writing = writing.then(() => write(bytes)).catch(fail);
  };
  const add = (scalars: Readonly<Record<string, number>>): void => {
    if (hasFailed) return;
    waiting.push(scalarRecord({ wallTime: Date.now() / 1000, step: steps, scalars }));
    if (Date.now() - flushedAt >= longestWaitMs) flush();
  };
  /** Writes waiting events. */
  const close = async (): Promise<void> => {
    flush();
    await writing;
  };
  return {
    /** @param blocks health of the network, if the step recorded it. */
    writeStep(progress: TrainingProgress, blocks: readonly BlockHealth[] = []): void {
      const { totalSteps, stepLoss, learningRate, imagesPerSecond } = progress;
      steps = totalSteps;
      add({
        ...{ "loss/step": stepLoss, learning_rate: learningRate, images_per_second: imagesPerSecond },
        ...Object.assign({}, ...blocks.map(healthScalars)),
      });
    },
    async writeEpoch({ history }: TrainingResult): Promise<void> {
      const { loss, accuracy, validationLoss, validationAccuracy, validationPrecision } = history.at(-1)!;
      add({
        "loss/training": loss,
        "accuracy/training": accuracy,
        ...(validationLoss !== undefined && { "loss/validation": validationLoss }),
        ...(validationAccuracy !== undefined && { "accuracy/validation": validationAccuracy }),
        ...(validationPrecision !== undefined && { "map100/validation": validationPrecision }),
      });
      await close();
    },
    close,
  };
}

/** One group of charts per number, with one line per block. */
function healthScalars({ block, gradientNorm, weightNorm, updateRatio, activation }: BlockHealth) {
  return {
    ...(gradientNorm !== undefined && { [`gradient_norm/${block}`]: gradientNorm }),
    ...(weightNorm !== undefined && { [`weight_norm/${block}`]: weightNorm }),
    ...(updateRatio !== undefined && { [`update_ratio/${block}`]: updateRatio }),
    ...(activation && { [`zero_share/${block}`]: activation.zeroShare }),
  };
}

/** Removes damaged events, and those after a step, from all files. @returns their names. */
async function cutEvents(folder: RunFolder, steps: number): Promise<readonly string[]> {
  const place = join(folder.path, eventsFolder);
  const names = (await readdir(place).catch(() => [])).filter((name) => eventPattern.test(name));
  for (const name of names) {
    const path = join(place, name);
    const bytes = await readFile(path);
    const events = readEvents(bytes);
    const later = events.findIndex(({ step }) => step > steps);
    const kept = later < 0 ? events : events.slice(0, later);
    const end = kept.at(-1)?.end ?? 0;
    if (kept.every(({ scalars }) => Object.keys(scalars).length === 0)) await rm(path);
    else if (end < bytes.length) await truncate(path, end);
  }
  return names;
}
