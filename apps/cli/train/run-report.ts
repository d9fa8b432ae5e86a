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
 * @param note receives the reason if a live report cannot be written.
 */
export function runReport(folder: RunFolder, run: Run, platform: Platform, note: (text: string) => void) {
  let network: Network | undefined;
  let health: readonly HealthRecord[] = [];
  let steps: readonly StepRecord[] = [];
  let stride = 1;
  let latest: TrainingResult | undefined;
  let latestStep: TrainingProgress | undefined;
  let gallery: Gallery | undefined;
  let dueAt = performance.now() + firstWaitMs;
  let hasFailed = false;
  let isLive = false;

  const isDue = () => performance.now() >= dueAt;

  /** Keeps steps divisible by a power of two: the same ones, however often the run was interrupted. */
  const addStep = (step: number, loss: number) => {
    if (step % stride !== 0) return;
    steps = [...steps, { step, loss }];
    if (steps.length <= 2 * mostSteps) return;
    stride *= 2;
    steps = steps.filter((each) => each.step % stride === 0);
  };

  /** The test images, or the validation images of the best weights; `isNew` false: those of an earlier gallery, which saves time. */
  const galleryOfResult = async (result: TrainingResult | undefined, isNew: boolean): Promise<Gallery | undefined> => {
    const images = result?.test ? "test" : "validation";
    const predictions = result?.test?.predictions ?? result?.predictions;
    if (!result || !predictions || !(isNew || gallery === undefined)) return gallery;
    if (gallery?.epoch === result.epoch && gallery.images === images) return gallery;
    const shown = await galleryOf(predictions, run[images]!.dataset, platform.images);
    gallery = { images, epoch: result.epoch, ...shown };
    return gallery;
  };

  const write = async ({ withPage, live }: { withPage: boolean; live?: LiveStatus | undefined }) => {
    const start = performance.now();
    const reached = latest ?? { network: network!, history: [], skipped: [], validationSkipped: [] };
    const report = {
      ...(await describeRun(run, reached, await galleryOfResult(latest, withPage))),
      ...(steps.length > 0 && { steps }),
      ...(health.length > 0 && { health }),
      ...(live && { live }),
    };
    await folder.write("reportData", encodeReport(report));
    isLive = live !== undefined;
    if (!withPage) return;
    await folder.write("report", await renderReport(report));
    const now = performance.now();
    dueAt = now + Math.max(leastWaitMs, waitForEachMs * (now - start));
  };

  const writeLive = async (withPage: boolean) => {
    if (hasFailed) return;
    const live = latestStep && liveStatus(latestStep, run);
    await write({ withPage, live }).catch((error: unknown) => {
      hasFailed = true;
      note(`The report is not written until the training ends: ${messageOf(error)}`);
    });
  };

  const explained = (shown: Gallery, result: TrainingResult, signal: AbortSignal | undefined): Promise<Gallery> => {
    const { dataset } = run[shown.images!]!;
    const { device, ranks } = run.flags;
    const session = { device, threads: ranks.threads, signal };
    return explainMistakes(shown, dataset, result, { platform, session }).catch((error: unknown) => {
      if (!signal?.aborted) note(`The report has no heat maps: ${messageOf(error)}`);
      return shown;
    });
  };

  return {
    /** @param soFar result before the run was resumed: its records are kept. */
    async start(trained: Network, soFar?: TrainingResult): Promise<void> {
      network = trained;
      latest = soFar;
      if (!soFar) return;
      const path = folder.file("reportData");
      const before = await readFile(path)
        .then((bytes) => decodeReport(new TextDecoder().decode(bytes), path))
        // Training resumes without the lost records.
        .catch(() => undefined);
      const isPast = ({ step }: { readonly step: number }) => step <= soFar.steps;
      health = (before?.health ?? []).filter(isPast);
      for (const { step, loss } of (before?.steps ?? []).filter(isPast)) addStep(step, loss);
    },

    /** @param blocks health of the network, if the step recorded it. */
    async step(progress: TrainingProgress, blocks?: readonly BlockHealth[]): Promise<void> {
      const { totalSteps, stepLoss } = progress;
      latestStep = progress;
      addStep(totalSteps, stepLoss);
      if (blocks) {
        const all = [...health, { step: totalSteps, blocks }];
        health = all.length > 2 * mostHealth ? thinned(all, mostHealth) : all;
      }
      // An older run in the folder is kept until this one saves something.
      if (isDue() && folder.isOwn) await writeLive(true);
    },

    async epoch(soFar: TrainingResult): Promise<void> {
      latest = soFar;
      await writeLive(isDue());
    },

    /**
     * Writes the final report; misclassified images get heat maps, unless that fails.
     * @throws {FileError} it cannot be written.
     */
    async finish(result: TrainingResult, signal?: AbortSignal): Promise<void> {
      latest = result;
      const shown = await galleryOfResult(result, true);
      if (shown && !signal?.aborted) gallery = await explained(shown, result, signal);
      await write({ withPage: true });
    },

    /** After a failure: turns a live report into one of the result so far, if it can still be written. */
    async stop(): Promise<void> {
      if (isLive) await write({ withPage: true }).catch(() => {});
    },
  };
}

function liveStatus(progress: TrainingProgress, { plan: { communicator } }: Run): LiveStatus {
  const { epoch, epochs, step, steps, loss, accuracy, secondsLeft } = progress;
  const time = `${new Date().toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const { size: processes } = communicator;
  const ranks = processes > 1 && { processes };
  return { epoch, epochs, step, steps, loss, accuracy, secondsLeft, time, ...ranks };
}
