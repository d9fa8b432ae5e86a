import type { Command } from "commander";
import { AbortedError } from "../../../src/errors.ts";
import { readFile } from "../../../src/runtime/node-files.ts";
import { writeConfig } from "../../../src/tasks/settings/config-file.ts";
import type { Settings } from "../../../src/tasks/settings/settings.ts";
import type { TrainingResult } from "../../../src/tasks/train-options.ts";
import { addCommand } from "../add-command.ts";
import { downloadsOf } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { loadPlatform } from "../load-platform.ts";
import { reportSkipped } from "../skipped-files.ts";
import { describeChoice } from "../train/description.ts";
import { addTrainOptions, required, settingsOf, type TrainFlags } from "../train/flags.ts";
import { readInputs, type TrainingInputs } from "../train/inputs.ts";
import { refuseOutputAmongPictures } from "../train/output-folder.ts";
import { RunFolder } from "../train/run-folder.ts";
import { TimeLimit } from "../train/time-limit.ts";
import { trainInto } from "../train/train-into.ts";

export function registerTrain(program: Command, io: CliIo): void {
  const command = addCommand(program, "train [folder]", {
    description:
      "Train a network on a folder of pictures with one sub-folder for each class. Ctrl-C finishes the step and saves " +
      "what was reached; the exit code is then 1.",
    example: "xception train photos/train --val photos/test -o run --image-size 150 --width 0.25",
  });
  addTrainOptions(command).action(async (pictures: string | undefined, flags: TrainFlags) => {
    const resolved = await settingsOf(flags, readFile);
    if (flags.printConfig) {
      if (flags.json)
        writeJson(io, Object.fromEntries([...resolved.sources.keys()].map((name) => [name, resolved.settings[name]])));
      else io.stdout(writeConfig(resolved));
      return;
    }
    const folder = required(pictures, "argument folder", "a folder of pictures, with one sub-folder for each class");
    const output = required(flags.output, "option --output", "a folder to write the run into, e.g. -o run");
    const platform = await loadPlatform();
    const { mirror, readFile: readAnything } = downloadsOf(flags, process.env, io);
    const reading = { ...platform, readFile: readAnything };
    const inputs = await readInputs(folder, { ...flags, output }, resolved, reading, { mirror });
    await refuseOutputAmongPictures(output, [folder, inputs.validationFolder ?? folder]);
    const runFolder = await RunFolder.claim(output, flags);
    const limit = new TimeLimit(io, resolved.settings.maxMinutes);
    const result = await trainInto(runFolder, inputs, platform, { ...io, signal: limit.signal });
    reportSkipped([...result.skipped, ...result.validationSkipped], io);
    if (flags.json) writeJson(io, asJson(result, runFolder));
    else if (result.steps > 0) io.stdout(`${describeChoice(result)}\n`);
    if (result.aborted && (limit.reason === undefined || result.steps === 0))
      throw interruption(result, inputs, runFolder);
    if (result.aborted) io.stderr(`${limit.reason}\n`);
    else if (result.history.length < resolved.settings.epochs) io.stderr(`${describePatience(resolved.settings)}\n`);
    io.stderr(`Wrote ${runFolder.written.join(", ")} into ${runFolder.path}\n`);
  });
}

function asJson(result: TrainingResult, { path, written }: RunFolder) {
  const { aborted, steps, epoch, history, evaluation, skipped, validationSkipped } = result;
  return { folder: path, files: written, aborted, steps, epoch, history, evaluation, skipped, validationSkipped };
}

function describePatience({ patience }: Settings): string {
  return `It ended early: ${patience} ${patience === 1 ? "epoch" : "epochs"} in a row tested no better than the best.`;
}

function interruption(result: TrainingResult, { settings }: TrainingInputs, folder: RunFolder): AbortedError {
  const { steps, history } = result;
  const epoch = Math.min(history.length + 1, settings.epochs);
  const saved = steps === 0 ? "nothing was saved" : `the model so far is in ${folder.file("model")}`;
  return new AbortedError({
    where: "train",
    what: `it was stopped after step ${steps}, in epoch ${epoch} of ${settings.epochs}; ${saved}`,
    remedy: "A run cannot be resumed yet: to train to the end, give the same command again, with --overwrite.",
  });
}
