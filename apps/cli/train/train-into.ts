import { TrainingError, UsageError } from "../../../src/base/errors.ts";
import { limitPixels } from "../../../src/base/pixel-limit.ts";
import type { Platform } from "../../../src/base/platform.ts";
import type { EvaluatedImages } from "../../../src/base/records.ts";
import { countParameters, type Network, networkWeights } from "../../../src/graph/network.ts";
import { encodeModel } from "../../../src/model/model-writer.ts";
import type { StartingWeights } from "../../../src/model/starting-weights.ts";
import { counted, withCommas } from "../../../src/report/numbers.ts";
import { historyCsv } from "../../../src/report/training.ts";
import { modelFileCard } from "../../../src/tasks/card/card.ts";
import { keptCard } from "../../../src/tasks/card/card-file.ts";
import type { EvaluationResult } from "../../../src/tasks/evaluate/evaluate.ts";
import type { Checkpoint } from "../../../src/train/checkpoint.ts";
import type { TrainingPlan } from "../../../src/train/prepare.ts";
import type { TrainingResult } from "../../../src/train/request.ts";
import { writeConfig } from "../../../src/train/settings/config-file.ts";
import { describeSettings } from "../../../src/train/settings/file-network.ts";
import { blockHealth } from "../../../src/train/step/training-health.ts";
import { runTraining } from "../../../src/train/train.ts";
import type { CliIo } from "../io.ts";
import { type Progress, startProgress } from "../progress.ts";
import { checkpointFolder, type FoundCheckpoint } from "./checkpoint-folder.ts";
import { provenanceOf } from "./description.ts";
import { headHooks, trainingDisplay } from "./display.ts";
import { type EventLog, eventLog } from "./event-log.ts";
import { resumeCommand } from "./flags.ts";
import { machineDifference } from "./resume.ts";
import { hooksOf, type Run } from "./run.ts";
import { type RunFolder, runFiles } from "./run-folder.ts";
import { runReport } from "./run-report.ts";

/**
 * Trains and saves: checkpoints over time, the history after every epoch, the model and its evaluation whenever it is the
 * best so far, the report at the end. The files in the folder are consistent however the run ends.
 * @throws as `train`.
 */
export async function trainInto(folder: RunFolder, run: Run, platform: Platform, io: CliIo): Promise<TrainingResult> {
  const { plan, from, flags } = run;
  const checkpoints = checkpointFolder(folder, { ...run, keep: flags.keepCheckpoints ?? 2 }, from);
  const display = trainingDisplay(io);
  let latest: TrainingResult | undefined;
  let events: EventLog | undefined;
  const note = (text: string) => io.stderr(`${text}\n`);
  const beginEvents = (steps: number) => {
    if (flags.tensorboard !== false) events = eventLog(folder, steps, note);
  };
  const report = runReport(folder, run, limitPixels(platform, plan.settings.pixelLimit), note);
  let trained: Network | undefined;
  let testing: Progress | undefined;
  try {
    const result = await runTraining(plan, {
      ...hooksOf(run, io.signal, (checkpoint) => checkpoints.save(checkpoint)),
      head: plan.head && headHooks(plan.head.epochs, flags.cacheDir, io),
      onStart: async ({ network, soFar }) => {
        trained = network;
        note(announcement(network, run));
        await report.start(network, soFar);
        if (!from || !soFar) return beginEvents(0);
        io.stderr(`${await continuation(from, run)}\n`);
        // Files written after the checkpoint are ahead of it.
        if (soFar.history.length > 0) await save(folder, run, soFar, soFar.evaluation !== undefined);
        beginEvents(soFar.steps);
      },
      onProgress: (progress) => {
        const blocks = progress.health && trained && blockHealth(trained, progress.health);
        display.showStep(progress);
        events?.writeStep(progress, blocks);
        return report.step(progress, blocks);
      },
      onEpoch: async (soFar) => {
        display.showEpoch(soFar, plan.settings);
        await save(folder, run, soFar);
        await events?.writeEpoch(soFar);
        await report.epoch(soFar);
        latest = soFar;
      },
      onTest: ({ done, total }) => {
        testing ??= startProgress(io, { label: "testing", total });
        testing.update(done);
      },
    }).finally(() => testing?.stop());
    display.stop();
    if (result.steps === 0) return result;
    if (result.aborted || result.test) await save(folder, run, result, result.test ? true : undefined);
    await events?.close();
    await report.finish(result, io.signal);
    if (!folder.written.includes(runFiles.card)) note(keptCard(folder.file("model")));
    return result;
  } catch (error) {
    display.stop();
    await events?.close();
    await report.stop();
    if (error instanceof TrainingError && latest !== undefined) {
      await report.finish(latest, io.signal);
      io.stderr(`The model of epoch ${latest.epoch} stays in ${folder.file("model")}.\n`);
    }
    await folder.removeEmptyRun();
    const { latest: checkpoint } = checkpoints;
    if (checkpoint && (await folder.isThere())) io.stderr(`${describeLast(checkpoint, error, run)}\n`);
    throw error;
  }
}

