import type { Command } from "commander";
import { limitPixels } from "../../../src/base/pixel-limit.ts";
import type { ImageDataset } from "../../../src/data/dataset.ts";
import { defaultPreprocessing } from "../../../src/model/model.ts";
import { drawContactSheet } from "../../../src/report/contact-sheet.ts";
import { html, Markup } from "../../../src/report/markup.ts";
import { counted } from "../../../src/report/numbers.ts";
import { assertWritable, readFile, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { augmentationSheet } from "../../../src/train/augmentation-sheet.ts";
import { choicesOf } from "../../../src/train/settings/choices.ts";
import { writeConfig } from "../../../src/train/settings/config-file.ts";
import type { ResolvedSettings } from "../../../src/train/settings/resolve.ts";
import type { Settings } from "../../../src/train/settings/settings.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp } from "../options.ts";
import { extensionOf, renderPng } from "../output-file.ts";
import { augmentationText } from "../train/description.ts";
import { addTrainOptions, required, settingsOf, type TrainFlags } from "../train/flags.ts";
import { readTrainingImages } from "../train/images.ts";
import { withRanks } from "../train/launched-ranks.ts";
import { followTraining, leadTraining, needImages } from "../train/rank-training.ts";
import { nextRunFolder } from "../train/run-folder.ts";

export default function registerTrain(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "The folder has one subfolder per class. Ctrl-C finishes the step and saves the state, to resume " +
      "later with --resume; the exit code is then 1.",
    examples: [
      "xception train photos/train --val photos/val --test photos/test -o run --image-size 150 --width 0.25",
      "xception train photos --recipe finetune --weights imagenet -o tuned",
    ],
  });
  addTrainOptions(command).action(async (images: string | undefined, flags: TrainFlags) => {
    const resolved = await settingsOf(flags, readFile);
    if (flags.printConfig) return printConfig(resolved, flags, io);
    if (flags.showAugment !== undefined) return showImages(flags.showAugment, needImages(images), resolved);
    await withRanks(flags, process.env, io, async (ranks, ranksIo) => {
      const isAlone = ranks.communicator.size === 1 && !flags.resume;
      const output =
        isAlone && flags.output === undefined && images !== undefined
          ? await nextRunFolder(images)
          : required(flags.output, "option --output", "a folder to write the run into, e.g. -o run");
      const task = { images, resolved, flags: { ...flags, output, ranks } };
      return ranks.communicator.rank === 0 ? leadTraining(task, ranksIo) : followTraining(task, ranksIo);
    });
  });

  async function showImages(file: string, folder: string, { settings }: ResolvedSettings): Promise<void> {
    const { training } = await readTrainingImages(folder, settings, nodePlatform.files);
    const shown = await showAugmentation(file, training, settings);
    if (command.opts<TrainFlags>().json) writeJson(io, { file, ...shown });
    else
      io.stderr(
        `Wrote ${file}: ${counted(shown.images, "image")} in ${counted(shown.epochs, "epoch")}; nothing was trained\n`,
      );
  }
}

function printConfig(resolved: ResolvedSettings, flags: TrainFlags, io: CliIo): void {
  const { sources, settings } = resolved;
  if (flags.json) writeJson(io, Object.fromEntries([...sources.keys()].map((name) => [name, settings[name]])));
  else io.stdout(writeConfig(resolved));
}

/**
 * Writes a contact sheet of training images with the augmentations of the first epochs.
 * @throws {UsageError} the file has an unknown extension.
 * @throws {DataError} no image can be used.
 * @throws {FileError} the file cannot be written.
 */
async function showAugmentation(file: string, training: ImageDataset, settings: Settings) {
  const format = extensionOf(file, ["png", "svg", "html"], "--show-augment");
  await assertWritable(file);
  const { imageSize, seed, labelSmoothing } = settings;
  const { augmentation, mixing } = choicesOf(settings);
  const { fit, background } = defaultPreprocessing;
  const smoothing = labelSmoothing > 0 ? `, label smoothing ${labelSmoothing}` : "";
  const sheet = await augmentationSheet(training, {
    ...{ platform: limitPixels(nodePlatform, settings.pixelLimit), seed, augmentation, mixing, labelSmoothing },
    decode: { width: imageSize, height: imageSize, fit, background },
    subtitle: `--augment ${augmentationText(settings)}${smoothing}, seed ${seed}, ${imageSize}×${imageSize} pixels`,
  });
  const svg = drawContactSheet(sheet);
  await writeFileAtomic(file, format === "png" ? await renderPng(svg, 72) : format === "svg" ? svg : page(svg));
  return { images: sheet.rows.length, epochs: sheet.columns.length - 1 };
}

function page(svg: string): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Augmented training images</title></head>
<body>${new Markup(svg)}</body></html>
`.text;
}
