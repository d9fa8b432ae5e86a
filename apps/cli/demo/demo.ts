import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { AbortedError, TrainingError, XceptionError } from "../../../src/base/errors.ts";
import type { FileSystem, Platform } from "../../../src/base/platform.ts";
import type { ImageDataset } from "../../../src/data/dataset.ts";
import { describeModel } from "../../../src/model/model-file.ts";
import { encodeModel } from "../../../src/model/model-writer.ts";
import { plotSvg } from "../../../src/report/plot/plot.ts";
import { historyCsv, renderReport } from "../../../src/report/training.ts";
import { encodeReport } from "../../../src/report/training-report.ts";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { modelFileCard } from "../../../src/tasks/card/card.ts";
import { evaluate } from "../../../src/tasks/evaluate/evaluate.ts";
import { prepareTraining, type TrainingPlan } from "../../../src/train/prepare.ts";
import type { TrainingResult } from "../../../src/train/request.ts";
import { runTraining } from "../../../src/train/train.ts";
import type { CliIo } from "../io.ts";
import { type Progress, startProgress } from "../progress.ts";
import { RunFolder, runFiles } from "../train/run-folder.ts";
import { evaluationJson } from "../train/train-into.ts";
import type { DemoImages, DemoRecipe } from "./data.ts";
import { type DemoResult, demoMark, demoProvenance, demoReport, fullNetwork, introduction } from "./description.ts";

/** Drawing of the full network. */
const plotFile = "model.svg";

/** The files of a demo: those of `train` without the settings, and the drawing. */
export const demoFiles = [
  ...[runFiles.model, runFiles.card, runFiles.history, runFiles.evaluation, runFiles.reportData, runFiles.report],
  plotFile,
];

/**
 * Trains on one artist's images and tests the final weights on another's. Files are written only at the end: an interrupted demo
 * leaves the disk unchanged.
 * @throws {AbortedError} it was interrupted.
 */
export async function runDemo(
  folder: RunFolder,
  images: DemoImages,
  recipe: DemoRecipe,
  platform: Platform,
  io: CliIo,
): Promise<DemoResult> {
  const plan = await prepareTraining(images.training, { ...recipe, platform });
  const training = await learn(plan, introduction(images, recipe, plan.network), io);
  const test = await evaluateOn(images.test, training, platform, io);

  const { labels, weights, preprocessing } = training;
  const provenance = demoProvenance(images, recipe, test.evaluation);
  const parts = { architecture: plan.architecture, labels, weights, preprocessing, provenance };
  const model = encodeModel(parts);
  const result = { training, test, fingerprint: createHash("sha256").update(model).digest("hex") };
  const report = await demoReport(result, images, recipe, platform);
  const page = await renderReport(report);
  const plot = await plotSvg(fullNetwork());
  if (io.signal.aborted) throw stopped("before its files were written");

  await folder.write("model", model);
  await folder.write("card", await modelFileCard(runFiles.model, model, parts));
  await folder.write("history", historyCsv(training.history));
  await folder.write("evaluation", evaluationJson({ test }));
  await writeFileAtomic(join(folder.path, plotFile), plot);
  await folder.write("reportData", encodeReport(report));
  await folder.write("report", page);
  return result;
}

async function learn(plan: TrainingPlan, text: string, io: CliIo): Promise<TrainingResult> {
  let progress: Progress | undefined;
  const result = await runTraining(plan, {
    signal: io.signal,
    onStart: ({ epochs, stepsPerEpoch }) => {
      io.stderr(`${text}\n`);
      progress = startProgress(io, { label: "training", total: epochs * stepsPerEpoch });
    },
    onProgress: ({ epoch, epochs, step, steps, loss, accuracy, imagesPerSecond }) => {
      const means = `loss ${loss.toFixed(2)}, accuracy ${(100 * accuracy).toFixed(0)} %`;
      const details = `epoch ${epoch}/${epochs}, ${means}, ${imagesPerSecond.toFixed(0)} images/s`;
      progress?.update((epoch - 1) * steps + step, details);
    },
  }).finally(() => progress?.stop());
  if (result.aborted) throw stopped(`after step ${result.steps} of its training`);
  return result;
}

async function evaluateOn(test: ImageDataset, training: TrainingResult, platform: Platform, io: CliIo) {
  const progress = startProgress(io, { label: "testing", total: test.samples.length });
  const onProgress = ({ done }: { done: number }) => progress.update(done);
  return evaluate(training, test, { platform, signal: io.signal, onProgress })
    .catch((error: unknown) => {
      throw error instanceof AbortedError ? stopped("during its test") : error;
    })
    .finally(() => progress.stop());
}

function stopped(when: string): AbortedError {
  return new AbortedError({ where: "demo", what: `it was stopped ${when}; nothing was written` });
}

/**
 * Claims the folder for the demo's files: a new or empty one, or one with an earlier demo, which will be replaced. Nothing changes
 * on the disk yet.
 * @throws {TrainingError} it contains anything else.
 * @throws {FileError} it cannot be written to.
 */
export async function claimDemoFolder(path: string, system: FileSystem): Promise<RunFolder> {
  const folder = await RunFolder.claim(path, { overwrite: true });
  const files = await readdir(path).catch(() => []);
  if (files.length > 0 && !(await holdsDemo(path, system))) {
    const named = files.sort().slice(0, 3);
    throw new TrainingError({
      where: `folder "${path}"`,
      what: `it contains something other than an earlier demo (${named.join(", ")}${files.length > named.length ? ", …" : ""})`,
      remedy: "Choose another folder with --output.",
    });
  }
  return folder;
}

async function holdsDemo(path: string, files: FileSystem): Promise<boolean> {
  try {
    const { provenance } = describeModel(await files.read(join(path, runFiles.model)));
    return provenance?.[demoMark] !== undefined;
  } catch (error) {
    // No model, or not one of ours.
    if (error instanceof XceptionError) return false;
    throw error;
  }
}
