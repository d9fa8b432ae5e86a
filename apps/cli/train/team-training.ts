import { AbortedError, UsageError } from "../../../src/errors.ts";
import { nodePlatform } from "../../../src/runtime/node.ts";
import { onFirstRank } from "../../../src/tasks/ranks/ranks.ts";
import type { ResolvedSettings } from "../../../src/tasks/train/settings/resolve.ts";
import type { Settings } from "../../../src/tasks/train/settings/settings.ts";
import { train } from "../../../src/tasks/train/train.ts";
import { platformFor } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { reportSkipped } from "../skipped-files.ts";
import { newestCheckpoint } from "./checkpoint-folder.ts";
import { resumeCommand } from "./command-line.ts";
import { describeChoice } from "./description.ts";
import { type RunFlags, required } from "./flags.ts";
import { interruption, isOver, resultJson, stoppedInHead, tellThatItIsOver } from "./outcome.ts";
import { assertOutputOutsideImages } from "./output-folder.ts";
import { beginRun, goOnWithRun, type PreparedRun } from "./prepare-run.ts";
import { assertSameRanks, assertSameSettings } from "./resume.ts";
import { RunFolder } from "./run-folder.ts";
import { RunLock } from "./run-lock.ts";
import { runOptions } from "./run-options.ts";
import { TimeLimit } from "./time-limit.ts";
import { trainInto } from "./train-into.ts";

/** What the command line asks for. */
export interface TrainingTask {
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
    return await trainAndTell(await goOnWithRun(from, images, flags, resolved, nodePlatform), folder, io);
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
    expected: "--resume to go on with the run, or --overwrite to replace it",
  });
}

/** Takes part in a training that rank 0 leads; nothing is said or written, but for errors. */
export async function followTraining(task: TrainingTask, io: CliIo): Promise<void> {
  if (!callFollowers(task, false)) return;
  const { images, resolved, flags } = task;
  const run = flags.resume
    ? await goOnWithRun(await newestCheckpoint(flags.output, io.stderr), images, flags, resolved, nodePlatform)
    : await begin(task, io);
  const save = async () => {};
  // Rank 0 looks at the clock.
  await train(run.inputs.training, runOptions(run, nodePlatform, io.signal, save));
}

/** Rank 0 says whether there is something to do, when it has the run's folder and what it begins with is on the disk. */
function callFollowers({ flags }: TrainingTask, isTraining: boolean): boolean {
  return onFirstRank(flags.team.communicator, isTraining);
}

async function begin({ images, resolved, flags }: TrainingTask, io: CliIo): Promise<PreparedRun> {
  const folder = needImages(images);
  return beginRun(folder, flags, resolved, platformFor(flags, io));
}

async function trainAndTell(run: PreparedRun, into: RunFolder, io: CliIo): Promise<void> {
  const { flags, inputs } = run;
  const note = (text: string) => io.stderr(`${text}\n`);
  const limit = new TimeLimit(io, run.maxMinutes);
  const result = await trainInto(into, run, nodePlatform, { ...io, signal: limit.signal }).catch((error) => {
    throw error instanceof AbortedError ? stoppedInHead(error, limit) : error;
  });
  flags.team.leave();
  reportSkipped([...result.skipped, ...result.validationSkipped], io);
  if (flags.json) writeJson(io, resultJson(result, into));
  else if (result.steps > 0) io.stdout(`${describeChoice(result)}\n`);
  if (result.aborted && (limit.reason === undefined || result.steps === 0)) throw interruption(result, run, into);
  if (result.aborted) note(`${limit.reason} To go on: ${resumeCommand(flags.output, flags.team.communicator.size)}`);
  else if (result.history.length < inputs.settings.epochs) note(describePatience(inputs.settings));
  note(`Wrote ${into.written.join(", ")} into ${into.path}`);
}

function describePatience({ patience }: Settings): string {
  return `It ended early: ${patience} ${patience === 1 ? "epoch" : "epochs"} in a row tested no better than the best.`;
}
