import { stat } from "node:fs/promises";
import { AbortedError, UsageError } from "../../../src/base/errors.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { onFirstRank } from "../../../src/train/ranks/ranks.ts";
import type { TrainingResult } from "../../../src/train/request.ts";
import type { ResolvedSettings } from "../../../src/train/settings/resolve.ts";
import type { Settings } from "../../../src/train/settings/settings.ts";
import { runTraining } from "../../../src/train/train.ts";
import { platformFor } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { reportSkipped } from "../progress.ts";
import { type FoundCheckpoint, newestCheckpoint } from "./checkpoint-folder.ts";
import { describeChoice, type Reached } from "./description.ts";
import { type RunFlags, required, resumeCommand } from "./flags.ts";
import { assertSameRanks, assertSameSettings } from "./resume.ts";
import { hooksOf, type Run, resumeRun, startRun } from "./run.ts";
import { assertOutputOutsideImages, RunFolder } from "./run-folder.ts";
import { RunLock } from "./run-lock.ts";
import { trainInto } from "./train-into.ts";

/** What the command line asks for. */
interface TrainingTask {
  /** Their folder, if it was given. */
  readonly images: string | undefined;
  readonly resolved: ResolvedSettings;
  readonly flags: RunFlags;
}

/** @throws {UsageError} it was not given. */
export function needImages(folder: string | undefined): string {
  return required(folder, "argument folder", "a folder of images, with one sub-folder for each class");
}

/** Trains as rank 0, or alone: this process has the run's folder, and tells what happens. */
export async function leadTraining(task: TrainingTask, io: CliIo): Promise<void> {
  const { images, resolved, flags } = task;
  const { output } = flags;
  const note = (text: string) => io.stderr(`${text}\n`);
  assertNoContradiction(flags);
  if (images !== undefined) await assertOutputOutsideImages(output, [images, resolved.settings.val ?? images]);
  const begun = flags.resume ? undefined : await begin(task, io);
  const folder = await RunFolder.claim(output, flags);
  const lock = await RunLock.acquire(output, note);
  try {
    await folder.removeTemporaryFiles();
    if (begun) {
      callFollowers(task, true);
      return await trainAndTell(begun, folder, io);
    }
    const from = await newestCheckpoint(output, note);
    assertSameSettings(from.record, resolved, flags);
    const isDone = await isOver(from, folder);
    if (!isDone) assertSameRanks(from, flags);
    callFollowers(task, !isDone);
    if (isDone) return tellThatItIsOver(from, folder, flags, io);
    return await trainAndTell(await resumeRun(from, images, flags, resolved, nodePlatform), folder, io);
  } finally {
    await lock.release();
  }
}

/** @throws {UsageError} a run is to be gone on with and to be replaced. */
function assertNoContradiction({ resume, overwrite }: RunFlags): void {
  if (!resume || !overwrite) return;
  throw new UsageError({
    where: "option --overwrite",
    what: "this cannot be set together with option --resume",
    expected: "--resume to resume the run, or --overwrite to replace it",
  });
}

/** Takes part in a training that rank 0 leads; nothing is said or written, but for errors. */
export async function followTraining(task: TrainingTask, io: CliIo): Promise<void> {
  if (!callFollowers(task, false)) return;
  const { images, resolved, flags } = task;
  const run = flags.resume
    ? await resumeRun(await newestCheckpoint(flags.output, io.stderr), images, flags, resolved, nodePlatform)
    : await begin(task, io);
  const save = async () => {};
  // Rank 0 looks at the clock.
  await runTraining(run.plan, hooksOf(run, io.signal, save));
}

/** Rank 0 says whether there is something to do, when it has the run's folder and what it begins with is on the disk. */
function callFollowers({ flags }: TrainingTask, isTraining: boolean): boolean {
  return onFirstRank(flags.ranks.communicator, isTraining);
}

async function begin({ images, resolved, flags }: TrainingTask, io: CliIo): Promise<Run> {
  const folder = needImages(images);
  return startRun(folder, flags, resolved, platformFor(flags, io));
}

