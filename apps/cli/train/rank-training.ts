import { readFile, stat } from "node:fs/promises";
import { AbortedError, UsageError } from "../../../src/base/errors.ts";
import { parseJson } from "../../../src/base/json.ts";
import type { Evaluation, SkippedFile } from "../../../src/base/records.ts";
import { calibrationOf } from "../../../src/model/temperature.ts";
import { counted } from "../../../src/report/numbers.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { onFirstRank } from "../../../src/train/ranks/ranks.ts";
import type { TrainingResult } from "../../../src/train/request.ts";
import type { ResolvedSettings } from "../../../src/train/settings/resolve.ts";
import { runTraining } from "../../../src/train/train.ts";
import { platformFor } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { reportSkipped } from "../progress.ts";
import { type FoundCheckpoint, newestCheckpoint, recordedSettings } from "./checkpoint-folder.ts";
import { describeChoice, type Reached } from "./description.ts";
import { type RunFlags, required, resumeCommand } from "./flags.ts";
import { assertSameRanks, assertSameSettings, isExtended } from "./resume.ts";
import { hooksOf, type Run, resumeRun, startRun } from "./run.ts";
import { assertOutputOutsideImages, RunFolder } from "./run-folder.ts";
import { acquireLock } from "./run-lock.ts";
import { trainInto } from "./train-into.ts";

interface TrainingTask {
  /** Folder of the images, if given. */
  readonly images: string | undefined;
  readonly resolved: ResolvedSettings;
  readonly flags: RunFlags;
}

/** @throws {UsageError} the folder of images is missing. */
export function needImages(folder: string | undefined): string {
  return required(folder, "argument folder", "a folder of images, with one subfolder for each class");
}

/** Trains as rank 0, or alone: this process writes the run's folder and reports progress. */
export async function leadTraining(task: TrainingTask, io: CliIo): Promise<void> {
  const { images, resolved, flags } = task;
  const { output } = flags;
  const note = (text: string) => io.stderr(`${text}\n`);
  if (flags.resume && flags.overwrite) {
    throw new UsageError({
      where: "option --overwrite",
      what: "this cannot be set together with option --resume",
      expected: "--resume to resume the run, or --overwrite to replace it",
    });
  }
  const { val, test } = resolved.settings;
  if (images !== undefined) await assertOutputOutsideImages(output, [images, val ?? images, test ?? images]);
  const started = flags.resume ? undefined : await start(task, io);
  const folder = await RunFolder.claim(output, flags);
  const release = await acquireLock(output, note);
  try {
    await folder.removeTemporaryFiles();
    if (started) {
      callFollowers(task, true);
      return await trainAndReport(started, folder, io);
    }
    const from = await newestCheckpoint(output, note);
    assertSameSettings(from, resolved, flags);
    const isDone = !isExtended(from, resolved) && (await isOver(from, folder));
    if (!isDone) assertSameRanks(from, flags);
    callFollowers(task, !isDone);
    if (isDone) return await reportComplete(from, folder, flags, io);
    return await trainAndReport(await resumeRun(from, images, flags, resolved, nodePlatform), folder, io);
  } finally {
    await release();
  }
}

/** Trains as another rank, without output except for errors. */
export async function followTraining(task: TrainingTask, io: CliIo): Promise<void> {
  if (!callFollowers(task, false)) return;
  const { images, resolved, flags } = task;
  const run = flags.resume
    ? await resumeRun(await newestCheckpoint(flags.output, io.stderr), images, flags, resolved, nodePlatform)
    : await start(task, io);
  const save = async () => {};
  await runTraining(run.plan, hooksOf(run, io.signal, save));
}

/** Rank 0 announces whether to train, once it holds the folder and the run's start is on disk. */
function callFollowers({ flags }: TrainingTask, isTraining: boolean): boolean {
  return onFirstRank(flags.ranks.communicator, isTraining);
}

async function start({ images, resolved, flags }: TrainingTask, io: CliIo): Promise<Run> {
  const folder = needImages(images);
  return startRun(folder, flags, resolved, platformFor(flags, io));
}

