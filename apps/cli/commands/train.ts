import type { Command } from "commander";
import { nodePlatform } from "../../../src/runtime/node.ts";
import { readFile } from "../../../src/runtime/node-files.ts";
import { writeConfig } from "../../../src/tasks/train/settings/config-file.ts";
import type { ResolvedSettings } from "../../../src/tasks/train/settings/resolve.ts";
import { addCommand } from "../add-command.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addTrainOptions, required, settingsOf, type TrainFlags } from "../train/flags.ts";
import { readTrainingImages } from "../train/images.ts";
import { showAugmentation } from "../train/show-augment.ts";
import { inTeam } from "../train/team.ts";
import { followTraining, leadTraining, needImages } from "../train/team-training.ts";

export function registerTrain(program: Command, io: CliIo): void {
  const command = addCommand(program, "train [folder]", {
    description:
      "Train a network on a folder of images with one sub-folder for each class. Ctrl-C finishes the step and saves " +
      "what was reached, to go on later with --resume; the exit code is then 1.",
    example: "xception train photos/train --val photos/test -o run --image-size 150 --width 0.25",
  });
  addTrainOptions(command).action(async (images: string | undefined, flags: TrainFlags) => {
    const resolved = await settingsOf(flags, readFile);
    if (flags.printConfig) return printConfig(resolved, flags, io);
    if (flags.showAugment !== undefined) return showImages(flags.showAugment, needImages(images), resolved);
    const output = required(flags.output, "option --output", "a folder to write the run into, e.g. -o run");
    await inTeam(flags, process.env, io, (team, teamIo) => {
      const task = { images, resolved, flags: { ...flags, output, team } };
      return team.communicator.rank === 0 ? leadTraining(task, teamIo) : followTraining(task, teamIo);
    });
  });

  async function showImages(file: string, folder: string, { settings }: ResolvedSettings): Promise<void> {
    const { training } = await readTrainingImages(folder, settings, nodePlatform.files);
    const shown = await showAugmentation(file, training, settings, nodePlatform);
    if (command.opts<TrainFlags>().json) writeJson(io, { file, ...shown });
    else io.stderr(`Wrote ${file}: ${shown.images} images in ${shown.epochs} epochs; nothing was trained\n`);
  }
}

function printConfig(resolved: ResolvedSettings, flags: TrainFlags, io: CliIo): void {
  const { sources, settings } = resolved;
  if (flags.json) writeJson(io, Object.fromEntries([...sources.keys()].map((name) => [name, settings[name]])));
  else io.stdout(writeConfig(resolved));
}
