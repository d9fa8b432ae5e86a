import { messageOf } from "../../../src/base/errors.ts";
import type { Platform } from "../../../src/base/platform.ts";
import type { BlockHealth, HealthRecord, StepRecord } from "../../../src/base/records.ts";
import type { Network } from "../../../src/graph/network.ts";
import { thinned } from "../../../src/report/charts/heat-maps.ts";
import { renderReport } from "../../../src/report/training.ts";
import { decodeReport, encodeReport, type Gallery, type LiveStatus } from "../../../src/report/training-report.ts";
import { readFile } from "../../../src/runtime/node/files.ts";
import { galleryOf } from "../../../src/tasks/evaluate/evaluate.ts";
import { explainMistakes } from "../../../src/tasks/explain/mistakes.ts";
import type { TrainingProgress, TrainingResult } from "../../../src/train/request.ts";
import { describeRun } from "./description.ts";
import type { Run } from "./run.ts";
import type { RunFolder } from "./run-folder.ts";

/** Time before the first live report; the least time between two, also as a multiple of the time to write one. */
const firstWaitMs = 5_000;
const leastWaitMs = 20_000;
const waitForEachMs = 25;
/** Limits of the step and health records in a report. */
const mostSteps = 400;
const mostHealth = 120;

/**
 * Writes the report of a run and its data: a page that reloads itself during training, then the final one. Training
 * continues if a live report cannot be written.
 */
export class RunReport {
  readonly #folder: RunFolder;
  readonly #run: Run;
  readonly #platform: Platform;
  readonly #note: (text: string) => void;
  #network: Network | undefined;
  #health: readonly HealthRecord[] = [];
  #steps: readonly StepRecord[] = [];
  #stride = 1;
  #latest: TrainingResult | undefined;
  #progress: TrainingProgress | undefined;
  #gallery: Gallery | undefined;
  #dueAt = performance.now() + firstWaitMs;
  #hasFailed = false;
  #isLive = false;

  /** @param note receives the reason if a live report cannot be written. */
  constructor(folder: RunFolder, run: Run, platform: Platform, note: (text: string) => void) {
    this.#folder = folder;
    this.#run = run;
    this.#platform = platform;
    this.#note = note;
  }

  /** @param soFar result before the run was resumed: its records are kept. */
  async start(network: Network, soFar?: TrainingResult): Promise<void> {
    this.#network = network;
    this.#latest = soFar;
    if (!soFar) return;
    const path = this.#folder.file("reportData");
    const before = await readFile(path)
      .then((bytes) => decodeReport(new TextDecoder().decode(bytes), path))
      // Training resumes without the lost records.
      .catch(() => undefined);
    const isPast = ({ step }: { readonly step: number }) => step <= soFar.steps;
    this.#health = (before?.health ?? []).filter(isPast);
    for (const { step, loss } of (before?.steps ?? []).filter(isPast)) this.#addStep(step, loss);
  }

  /** @param blocks health of the network, if the step recorded it. */
  async step(progress: TrainingProgress, blocks?: readonly BlockHealth[]): Promise<void> {
    const { totalSteps, stepLoss } = progress;
    this.#progress = progress;
    this.#addStep(totalSteps, stepLoss);
    if (blocks) {
      const all = [...this.#health, { step: totalSteps, blocks }];
      this.#health = all.length > 2 * mostHealth ? thinned(all, mostHealth) : all;
    }
    // An older run in the folder is kept until this one saves something.
    if (this.#isDue() && this.#folder.isOwn) await this.#writeLive(true);
  }

  async epoch(soFar: TrainingResult): Promise<void> {
    this.#latest = soFar;
    await this.#writeLive(this.#isDue());
  }

  /**
   * Writes the final report; misclassified images get heat maps, unless that fails.
   * @throws {FileError} it cannot be written.
   */
  async finish(result: TrainingResult, signal?: AbortSignal): Promise<void> {
    this.#latest = result;
    const gallery = await this.#galleryOf(result, true);
    if (gallery && !signal?.aborted) this.#gallery = await this.#explained(gallery, result, signal);
    await this.#write({ withPage: true });
  }

  /** After a failure: turns a live report into one of the result so far, if it can still be written. */
  async stop(): Promise<void> {
    if (this.#isLive) await this.#write({ withPage: true }).catch(() => {});
  }

  async #explained(gallery: Gallery, result: TrainingResult, signal: AbortSignal | undefined): Promise<Gallery> {
    const { dataset } = this.#run[gallery.images!]!;
    const { device, ranks } = this.#run.flags;
    const session = { device, threads: ranks.threads, signal };
    return explainMistakes(gallery, dataset, result, { platform: this.#platform, session }).catch((error: unknown) => {
      if (!signal?.aborted) this.#note(`The report has no heat maps: ${messageOf(error)}`);
      return gallery;
    });
  }

  #isDue(): boolean {
    return performance.now() >= this.#dueAt;
  }

  /** Keeps steps divisible by a power of two: the same ones, however often the run was interrupted. */
  #addStep(step: number, loss: number): void {
    if (step % this.#stride !== 0) return;
    this.#steps = [...this.#steps, { step, loss }];
    if (this.#steps.length <= 2 * mostSteps) return;
    this.#stride *= 2;
    this.#steps = this.#steps.filter((each) => each.step % this.#stride === 0);
  }

  async #writeLive(withPage: boolean): Promise<void> {
    if (this.#hasFailed) return;
    const live = this.#progress && liveStatus(this.#progress, this.#run);
    await this.#write({ withPage, live }).catch((error: unknown) => {
      this.#hasFailed = true;
      this.#note(`The report is not written until the training ends: ${messageOf(error)}`);
    });
  }

  async #write({ withPage, live }: { withPage: boolean; live?: LiveStatus | undefined }): Promise<void> {
    const start = performance.now();
    const network = this.#network!;
    const reached = this.#latest ?? { network, history: [], skipped: [], validationSkipped: [] };
    const report = {
      ...(await describeRun(this.#run, reached, await this.#galleryOf(this.#latest, withPage))),
      ...(this.#steps.length > 0 && { steps: this.#steps }),
      ...(this.#health.length > 0 && { health: this.#health }),
      ...(live && { live }),
    };
    await this.#folder.write("reportData", encodeReport(report));
    this.#isLive = live !== undefined;
    if (!withPage) return;
    await this.#folder.write("report", await renderReport(report));
    const now = performance.now();
    this.#dueAt = now + Math.max(leastWaitMs, waitForEachMs * (now - start));
  }

  /** The test images, or the validation images of the best weights; `isNew` false: those of an earlier gallery, which saves time. */
  async #galleryOf(result: TrainingResult | undefined, isNew: boolean): Promise<Gallery | undefined> {
    const images = result?.test ? "test" : "validation";
    const predictions = result?.test?.predictions ?? result?.predictions;
    if (!result || !predictions || !(isNew || this.#gallery === undefined)) return this.#gallery;
    if (this.#gallery?.epoch === result.epoch && this.#gallery.images === images) return this.#gallery;
    const shown = await galleryOf(predictions, this.#run[images]!.dataset, this.#platform.images);
    this.#gallery = { images, epoch: result.epoch, ...shown };
    return this.#gallery;
  }
}

function liveStatus(progress: TrainingProgress, { plan: { communicator } }: Run): LiveStatus {
  const { epoch, epochs, step, steps, loss, accuracy, secondsLeft } = progress;
  const time = `${new Date().toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const { size: processes } = communicator;
  const ranks = processes > 1 && { processes };
  return { epoch, epochs, step, steps, loss, accuracy, secondsLeft, time, ...ranks };
}
