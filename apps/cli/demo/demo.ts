import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { AbortedError, TrainingError, XceptionError } from "../../../src/base/errors.ts";
import type { FileSystem, Platform } from "../../../src/base/platform.ts";
import { describeModel, encodeModel } from "../../../src/model/model-file.ts";
import { architectureNamed, buildNetwork, defaultName } from "../../../src/models/registry.ts";
import { plotSvg } from "../../../src/report/plot/plot.ts";
import { historyCsv, renderReport } from "../../../src/report/training.ts";
import { encodeReport } from "../../../src/report/training-report.ts";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { type EvaluationResult, evaluate } from "../../../src/tasks/evaluate/evaluate.ts";
import { prepareTraining, type TrainingPlan } from "../../../src/train/prepare.ts";
import type { TrainingResult } from "../../../src/train/request.ts";
import { runTraining } from "../../../src/train/train.ts";
import type { CliIo } from "../io.ts";
import { type Progress, startProgress } from "../progress.ts";
import { RunFolder, runFiles } from "../train/run-folder.ts";
import { type DemoResult, demoMark, demoProvenance, demoReport, introduction } from "./description.ts";
import type { DemoImages } from "./images.ts";
import type { DemoRecipe } from "./recipe.ts";

/** The image of the full network. */
const plotFile = "model.svg";

/** What a demo writes: the same as `train` but for the settings, which nobody chooses, and the image. */
export const demoFiles = [
  runFiles.model,
  runFiles.history,
  runFiles.evaluation,
  runFiles.reportData,
  runFiles.report,
  plotFile,
];

/**
 * Trains on one artist's images, tests the final weights on another's, and only then writes: a demo that is interrupted
 * leaves the disk as it was.
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
  const test = await take(images, training, platform, io);

  const { labels, weights, preprocessing } = training;
  const model = encodeModel({
    architecture: plan.architecture,
    labels,
    weights,
    preprocessing,
    provenance: demoProvenance(images, recipe, test.evaluation),
  });
  const result = { training, test, fingerprint: createHash("sha256").update(model).digest("hex") };
  const report = await demoReport(result, images, recipe, platform);
  const page = await renderReport(report);
  const plot = await plotSvg(buildNetwork(architectureNamed(defaultName)));
  throwIfStopped(io, "before its files were written");

  await folder.write("model", model);
  await folder.write("history", historyCsv(training.history));
  await folder.write("evaluation", `${JSON.stringify({ ...test.evaluation, skipped: test.skipped }, undefined, 2)}\n`);
  await writeFileAtomic(join(folder.path, plotFile), plot);
  await folder.write("reportData", encodeReport(report));
  await folder.write("report", page);
  return result;
}

async function learn(plan: TrainingPlan, text: string, io: CliIo): Promise<TrainingResult> {
  let progress: Progress | undefined;
  try {
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
    });
    if (result.aborted) throw stopped(`after step ${result.steps} of its training`);
    return result;
  } finally {
    progress?.stop();
  }
}

/** Takes the test. */
async function take(
  { test }: DemoImages,
  training: TrainingResult,
  platform: Platform,
  io: CliIo,
): Promise<EvaluationResult> {
  const progress = startProgress(io, { label: "testing", total: test.samples.length });
  try {
    const onProgress = ({ done }: { done: number }) => progress.update(done);
    return await evaluate(training, test, { platform, signal: io.signal, onProgress });
  } catch (error) {
    throw error instanceof AbortedError ? stopped("during its test") : error;
  } finally {
    progress.stop();
  }
}

function throwIfStopped(io: CliIo, when: string): void {
  if (io.signal.aborted) throw stopped(when);
}

function stopped(when: string): AbortedError {
  return new AbortedError({ where: "demo", what: `it was stopped ${when}; nothing was written` });
}

/**
 * The folder for the demo's files: one that is new, empty, or holds an earlier demo, which will be replaced. Nothing changes
 * on the disk yet.
 * @throws {TrainingError} there is something else in it.
 * @throws {FileError} it cannot be written to.
 */
export async function claimDemoFolder(path: string, system: FileSystem): Promise<RunFolder> {
  const folder = await RunFolder.claim(path, { overwrite: true });
  const files = await readdir(path).catch(() => []);
  if (files.length > 0 && !(await holdsDemo(path, system))) {
    const named = files.sort().slice(0, 3);
    throw new TrainingError({
      where: `folder "${path}"`,
      what: `it holds something else than an earlier demo (${named.join(", ")}${files.length > named.length ? ", …" : ""})`,
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
    // No model, or one that is none of ours.
    if (error instanceof XceptionError) return false;
    throw error;
  }
}
