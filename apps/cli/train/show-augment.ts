import type { ImageDataset } from "../../../src/data/dataset.ts";
import type { Platform } from "../../../src/platform.ts";
import { drawContactSheet } from "../../../src/report/contact-sheet.ts";
import { html, Markup } from "../../../src/report/markup.ts";
import { assertWritable, writeFileAtomic } from "../../../src/runtime/node-files.ts";
import { defaultPreprocessing } from "../../../src/tasks/model/model.ts";
import { augmentationSheet } from "../../../src/tasks/train/augmentation-sheet.ts";
import { trainOptions } from "../../../src/tasks/train/settings/chosen-options.ts";
import type { Settings } from "../../../src/tasks/train/settings/settings.ts";
import { endingOf } from "../file-ending.ts";
import { renderPng } from "../render-png.ts";
import { augmentationText } from "./description.ts";

/**
 * Draws a contact sheet of training images as the first epochs show them, and writes it.
 * @throws {UsageError} the end of the file's name is none of a sheet's.
 * @throws {DataError} no image can be used.
 * @throws {FileError} the file cannot be written.
 */
export async function showAugmentation(
  file: string,
  training: ImageDataset,
  settings: Settings,
  platform: Platform,
): Promise<{ readonly images: number; readonly epochs: number }> {
  const format = endingOf(file, ["png", "svg", "html"], "--show-augment");
  await assertWritable(file);
  const { imageSize, seed, labelSmoothing } = settings;
  const { augmentation, mixing } = trainOptions(settings);
  const { fit, background } = defaultPreprocessing;
  const smoothing = labelSmoothing > 0 ? `, label smoothing ${labelSmoothing}` : "";
  const sheet = await augmentationSheet(training, {
    platform,
    decode: { width: imageSize, height: imageSize, fit, background },
    seed,
    augmentation: augmentation!,
    mixing,
    labelSmoothing,
    subtitle: `--augment ${augmentationText(settings)}${smoothing}, seed ${seed}, ${imageSize}×${imageSize} pixels`,
  });
  const svg = drawContactSheet(sheet);
  await writeFileAtomic(file, format === "png" ? await renderPng(svg, 72) : format === "svg" ? svg : page(svg));
  return { images: sheet.rows.length, epochs: sheet.columns.length - 1 };
}

function page(svg: string): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What the training sees</title></head>
<body>${new Markup(svg)}</body></html>
`.text;
}
