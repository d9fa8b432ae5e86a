import type { Command } from "commander";
import { readFile } from "../../../src/runtime/node-files.ts";
import { writeConfig } from "../../../src/tasks/settings/config-file.ts";
import type { ResolvedSettings } from "../../../src/tasks/settings/resolve.ts";
import type { Settings } from "../../../src/tasks/settings/settings.ts";
import { addCommand } from "../add-command.ts";
import { downloadsOf } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { loadPlatform } from "../load-platform.ts";
import { reportSkipped } from "../skipped-files.ts";
import { newestCheckpoint } from "../train/checkpoint-folder.ts";
import { describeChoice } from "../train/description.ts";
import { addTrainOptions, required, settingsOf, type TrainFlags } from "../train/flags.ts";
import { interruption, isOver, resultJson, resumeCommand, tellThatItIsOver } from "../train/outcome.ts";
import { refuseOutputAmongPictures } from "../train/output-folder.ts";
import { readPictures } from "../train/pictures.ts";
import { beginRun, goOnWithRun, type PreparedRun } from "../train/prepare-run.ts";
import { refuseOtherSettings } from "../train/resume.ts";
import { RunFolder } from "../train/run-folder.ts";
import { RunLock } from "../train/run-lock.ts";
import { showAugmentation } from "../train/show-augment.ts";
import { TimeLimit } from "../train/time-limit.ts";
import { trainInto } from "../train/train-into.ts";

export function registerTrain(program: Command, io: CliIo): void {
  const command = addCommand(program, "train [folder]", {
    description:
      "Train a network on a folder of pictures with one sub-folder for each class. Ctrl-C finishes the step and saves " +
      "what was reached, to go on later with --resume; the exit code is then 1.",
    example: "xception train photos/train --val photos/test -o run --image-size 150 --width 0.25",
  });
  addTrainOptions(command).action(async (pictures: string | undefined, flags: TrainFlags) => {
    const resolved = await settingsOf(flags, readFile);
    if (flags.printConfig) return printConfig(resolved, flags, io);
    if (flags.showAugment !== undefined) return showPictures(flags.showAugment, needPictures(pictures), resolved);
    const output = required(flags.output, "option --output", "a folder to write the run into, e.g. -o run");
    const platform = await loadPlatform();
    const note = (text: string) => io.stderr(`${text}\n`);
    const run = { ...flags, output };
    if (pictures !== undefined) await refuseOutputAmongPictures(output, [pictures, resolved.settings.val ?? pictures]);
    const begun = flags.resume ? undefined : await begin(needPictures(pictures));
    const runFolder = await RunFolder.claim(output, flags);
    const lock = await RunLock.acquire(output, note);
    try {
      await runFolder.removeTemporaryFiles();
      if (begun) return await trainAndTell(begun, runFolder);
      const from = await newestCheckpoint(output, note);
      refuseOtherSettings(from.record, resolved, flags);
      if (await isOver(from, runFolder)) return tellThatItIsOver(from, runFolder, flags, io);
      return await trainAndTell(await goOnWithRun(from, pictures, run, resolved, platform), runFolder);
    } finally {
      await lock.release();
    }

    async function begin(folder: string): Promise<PreparedRun> {
      const { mirror, readFile: readAnything } = downloadsOf(flags, process.env, io);
      return beginRun(folder, run, resolved, { ...platform, readFile: readAnything }, { mirror });
    }

    async function trainAndTell(run: PreparedRun, into: RunFolder): Promise<void> {
      const limit = new TimeLimit(io, run.maxMinutes);
      const result = await trainInto(into, run, platform, { ...io, signal: limit.signal });
      reportSkipped([...result.skipped, ...result.validationSkipped], io);
      if (flags.json) writeJson(io, resultJson(result, into));
      else if (result.steps > 0) io.stdout(`${describeChoice(result)}\n`);
      if (result.aborted && (limit.reason === undefined || result.steps === 0)) {
        throw interruption(result, run.inputs, into);
      }
      if (result.aborted) note(`${limit.reason} To go on: ${resumeCommand(into.path)}`);
      else if (result.history.length < run.inputs.settings.epochs) note(describePatience(run.inputs.settings));
      note(`Wrote ${into.written.join(", ")} into ${into.path}`);
    }
  });

  async function showPictures(file: string, folder: string, { settings }: ResolvedSettings): Promise<void> {
    const platform = await loadPlatform();
    const { training } = await readPictures(folder, settings, platform);
    const shown = await showAugmentation(file, training, settings, platform);
    if (command.opts<TrainFlags>().json) writeJson(io, { file, ...shown });
    else io.stderr(`Wrote ${file}: ${shown.pictures} pictures in ${shown.epochs} epochs; nothing was trained\n`);
  }
}

function needPictures(folder: string | undefined): string {
  return required(folder, "argument folder", "a folder of pictures, with one sub-folder for each class");
}

function printConfig(resolved: ResolvedSettings, flags: TrainFlags, io: CliIo): void {
  const { sources, settings } = resolved;
  if (flags.json) writeJson(io, Object.fromEntries([...sources.keys()].map((name) => [name, settings[name]])));
  else io.stdout(writeConfig(resolved));
}

function describePatience({ patience }: Settings): string {
  return `It ended early: ${patience} ${patience === 1 ? "epoch" : "epochs"} in a row tested no better than the best.`;
}
