import type { Command } from "commander";
import { UsageError } from "../../../src/base/errors.ts";
import type { Device } from "../../../src/base/platform.ts";
import type { ImageDataset } from "../../../src/data/dataset.ts";
import type { PreprocessingOptions } from "../../../src/model/preprocessing.ts";
import {
  type DataExamination,
  describeExamination,
  examinationCsv,
  examinationDocument,
  shownFiles,
} from "../../../src/report/data.ts";
import { factsOf } from "../../../src/report/document.ts";
import { toHtml } from "../../../src/report/html.ts";
import { withCommas } from "../../../src/report/numbers.ts";
import { assertWritable, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { examineData, examinedImages } from "../../../src/tasks/data/examination.ts";
import type { LabeledFeatures } from "../../../src/tasks/data/label-issues.ts";
import { embed, type ImageToEmbed } from "../../../src/tasks/features/embed.ts";
import { reportNotes } from "../classifier-options.ts";
import { addDownloadOptions, type DownloadFlags, platformFor } from "../downloads.ts";
import { thumbnail } from "../embedded-images.ts";
import { type CliIo, writeJson } from "../io.ts";
import { readDataset } from "../labels.ts";
import { addNetworkOptions, givenNetworkOptions, type NetworkFlags } from "../network-options.ts";
import { addHelp, deviceOption } from "../options.ts";
import { extensionOf } from "../output-file.ts";
import { addPreprocessingOptions, preprocessingOptions } from "../preprocessing-options.ts";
import { startProgress } from "../progress.ts";

interface DataFlags extends NetworkFlags, DownloadFlags, PreprocessingOptions {
  readonly val?: string;
  readonly weights?: string;
  readonly layer?: string;
  readonly allowMissing?: string;
  readonly output?: string;
  readonly writeClean?: string;
  readonly device?: Device;
  readonly json?: boolean;
}

export default function registerData(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "FOLDER has one subfolder of images for each class. Finds unreadable files, copies (the same file or pixels, " +
      "encoded again, resized, mirrored), images that are also in --val, and images that are rotated, gray, elongated or of " +
      "an extreme size; with --weights also labels that are probably wrong and images that are nearly alike, such as other " +
      "crops of a photo, from embeddings by these weights.",
    examples: [
      "xception data photos/ --val validation/ -o problems.html",
      "xception data photos/ --weights imagenet --write-clean clean.txt",
    ],
  })
    .option("--val <folder>", "validation images, with the same classes")
    .option("--weights <file>", "model or weights for embeddings, as in xception embed")
    .option(
      "--layer <name>",
      "with --weights: layer whose feature maps are pooled (default: the last one that has any)",
    )
    .option("--allow-missing <glob>", "with --weights: weights that may be missing or differ")
    .option("-o, --output <file>", "what to write: .html with the images, or .csv")
    .option("--write-clean <file>", "list of the images without problems, for train --images-list")
    .addOption(deviceOption());
  addNetworkOptions(addPreprocessingOptions(addDownloadOptions(command))).action(
    async (folder: string, flags: DataFlags) => {
      const { val, output, writeClean, weights, json } = flags;
      const extension = output === undefined ? undefined : extensionOf(output, ["html", "csv"], "--output");
      for (const file of [output, writeClean]) if (file !== undefined) await assertWritable(file);
      assertWithWeights(command, flags);
      const { files } = platformFor(flags, io);
      const dataset = await readDataset(folder, null, files);
      const validation = val === undefined ? undefined : await readDataset(val, null, files);
      reportNotes([...dataset.notes, ...(validation?.notes ?? []), ...unknownClasses(dataset, validation)], io);
      const samples = examinedImages(dataset, validation).map(({ name, image, label }) => {
        return { image, file: name, label: dataset.classes[label] ?? "" };
      });
      const features = weights === undefined ? undefined : await featuresOf(weights, samples, command, flags, io);
      const progress = startProgress(io, { label: "comparing", total: samples.length });
      const found = await examineData(dataset, {
        ...{ platform: platformFor(flags, io), validation, features, signal: io.signal },
        onProgress: (done) => progress.update(done),
      }).finally(() => progress.stop());
      if (extension === "csv") await writeFileAtomic(output!, examinationCsv(found));
      if (extension === "html") {
        const page = await pageOf(found, samples, { folder, ...flags }, io);
        await writeFileAtomic(output!, page);
      }
      if (writeClean !== undefined) await writeFileAtomic(writeClean, found.clean.map((file) => `${file}\n`).join(""));
      if (json) writeJson(io, found);
      else io.stdout(`${describeExamination(found)}\n`);
    },
  );
}

/** A note about classes of validation images, with which `train` would stop. */
function unknownClasses({ classes }: ImageDataset, validation: ImageDataset | undefined): readonly string[] {
  const unknown = (validation?.classes ?? []).filter((each) => !classes.includes(each));
  return unknown.length > 0 ? [`The training images lack these classes of --val: ${unknown.join(", ")}.`] : [];
}

/** Options that have an effect without --weights. */
const ofImages = ["val", "output", "writeClean", "json", "cacheDir", "offline", "refresh"];

function assertWithWeights(command: Command, { weights }: DataFlags): void {
  if (weights !== undefined) return;
  const typed = command.options.find((option) => {
    const name = option.attributeName();
    if (ofImages.includes(name) || command.getOptionValueSource(name) !== "cli") return false;
    return option.negate === (command.getOptionValue(name) === false);
  });
  if (typed === undefined) return;
  throw new UsageError({
    where: "xception data",
    what: "without --weights there is no network",
    received: typed.long,
  });
}

/** Embeddings of the images that can be read. */
async function featuresOf(
  weights: string,
  images: readonly ImageToEmbed[],
  command: Command,
  flags: DataFlags,
  io: CliIo,
): Promise<LabeledFeatures> {
  const { architecture, allowMissing, layer, key, device } = flags;
  const progress = startProgress(io, { label: "embedding", total: images.length });
  const { values, notes, ...embedded } = await embed(weights, images, {
    ...{ network: givenNetworkOptions(command, flags), architecture, allowMissing, key, layer },
    ...preprocessingOptions(flags),
    platform: platformFor(flags, io),
    ...{ session: { device, signal: io.signal }, signal: io.signal },
    onProgress: (done) => progress.update(done),
  }).finally(() => progress.stop());
  reportNotes(notes, io);
  return { images: embedded.images.map(({ file, label }) => ({ file, label: label! })), values };
}

async function pageOf(
  found: DataExamination,
  samples: readonly ImageToEmbed[],
  { folder, val, weights, ...flags }: DataFlags & { readonly folder: string },
  io: CliIo,
): Promise<string> {
  const images = new Map(samples.map(({ file, image }) => [file, image]));
  const { images: codec } = platformFor(flags, io);
  const jpegs = new Map<string, Uint8Array>();
  for (const file of shownFiles(found).slice(0, mostThumbnails)) {
    const jpeg = await thumbnail(images.get(file), codec);
    if (jpeg) jpegs.set(file, jpeg);
  }
  const facts = factsOf({ Folder: folder, Images: withCommas(found.images), Validation: val, Weights: weights });
  return toHtml(examinationDocument(found, jpegs, facts));
}

/** Images on a page, about 15 kB each. */
const mostThumbnails = 500;
