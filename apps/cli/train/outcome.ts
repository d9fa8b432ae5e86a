import { stat } from "node:fs/promises";
import { AbortedError } from "../../../src/errors.ts";
import type { TrainingResult } from "../../../src/tasks/train/request.ts";
import { type CliIo, writeJson } from "../io.ts";
import type { FoundCheckpoint } from "./checkpoint-folder.ts";
import { resumeCommand } from "./command-line.ts";
import { describeChoice, type Reached } from "./description.ts";
import type { Run } from "./run.ts";
import type { RunFolder } from "./run-folder.ts";
import type { TimeLimit } from "./time-limit.ts";

type Outcome = Reached & Pick<TrainingResult, "aborted" | "skipped" | "validationSkipped">;

/** What `train --json` prints. */
export function resultJson(result: Outcome, { path, written }: RunFolder) {
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

/** That there is nothing to go on with, and what the run had reached. */
export function tellThatItIsOver(
  { checkpoint }: FoundCheckpoint,
  folder: RunFolder,
  flags: { readonly json?: boolean },
  io: CliIo,
): void {
  const { history, best, state, skipped, validationSkipped } = checkpoint;
  const evaluation = best?.test.evaluation;
  const reached = { steps: state.steps, epoch: best?.epoch ?? history.length, history, evaluation };
  io.stderr(`The run in ${folder.path} is over after ${history.length} epochs: there is nothing to go on with.\n`);
  if (flags.json) writeJson(io, resultJson({ ...reached, aborted: false, skipped, validationSkipped }, folder));
  else io.stdout(`${describeChoice(reached)}\n`);
}

/** That a training was stopped, and how to go on. */
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
        : `To go on: ${resumeCommand(flags.output, flags.team.communicator.size)}`,
  });
}

/** That a training was stopped in its first phase, and whether time did it. */
export function stoppedInHead(cause: AbortedError, { reason }: TimeLimit): AbortedError {
  const what = "it was stopped while the classifier was trained alone; there is no model yet";
  return new AbortedError({ where: "train", what, ...(reason !== undefined && { remedy: reason }), cause });
}
