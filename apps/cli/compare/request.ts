import { copyFile, mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { UsageError } from "../../../src/base/errors.ts";
import type { Device } from "../../../src/base/platform.ts";
import { countPerClass, folderDataset, type ImageDataset } from "../../../src/data/dataset.ts";
import { type Fact, factsOf } from "../../../src/report/document.ts";
import { counted, formatNumber, withCommas } from "../../../src/report/numbers.ts";
import { readFile } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import type { SettingsLayer } from "../../../src/train/settings/resolve.ts";
import { type DemoImages, readDemoImages } from "../demo/data.ts";
import type { CliIo } from "../io.ts";
import { machineFacts } from "../machine.ts";
import { nameOf, quote, required, type SettingSources, settingsLayers } from "../train/flags.ts";
import { splitOf } from "../train/images.ts";
import { assertSameComparison, type ComparisonRequest } from "./comparison.ts";
import { measureEpochs } from "./measured-epochs.ts";
import { type Ablation, ablations, type Match, matchWidths, type NetworkSpec, parseNetworks } from "./networks.ts";

/** Flags of `compare`, without those of settings. */
export interface CompareFlags extends SettingSources {
  readonly data?: string;
  readonly test?: string;
  readonly output?: string;
  readonly seeds?: number;
  readonly match?: Match;
  readonly ablation?: Ablation;
  readonly demo?: boolean;
  readonly device?: Device;
  readonly threads?: number;
  readonly json?: boolean;
}

/** Batches of all networks, so that all take equally many steps. */
const defaultBatchSize = 32;

/** Settings of `--demo`, much like those of `xception demo`, but for whole networks and images that Inception V3 accepts. */
const demoSettings = {
  ...{ imageSize: 75, width: 0.25, epochs: 12, batchSize: defaultBatchSize },
  ...{ optimizer: "adamw", weightDecay: 0.05, schedule: "one-cycle", learningRate: 0.003, labelSmoothing: 0.1 },
  ...{ flip: true, rotation: 20, scale: 0.25, shift: 0.12, brightness: 0.4, contrast: 0.4, saturation: 1 },
} as const;
const demoNetworks = ["xception", "inception-v3", "xception --no-residual"];

/**
 * Prepares a comparison from its command line; with `--demo`, then writes the images to the output folder.
 * @param words the flags as typed, except for those of the output, to repeat the comparison.
 * @throws {UsageError} an argument is missing or not allowed, or the folder contains another comparison.
 * @throws {DataError} a folder of images cannot be used.
 */
export async function comparisonRequest(
  names: readonly string[],
  flags: CompareFlags & { readonly output: string },
  words: readonly string[],
  io: CliIo,
): Promise<ComparisonRequest> {
  const { output, match = "epochs", demo = false } = flags;
  const chosen = networksOf(names, flags);
  if (demo && flags.data !== undefined) {
    const what = "this cannot be set together with option --data";
    throw new UsageError({ where: "option --demo", what, remedy: "It brings its own images." });
  }
  const { data, test } = demo ? demoFolders(output) : flags;
  const folder = required(data, "option --data", "a folder of images with one subfolder per class, or --demo");
  const where = (name: string) => `setting ${name}`;
  const shared: SettingsLayer[] = [
    { source: "comparison", values: { keep: "last", val: test, test: null }, where },
    ...(await settingsLayers(flags, readFile)),
    { source: "comparison", values: demo ? demoSettings : { batchSize: defaultBatchSize }, where },
  ];
  const specs = parseNetworks(chosen, shared);
  const demoImages = demo ? await readDemoImages() : undefined;
  const dataset = demoImages?.training ?? folderDataset(await nodePlatform.files.list(folder));
  const hasWidths = match === "parameters" || match === "multiplications";
  const sized = hasWidths ? matchWidths(specs, match, dataset.classes.length) : specs;
  const command = ["xception", "compare", ...names, ...words].map(quote).join(" ");
  await assertSameComparison(output, command);
  if (demoImages) await writeDemoImages(demoImages, output);
  const place = { data: folder, output, command };
  const matched = match === "seconds" ? await measureEpochs(sized, place, flags, io) : sized;
  const seeds = flags.seeds ?? (demo ? 2 : 3);
  const made = { specs: matched, match, seeds };
  const setup = await setupOf(made, dataset, { folder, test });
  return { ...place, ...made, classes: dataset.classes.length, setup, flags };
}

function networksOf(names: readonly string[], { ablation, demo }: CompareFlags): readonly string[] {
  if (ablation !== undefined && names.length > 0) {
    const what = "it names the networks, and so do the arguments";
    throw new UsageError({ where: "option --ablation", what, received: names, expected: "one of the two" });
  }
  if (ablation !== undefined) return ablations[ablation];
  return demo && names.length === 0 ? demoNetworks : names;
}

function demoFolders(output: string) {
  return { data: join(output, "images", "training"), test: join(output, "images", "test") };
}

/** Writes the demo's emoji as two folders with one subfolder per class. */
async function writeDemoImages({ training, test }: DemoImages, output: string): Promise<void> {
  const write = async (folder: string, { classes, samples }: ImageDataset) => {
    for (const each of classes) await mkdir(join(folder, each), { recursive: true });
    for (const { image, label } of samples) {
      await copyFile(image as string, join(folder, classes[label]!, basename(image as string)));
    }
  };
  const folders = demoFolders(output);
  await write(folders.data, training);
  await write(folders.test, test);
}

/** The conditions of the comparison, under the names of the paper's. */
async function setupOf(
  { specs, match, seeds }: Pick<ComparisonRequest, "specs" | "match" | "seeds">,
  dataset: ImageDataset,
  { folder, test }: { readonly folder: string; readonly test: string | undefined },
): Promise<Fact[]> {
  const { imageSize, optimizer, learningRate, schedule, batchSize, weightDecay, dropout, average, ...others } =
    specs[0]!.resolved.settings;
  const tested = test === undefined ? undefined : folderDataset(await nodePlatform.files.list(test));
  const epochs = specs.map(({ resolved: { settings } }) => settings.epochs);
  const hasWidths = match === "parameters" || match === "multiplications";
  return factsOf({
    "Training images": `${withCommas(dataset.samples.length)} in ${counted(dataset.classes.length, "class", "classes")} (${nameOf(folder)})`,
    "Test images": tested
      ? `${withCommas(countPerClass(tested).reduce((sum, count) => sum + count, 0))} (${nameOf(test!)})`
      : `${Math.round(100 * splitOf(others).validation)} % of each class, held out by the seed`,
    "Image size": `${imageSize}×${imageSize}`,
    Epochs: [...new Set(epochs)].join(", "),
    Optimizer: `${optimizer}, learning rate ${learningRate}, ${schedule}; batches of ${batchSize}`,
    Regularization: `weight decay ${weightDecay}, dropout ${dropout}, average of weights: ${average}`,
    Seeds: `${seeds}`,
    "Made equal": match,
    Widths: hasWidths ? widthsOf(specs) : undefined,
    Machine: (await machineFacts()).map(({ name, value }) => `${name} ${value}`).join(", "),
  });
}

/** The chosen widths, e.g. `inception-v3: 0.1133`. */
function widthsOf(specs: readonly NetworkSpec[]): string {
  return specs.map(({ name, resolved: { settings } }) => `${name}: ${formatNumber(settings.width)}`).join("; ");
}