async function trainAndReport(run: Run, into: RunFolder, io: CliIo): Promise<void> {
  const { flags, plan } = run;
  const note = (text: string) => io.stderr(`${text}\n`);
  const limit = timeLimit(io, run.maxMinutes);
  const result = await trainInto(into, run, nodePlatform, { ...io, signal: limit.signal }).catch((cause) => {
    if (!(cause instanceof AbortedError)) throw cause;
    const what = "it was stopped while the head was trained; there is no model yet";
    const { reason: remedy } = limit;
    throw new AbortedError({ where: "train", what, ...(remedy !== undefined && { remedy }), cause });
  });
  flags.ranks.leave();
  reportSkipped([...result.skipped, ...result.validationSkipped, ...(result.test?.skipped ?? [])], io);
  if (flags.json) writeJson(io, resultJson(result, into));
  else if (result.steps > 0) io.stdout(`${describeChoice({ ...result, keep: plan.settings.keep })}\n`);
  if (result.aborted && (limit.reason === undefined || result.steps === 0)) throw interruption(result, run, into);
  if (result.aborted) note(`${limit.reason} To resume: ${resumeCommand(flags.output, flags.ranks.communicator.size)}`);
  else if (result.history.length < plan.settings.epochs)
    note(`Stopped early: no improvement for ${counted(plan.settings.patience!, "epoch")}.`);
  note(`Wrote ${into.written.join(", ")} into ${into.path}`);
}

type Outcome = Reached & Pick<TrainingResult, "aborted" | "skipped" | "validationSkipped">;

/** The output of `train --json`. */
function resultJson(result: Outcome, { path, written }: RunFolder) {
  const { aborted, steps, epoch, history, evaluation, calibration, test, skipped, validationSkipped } = result;
  const evaluated = { evaluation, calibration, ...(test && { test: { ...test.evaluation, skipped: test.skipped } }) };
  return { folder: path, files: written, aborted, steps, epoch, history, ...evaluated, skipped, validationSkipped };
}

/** Returns true if the run is complete, and its report, which comes last, is newer than the checkpoint. */
export async function isOver({ checkpoint, path, record }: FoundCheckpoint, folder: RunFolder): Promise<boolean> {
  if (!checkpoint.isOver) return false;
  const { test, split } = recordedSettings(record).settings;
  // It was stopped during its test.
  if ((test !== null || (split?.[2] ?? 0) > 0) && (await testIn(folder)) === undefined) return false;
  const [report, saved] = await Promise.all(
    [folder.file("report"), path].map((file) => stat(file).catch(() => undefined)),
  );
  return report !== undefined && saved !== undefined && report.mtimeMs >= saved.mtimeMs;
}

/** Reports the result of a complete run. */
async function reportComplete(
  { checkpoint, record }: FoundCheckpoint,
  folder: RunFolder,
  flags: { readonly json?: boolean },
  io: CliIo,
): Promise<void> {
  const { history, best, state, skipped, validationSkipped } = checkpoint;
  const evaluation = best?.test.evaluation;
  const test = await testIn(folder);
  const calibration = evaluation && record.settings.temperature === true ? calibrationOf(evaluation) : undefined;
  const reached = { steps: state.steps, epoch: best?.epoch ?? history.length, history, evaluation, calibration, test };
  io.stderr(
    `The run in ${folder.path} is complete after ${counted(history.length, "epoch")}: there is nothing to resume.\n`,
  );
  if (flags.json) writeJson(io, resultJson({ ...reached, aborted: false, skipped, validationSkipped }, folder));
  else io.stdout(`${describeChoice({ ...reached, keep: record.settings.keep === "last" ? "last" : "best" })}\n`);
}

/** The test of a complete run, from its file. */
async function testIn(folder: RunFolder): Promise<Outcome["test"]> {
  const path = folder.file("evaluation");
  const text = await readFile(path, "utf8").catch(() => "{}");
  const { test } = parseJson(text, `file "${path}"`) as { test?: Evaluation & { skipped: readonly SkippedFile[] } };
  return test && { evaluation: test, skipped: test.skipped };
}

/** The error of a stopped run, with the command that resumes it. */
function interruption(result: TrainingResult, { plan, flags }: Run, folder: RunFolder): AbortedError {
  const { steps, history } = result;
  const epoch = Math.min(history.length + 1, plan.settings.epochs);
  const saved = steps === 0 ? "nothing was saved" : `the model so far is in ${folder.file("model")}`;
  return new AbortedError({
    where: "train",
    what: `it was stopped after step ${steps}, in epoch ${epoch} of ${plan.settings.epochs}; ${saved}`,
    remedy:
      steps === 0
        ? "To train, run the same command again."
        : `To resume: ${resumeCommand(flags.output, flags.ranks.communicator.size)}`,
  });
}

/**
 * Time limit of a run, which then stops as after Ctrl-C, but successfully.
 * @param minutes null: no limit.
 */
export function timeLimit({ signal: interrupt }: CliIo, minutes: number | null) {
  const limit = minutes === null ? undefined : AbortSignal.timeout(Math.ceil(60_000 * minutes));
  return {
    /** Fires at the time limit, and when the user stops the program. */
    signal: limit ? AbortSignal.any([interrupt, limit]) : interrupt,
    /** The reason for stopping, if it was the time limit alone. */
    get reason(): string | undefined {
      return limit?.aborted && !interrupt.aborted ? `The time limit was reached: --max-minutes ${minutes}.` : undefined;
    },
  };
}
