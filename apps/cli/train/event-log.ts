import { appendFile, readdir, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { BlockHealth } from "../../../src/base/records.ts";
import { firstRecord, readEvents, restartRecord, scalarRecord } from "../../../src/report/tensorboard.ts";
import { readFile } from "../../../src/runtime/node/files.ts";
import type { TrainingProgress, TrainingResult } from "../../../src/train/request.ts";
import { eventPattern, eventsFolder, type RunFolder } from "./run-folder.ts";

/** Longest time before events are written. */
const longestWaitMs = 1000;

/** Writes the metrics of each step and epoch for TensorBoard. If it cannot be written, training continues without it. */
export class EventLog {
  readonly #folder: RunFolder;
  readonly #note: (text: string) => void;
  readonly #stepsBefore: number;
  readonly #startedAt = Date.now();
  #steps: number;
  /** Undefined until the file is created. */
  #path: string | undefined;
  #waiting: Uint8Array[] = [];
  #writing: Promise<void> = Promise.resolve();
  #flushedAt = this.#startedAt;
  #hasFailed = false;

  /**
   * @param steps done before: later and damaged events in older files of the run are removed.
   * @param note receives the reason if the log cannot be written.
   */
  constructor(folder: RunFolder, steps: number, note: (text: string) => void) {
    this.#folder = folder;
    this.#stepsBefore = steps;
    this.#steps = steps;
    this.#note = note;
  }

  /** @param blocks health of the network, if the step recorded it. */
  writeStep(progress: TrainingProgress, blocks: readonly BlockHealth[] = []): void {
    const { totalSteps, stepLoss, learningRate, imagesPerSecond } = progress;
    this.#steps = totalSteps;
    this.#add({
      ...{ "loss/step": stepLoss, learning_rate: learningRate, images_per_second: imagesPerSecond },
      ...Object.assign({}, ...blocks.map(healthScalars)),
    });
  }

  async writeEpoch({ history }: TrainingResult): Promise<void> {
    const { loss, accuracy, validationLoss, validationAccuracy, validationPrecision } = history.at(-1)!;
    this.#add({
      "loss/training": loss,
      "accuracy/training": accuracy,
      ...(validationLoss !== undefined && { "loss/validation": validationLoss }),
      ...(validationAccuracy !== undefined && { "accuracy/validation": validationAccuracy }),
      ...(validationPrecision !== undefined && { "map100/validation": validationPrecision }),
    });
    await this.close();
  }

  /** Writes waiting events. */
  async close(): Promise<void> {
    this.#flush();
    await this.#writing;
  }

  #add(scalars: Readonly<Record<string, number>>): void {
    if (this.#hasFailed) return;
    this.#waiting.push(scalarRecord({ wallTime: Date.now() / 1000, step: this.#steps, scalars }));
    if (Date.now() - this.#flushedAt >= longestWaitMs) this.#flush();
  }

  #flush(): void {
    // An older run in the folder is kept until this one saves something.
    if (this.#waiting.length === 0 || !this.#folder.isOwn) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#flushedAt = Date.now();
    this.#writing = this.#writing.then(() => this.#write(bytes)).catch((error: unknown) => this.#fail(error));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#hasFailed) return;
    this.#path ??= await this.#create();
    await appendFile(this.#path, bytes);
  }

  async #create(): Promise<string> {
    // Not the time of writing, which is after the first events.
    const seconds = this.#startedAt / 1000;
    const isResumed = this.#stepsBefore > 0;
    const older = isResumed ? await cutEvents(this.#folder, this.#stepsBefore) : [];
    const latest = Math.max(0, ...older.map((name) => Number(eventPattern.exec(name)![1])));
    // Readers sort files by name.
    const name = `events.out.tfevents.${String(Math.max(Math.floor(seconds), latest + 1)).padStart(10, "0")}.xception`;
    const restart = isResumed ? [restartRecord(seconds, this.#stepsBefore + 1)] : [];
    await this.#folder.writeEventFile(name, Buffer.concat([firstRecord(seconds), ...restart]));
    return join(this.#folder.path, eventsFolder, name);
  }

  #fail(error: unknown): void {
    this.#hasFailed = true;
    this.#waiting = [];
    const reason = error instanceof Error ? error.message : String(error);
    this.#note(`TensorBoard's events in ${join(this.#folder.path, eventsFolder)} end here: ${reason}`);
  }
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