/** Describes where a run resumes. */
async function continuation({ checkpoint, path, record }: FoundCheckpoint, { plan, flags }: Run): Promise<string> {
  const { epoch, state } = checkpoint;
  const { epochs } = plan.settings;
  const isOver = checkpoint.isOver && epochs === record.settings.epochs;
  const place = isOver ? "after the last epoch" : `in epoch ${epoch.index + 1} of ${epochs}`;
  const difference = await machineDifference(record, flags);
  const caution = difference === undefined ? "" : `\n${difference}`;
  return `Resuming after step ${state.steps}, ${place}, from ${path}${caution}`;
}

/** Describes the checkpoint left by a failed run. Resuming would repeat a training or usage error. */
function describeLast({ state }: Checkpoint, error: unknown, { flags }: Run): string {
  const left = `The checkpoint of step ${state.steps} stays in ${flags.output}.`;
  return error instanceof TrainingError || error instanceof UsageError
    ? left
    : `${left} To resume: ${resumeCommand(flags.output, flags.ranks.communicator.size)}`;
}

function announcement(network: Network, { plan, validation, test, notes, flags }: Run): string {
  const { dataset: training, loaded } = plan;
  const { communicator, threads } = flags.ranks;
  const { total } = countParameters(networkWeights(network));
  const images = `${counted(training.samples.length, "image")} of ${counted(training.classes.length, "class", "classes")}`;
  const others = [
    validation ? `validating on ${validation.dataset.samples.length}` : "without validation",
    ...(test ? [`testing on ${test.dataset.samples.length} at the end`] : []),
  ];
  const text = `Training ${network.name}, ${withCommas(total)} parameters, on ${images}; ${others.join(", ")}`;
  const ranks = [
    `On ${communicator.size} processes, this one with ${counted(threads ?? 1, "thread")}`,
    `If one of them fails, all end; to resume: ${resumeCommand(flags.output, communicator.size)}`,
  ];
  const warnings = plan.warnings.map((warning) => `Warning: ${warning}`);
  const parts = [
    ...notes,
    ...(communicator.size > 1 ? ranks : []),
    ...(loaded ? [describeStart(loaded, plan)] : []),
    ...warnings,
  ];
  return [text, ...parts].join("\n");
}

/** Describes the initial weights. */
function describeStart({ format, report, headOn, notes }: StartingWeights, { taken, settings }: TrainingPlan): string {
  const { missing, unexpected, wrongShape } = report;
  const reinitialized = [...missing, ...wrongShape];
  const parts = [
    ...(taken.length === 0 ? [] : [`as in the file: ${describeSettings(taken, settings)}`]),
    ...(headOn === undefined ? [] : [`the classifier is on ${headOn}, and later layers are left out`]),
    ...(reinitialized.length > 0 ? [`reinitialized: ${reinitialized.join(", ")}`] : []),
    ...(unexpected.length > 0 ? [`unused: ${unexpected.join(", ")}`] : []),
  ];
  const text = `Starting from ${counted(report.taken, "weight")} of the ${format}${parts.map((part) => `; ${part}`).join("")}`;
  return [text, ...notes].join("\n");
}

/** The contents of `evaluation.json`: for each kind of images the scores, and the files that could not be used. */
export function evaluationJson(
  evaluated: { readonly [Images in EvaluatedImages]?: Pick<EvaluationResult, "evaluation" | "skipped"> | undefined },
): string {
  const entries = Object.entries(evaluated).flatMap(([images, each]) =>
    each ? [[images, { ...each.evaluation, skipped: each.skipped }]] : [],
  );
  return `${JSON.stringify(Object.fromEntries(entries), undefined, 2)}\n`;
}

/**
 * @param isNew true if the weights are not in the folder yet: after the best epoch so far, or one that was not validated.
 */
async function save(
  folder: RunFolder,
  run: Run,
  soFar: TrainingResult,
  isNew = soFar.evaluation === undefined || soFar.epoch === soFar.history.length,
): Promise<void> {
  const { architecture } = run.plan;
  const { labels, weights, preprocessing, evaluation, test, history, validationSkipped } = soFar;
  if (isNew) {
    const provenance = provenanceOf(run, soFar);
    const model = { architecture, labels, weights, preprocessing, provenance };
    const bytes = encodeModel(model);
    await folder.write("model", bytes);
    await folder.write("card", await modelFileCard(runFiles.model, bytes, model));
    const validation = evaluation && { evaluation, skipped: validationSkipped };
    if (validation || test) await folder.write("evaluation", evaluationJson({ validation, test }));
  }
  await folder.write("history", historyCsv(history));
  await folder.write("settings", writeConfig(run.plan));
}
