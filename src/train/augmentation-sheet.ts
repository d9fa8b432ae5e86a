import { DataError } from "../base/errors.ts";
import type { Platform, SizedDecodeOptions } from "../base/platform.ts";
import type { Augmentation } from "../data/augmentation.ts";
import { classesOf, type ImageDataset, type Sample } from "../data/dataset.ts";
import { applyImageChange, describeImageChange, imageChangeOf, mixtureOf, type Showing } from "../data/image-change.ts";
import { imageStore } from "../data/image-loading.ts";
import { targetsOf } from "../data/labels.ts";
import { type Mixing, type Mixture, mixRows } from "../data/mixing.ts";
import type { ContactSheet, SheetCaption, SheetCell } from "../report/contact-sheet.ts";
import { deriveSeed, mulberry32, shuffledIndices } from "../tensor/random.ts";

export interface AugmentationSheetOptions {
  readonly platform: Platform;
  readonly decode: SizedDecodeOptions;
  /** Seed of the training run. */
  readonly seed: number;
  readonly augmentation: Augmentation;
  readonly mixing?: Mixing | undefined;
  readonly labelSmoothing: number;
  /** Description of the settings. */
  readonly subtitle: string;
  /** Number of images; default 6. */
  readonly images?: number;
  /** Number of epochs; default 5. */
  readonly epochs?: number;
}

interface Original {
  readonly index: number;
  readonly sample: Sample;
  readonly pixels: Uint8Array;
}

/**
 * Some training images, originals and as augmented in the first epochs: pixel for pixel as in training, except that images
 * are mixed with the one below, since the batch is not known.
 * @throws {DataError} there is no usable image.
 */
export async function augmentationSheet(
  dataset: ImageDataset,
  options: AugmentationSheetOptions,
): Promise<ContactSheet> {
  const { decode, subtitle, images = 6, epochs = 5 } = options;
  const originals = await chooseImages(dataset, images, options);
  const columns: SheetCell[][] = [await originalCells(originals, dataset, options)];
  for (let epoch = 0; epoch < epochs; epoch++) columns.push(await epochCells(originals, epoch, dataset, options));
  return {
    title: "What the training sees",
    subtitle,
    columns: ["Original", ...Array.from({ length: epochs }, (_, epoch) => `Epoch ${epoch + 1}`)],
    rows: originals.map((_, row) => columns.map((cells) => cells[row]!)),
    aspect: decode.height / decode.width,
  };
}

/** Usable images, alternating between the classes. */
async function chooseImages(
  dataset: ImageDataset,
  count: number,
  { platform, decode, seed }: AugmentationSheetOptions,
): Promise<Original[]> {
  const { classes, samples } = dataset;
  const store = imageStore(dataset, platform.images.decode, decode, 0);
  const shuffled = shuffledIndices(samples.length, mulberry32(deriveSeed(seed, "sheet")));
  const waiting = classes.map((_, label) => [...shuffled.filter((index) => samples[index]!.label === label)]);
  const chosen: Original[] = [];
  while (chosen.length < count && waiting.some(({ length }) => length > 0)) {
    for (const members of waiting) {
      let pixels: Uint8Array | undefined;
      while (pixels === undefined && members.length > 0 && chosen.length < count) {
        const index = members.shift()!;
        pixels = await store.load(index);
        if (pixels !== undefined) chosen.push({ index, sample: samples[index]!, pixels });
      }
    }
  }
  if (chosen.length > 0) return chosen;
  throw new DataError({
    where: "data set",
    what: `there is no usable image to show (${store.skipped.length} skipped)`,
    ...(store.skipped[0] && { remedy: `The first that was skipped: ${store.skipped[0].reason}` }),
  });
}

function originalCells(
  originals: readonly Original[],
  { classes }: ImageDataset,
  options: AugmentationSheetOptions,
): Promise<SheetCell[]> {
  return Promise.all(
    originals.map(({ sample, pixels }) => {
      const names = classesOf(sample)
        .map((label) => classes[label]!)
        .join(", ");
      return cell(pixels, [{ text: names, isStrong: true }, { text: sample.name }], options);
    }),
  );
}

async function epochCells(
  originals: readonly Original[],
  epoch: number,
  { classes }: ImageDataset,
  options: AugmentationSheetOptions,
): Promise<SheetCell[]> {
  const { decode: size, labelSmoothing, seed, augmentation, mixing } = options;
  const changes = { seed, size, augmentation, mixing };
  const bytes = size.width * size.height * 3;
  const pixels = new Uint8Array(originals.length * bytes);
  const targets = targetsOf(
    originals.map(({ sample }) => sample),
    classes.length,
    labelSmoothing,
  );
  const captions: SheetCaption[][] = [];
  const mixtures: (Mixture | undefined)[] = [];
  for (const [row, { index, pixels: source }] of originals.entries()) {
    const showing: Showing = { epoch, index, repeat: 0 };
    const change = imageChangeOf(changes, showing)!;
    applyImageChange(pixels.subarray(row * bytes, (row + 1) * bytes), source, size, change);
    const stages = describeImageChange(change);
    captions.push(stages.length === 0 ? [{ text: "as it is" }] : stages.map((text) => ({ text })));
    mixtures.push(originals.length > 1 ? mixtureOf(changes, showing) : undefined);
  }
  mixRows({ pixels, targets: targets.data }, mixtures, size);
  return Promise.all(
    captions.map((caption, row) => {
      const mixture = mixtures[row];
      const target = targets.data.subarray(row * classes.length, (row + 1) * classes.length);
      const partner = originals[(row + 1) % originals.length]!;
      const place = row + 1 < originals.length ? "below" : "the first";
      const labels = new Set([originals[row]!, partner].flatMap(({ sample }) => classesOf(sample)));
      const parts = [...labels].map((label) => `${classes[label]}\u00a0${target[label]!.toFixed(2)}`);
      const mixed = mixture
        ? [{ text: describeMixture(mixture, place) }, { text: parts.join(" + "), isStrong: true }]
        : [];
      return cell(pixels.subarray(row * bytes, (row + 1) * bytes), [...caption, ...mixed], options);
    }),
  );
}

function describeMixture({ share, window }: Mixture, place: string): string {
  return `${window ? "CutMix" : "mixup"}: ${Math.round(100 * (1 - share))}\u00a0% from ${place}`;
}

async function cell(
  data: Uint8Array,
  caption: readonly SheetCaption[],
  { platform, decode: { width, height } }: AugmentationSheetOptions,
): Promise<SheetCell> {
  return { png: await platform.images.encodePng({ width, height, data }), caption };
}
