import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { FileError, FormatError, TrainingError } from "../../../src/base/errors.ts";
import { counted } from "../../../src/report/numbers.ts";
import { renderReport } from "../../../src/report/training.ts";
import { decodeReport, type LiveStatus, type TrainingReport } from "../../../src/report/training-report.ts";
import { readFile, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp } from "../options.ts";
import { hasCheckpoint } from "../train/checkpoint-folder.ts";
import { resumeCommand } from "../train/flags.ts";
import { checkpointsFolder, runFiles } from "../train/run-folder.ts";
import { isRunning } from "../train/run-lock.ts";

export default function registerReport(command: Command, io: CliIo): void {
  addHelp(command, {
    details: "Also works for a run that was interrupted or is still training.",
    examples: ["xception report run", "xception report run -o report.html"],
  })
    .option("-o, --output <file>", `the HTML file to write (default: ${runFiles.report} in the run)`)
    .action(async (run: string, { output, json }: { readonly output?: string; readonly json?: boolean }) => {
      const stored = await readReport(run);
      const isInterrupted = stored.live !== undefined && !(await isRunning(run));
      const report = isInterrupted ? await interrupted(stored, run) : stored;
      const file = output ?? join(run, runFiles.report);
      await writeFileAtomic(file, await renderReport(report));
      const epochs = report.history?.length ?? 0;
      const ended = stored.isStopped ? "stopped" : "finished";
      const state = stored.live === undefined ? ended : isInterrupted ? "interrupted" : "running";
      if (json) writeJson(io, { file, epochs, state });
      else io.stderr(`Wrote ${file}: ${counted(epochs, "epoch")}, training is ${state}\n`);
    });
}

/**
 * @throws {FileError} the folder does not exist.
 * @throws {TrainingError} it is not a run, or has nothing to report yet.
 * @throws {FormatError} its data are damaged.
 */
async function readReport(run: string): Promise<TrainingReport> {
  const names = await readdir(run).catch((cause: NodeJS.ErrnoException) => {
    const what = cause.code === "ENOENT" ? "there is no such folder" : "the folder cannot be read";
    throw new FileError({ where: `folder "${run}"`, what, expected: "the folder of a run", cause });
  });
  if (names.includes(runFiles.reportData)) {
    const path = join(run, runFiles.reportData);
    const bytes = await readFile(path);
    try {
      return decodeReport(new TextDecoder().decode(bytes), `file "${path}"`);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const remedy = "It is rewritten when the run is resumed.";
      throw new FormatError({ ...error.parts, remedy, cause: error });
    }
  }
  const isRun = [...Object.values(runFiles), checkpointsFolder].some((name) => names.includes(name));
  throw new TrainingError({
    where: `folder "${run}"`,
    what: isRun
      ? `this run has nothing to report yet: there is no ${runFiles.reportData}`
      : "this is not the folder of a run",
    ...(isRun ? { remedy: "It is written soon after the first step." } : { expected: "the output of xception train" }),
  });
}

/** Completes the report of a run that did not get to write its last one. */
async function interrupted({ live, ...report }: TrainingReport, run: string): Promise<TrainingReport> {
  const { epoch, epochs, step, steps, processes } = live as LiveStatus;
  const where = `It was interrupted in epoch ${epoch} of ${epochs}, after step ${step} of ${steps}`;
  const further = (await hasCheckpoint(run))
    ? `. To resume: ${resumeCommand(run, processes)}`
    : ", before its first checkpoint: start it again with --overwrite.";
  return { ...report, summary: `${report.summary ?? ""} ${where}${further}`.trim() };
}
