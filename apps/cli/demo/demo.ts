import { createHash } from "node:crypto";
import { join } from "node:path";
import { AbortedError } from "../../../src/errors.ts";
import { createOptimizer } from "../../../src/learning/optimizers.ts";
import { oneCycle } from "../../../src/learning/schedules.ts";
import { architectureNamed, buildNetwork, defaultName } from "../../../src/models/registry.ts";
import type { Platform } from "../../../src/platform.ts";
import { plotSvg } from "../../../src/report/plot/plot.ts";
import { historyCsv, renderReport } from "../../../src/report/training.ts";
import { encodeReport } from "../../../src/report/training-report.ts";
import { writeFileAtomic } from "../../../src/runtime/node-files.ts";
import { type EvaluationResult, evaluate } from "../../../src/tasks/evaluate/evaluate.ts";
import { encodeModel } from "../../../src/tasks/model/model-file.ts";
import type { TrainingResult } from "../../../src/tasks/train/options.ts";
import { train } from "../../../src/tasks/train/train.ts";
import type { CliIo } from "../io.ts";
import { type Progress, startProgress } from "../progress.ts";
import { type RunFolder, runFiles } from "../train/run-folder.ts";
import { demoProvenance, demoReport } from "./description.ts";
import type { DemoImages } from "./images.ts";
import { introduction } from "./narration.ts";
import type { DemoRecipe } from "./recipe.ts";
import type { DemoResult } from "./result.ts";

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
  const training = await learn(images, recipe, platform, io);
  const test = await take(images, training, platform, io);

  const { labels, weights, preprocessing } = training;
  const model = encodeModel({
    architecture: {
      family: "xception",
      options: { ...recipe.network, classes: labels.length, seed: recipe.seed },
    },
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

async function learn(images: DemoImages, recipe: DemoRecipe, platform: Platform, io: CliIo): Promise<TrainingResult> {
  const { weightDecay, ...settings } = recipe;
  let progress: Progress | undefined;
  try {
    const result = await train(images.training, {
      ...settings,
      platform,
      optimizer: createOptimizer("adamw", { weightDecay }),
      schedule: oneCycle(),
      signal: io.signal,
      onStart: ({ epochs, stepsPerEpoch }) => {
        io.stderr(`${introduction(images, recipe)}\n`);
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