async function trainAndTell(run: Run, into: RunFolder, io: CliIo): Promise<void> {
  const { flags, plan } = run;
  const note = (text: string) => io.stderr(`${text}\n`);
  const limit = new TimeLimit(io, run.maxMinutes);
  const result = await trainInto(into, run, nodePlatform, { ...io, signal: limit.signal }).catch((error) => {
    throw error instanceof AbortedError ? stoppedInHead(error, limit) : error;
  });
  flags.ranks.leave();
  reportSkipped([...result.skipped, ...result.validationSkipped], io);
  if (flags.json) writeJson(io, resultJson(result, into));
  else if (result.steps > 0) io.stdout(`${describeChoice(result)}\n`);
  if (result.aborted && (limit.reason === undefined || result.steps === 0)) throw interruption(result, run, into);
  if (result.aborted) note(`${limit.reason} To resume: ${resumeCommand(flags.output, flags.ranks.communicator.size)}`);
  else if (result.history.length < plan.settings.epochs) note(describePatience(plan.settings));
  note(`Wrote ${into.written.join(", ")} into ${into.path}`);
}

function describePatience({ patience }: Settings): string {
  return `It ended early: ${patience} ${patience === 1 ? "epoch" : "epochs"} in a row tested no better than the best.`;
}

type Outcome = Reached & Pick<TrainingResult, "aborted" | "skipped" | "validationSkipped">;

/** What `train --json` prints. */
function resultJson(result: Outcome, { path, written }: RunFolder) {
  const { aborted, steps, epoch, history, evaluation, skipped, validationSkipped } = result;
  return { folder: path, files: written, aborted, steps, epoch, history, evaluation, skipped, validationSkipped };
}

/** Whether nothing is left to do: the training is over, and the report, which comes last, has been written since. */
export async function isOver({ checkpoint, path }: FoundCheckpoint, folder: RunFolder): Promise<boolean> {
  if (!checkpoint.isOver) return false;
  const [report, saved] = await Promise.all(
    [folder.file("report"), path].map((file) => stat(file).catch(() => undefined)),
  );
  return report !== undefined && saved !== undefined && report.mtimeMs >= saved.mtimeMs;
}

/** Reports that there is nothing to resume, and what the run reached. */
function tellThatItIsOver(
  { checkpoint }: FoundCheckpoint,
  folder: RunFolder,
  flags: { readonly json?: boolean },
  io: CliIo,
): void {
  const { history, best, state, skipped, validationSkipped } = checkpoint;
  const evaluation = best?.test.evaluation;
  const reached = { steps: state.steps, epoch: best?.epoch ?? history.length, history, evaluation };
  io.stderr(`The run in ${folder.path} is over after ${history.length} epochs: there is nothing to resume.\n`);
  if (flags.json) writeJson(io, resultJson({ ...reached, aborted: false, skipped, validationSkipped }, folder));
  else io.stdout(`${describeChoice(reached)}\n`);
}

/** Reports that training was stopped, and how to resume it. */
export function interruption(result: TrainingResult, { plan, flags }: Run, folder: RunFolder): AbortedError {
  const { steps, history } = result;
  const epoch = Math.min(history.length + 1, plan.settings.epochs);
  const saved = steps === 0 ? "nothing was saved" : `the model so far is in ${folder.file("model")}`;
  return new AbortedError({
    where: "train",
    what: `it was stopped after step ${steps}, in epoch ${epoch} of ${plan.settings.epochs}; ${saved}`,
    remedy:
      steps === 0
        ? "To train, give the same command again."
        : `To resume: ${resumeCommand(flags.output, flags.ranks.communicator.size)}`,
  });
}

/** That a training was stopped in its first phase, and whether time did it. */
function stoppedInHead(cause: AbortedError, { reason }: TimeLimit): AbortedError {
  const what = "it was stopped while the classifier was trained alone; there is no model yet";
  return new AbortedError({ where: "train", what, ...(reason !== undefined && { remedy: reason }), cause });
}

/** The time that a training may take; when it is over the training stops as after Ctrl-C, but has done what was asked. */
export class TimeLimit {
  readonly #limit: AbortSignal | undefined;
  readonly #interrupt: AbortSignal;
  readonly #minutes: number | null;

  /** @param minutes null: no limit. */
  constructor(io: CliIo, minutes: number | null) {
    this.#minutes = minutes;
    this.#interrupt = io.signal;
    this.#limit = minutes === null ? undefined : AbortSignal.timeout(Math.ceil(60_000 * minutes));
  }

  /** Fires at the end of the time, and when the user stops the program. */
  get signal(): AbortSignal {
    return this.#limit ? AbortSignal.any([this.#interrupt, this.#limit]) : this.#interrupt;
  }

  /** Why the training was stopped, if time did it and nobody else. */
  get reason(): string | undefined {
    if (!this.#limit?.aborted || this.#interrupt.aborted) return undefined;
    return `The time was over: --max-minutes ${this.#minutes}.`;
  }
}
