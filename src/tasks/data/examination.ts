import { sha256 } from "../../base/checksums.ts";
import { XceptionError } from "../../base/errors.ts";
import type { Platform, RgbImage, Source } from "../../base/platform.ts";
import { readSource } from "../../base/source.ts";
import { countPerClass, type ImageDataset } from "../../data/dataset.ts";
import { asImageError, readAhead } from "../../data/image-loading.ts";
import {
  type DataExamination,
  type DuplicateGroup,
  isOfValidation,
  type OddImage,
  validationName,
} from "../../report/data.ts";
import { selectRows } from "../../tensor/tensor.ts";
import { type ComparedImage, findDuplicates } from "./duplicates.ts";
import { exifOrientation } from "./exif.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { findLabelIssues, type LabeledFeatures } from "./label-issues.ts";
import { findSimilarImages } from "./similar-images.ts";

/** Options of {@link examineData}. */
export interface ExamineOptions {
  readonly platform: Platform;
  /** Images for validation, among which copies of the others are searched. */
  readonly validation?: ImageDataset | undefined;
  /**
   * Features of {@link examinedImages}, by which similar images are found and labels of the training images checked; an image
   * without is not.
   */
  readonly features?: LabeledFeatures | undefined;
  /** Stops with an {@link AbortedError}. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each image. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Facts about an image that could be decoded. */
interface ExaminedImage extends ComparedImage {
  readonly label: number;
  readonly width: number;
  readonly height: number;
  readonly isGray: boolean;
  readonly orientation: number;
  readonly isValidation: boolean;
}

/** The images of a data set and those for validation, named as in {@link DataExamination}. */
export function examinedImages(dataset: ImageDataset, validation: ImageDataset | undefined) {
  return [
    ...dataset.samples.map((sample) => ({ ...sample, isValidation: false })),
    ...(validation?.samples ?? []).map((sample) => ({
      ...sample,
      name: validationName(sample.name),
      label: dataset.classes.indexOf(validation!.classes[sample.label]!),
      isValidation: true,
    })),
  ];
}

/**
 * Examines the images of a data set: unreadable files, copies, images both for training and for validation, similar images,
 * probably wrong labels, and images unlike the others.
 * @throws {AbortedError} the signal fired.
 */
export async function examineData(dataset: ImageDataset, options: ExamineOptions): Promise<DataExamination> {
  const { validation, features } = options;
  const samples = examinedImages(dataset, validation);
  const examined: ExaminedImage[] = [];
  const unreadable: { readonly file: string; readonly reason: string }[] = [];
  const load = (index: number) => examine(samples[index]!.image as Source, options).catch(asImageError);
  for await (const { index, item } of readAhead(samples.keys(), load, 8, options.signal)) {
    const { name: file, label, isValidation } = samples[index]!;
    if (item instanceof XceptionError) unreadable.push({ file, reason: item.message });
    else examined.push({ file, label, isValidation, ...item });
    options.onProgress?.(index + 1);
  }
  const duplicates = findDuplicates(examined);
  const labels = features && findLabelIssues(rowsOf(features, (file) => !isOfValidation(file)));
  const counts = countPerClass(dataset);
  const own = examined.filter(({ isValidation }) => !isValidation);
  const dropped = new Set([...(labels?.issues.map(({ file }) => file) ?? []), ...copiesToDrop(duplicates, examined)]);
  return {
    images: dataset.samples.length,
    validationImages: validation?.samples.length ?? 0,
    classes: dataset.classes.map((label, index) => ({ label, images: counts[index]! })),
    unreadable,
    duplicates,
    leaks: duplicates.filter(({ files }) => files.some(isOfValidation) && !files.every(isOfValidation)),
    similar: features && findSimilarImages(withoutCopies(features, duplicates)),
    labelIssues: labels?.issues,
    crossValidatedAccuracy: labels?.accuracy,
    unjudgedClasses: labels?.unjudged,
    odd: oddImages(own),
    clean: own.map(({ file }) => file).filter((file) => !dropped.has(file)),
  };
}

/** The first image of each group of copies: the others would be its nearest neighbors. */
function withoutCopies(features: LabeledFeatures, groups: readonly DuplicateGroup[]): LabeledFeatures {
  const copies = new Set(groups.flatMap(({ files }) => files.slice(1)));
  return rowsOf(features, (file) => !copies.has(file));
}

function rowsOf({ images, values }: LabeledFeatures, isChosen: (file: string) => boolean): LabeledFeatures {
  const rows = images.flatMap(({ file }, row) => (isChosen(file) ? [row] : []));
  return { images: rows.map((row) => images[row]!), values: selectRows(values, rows) };
}

async function examine(image: Source, { platform, signal }: ExamineOptions) {
  const bytes = await readSource(image, platform);
  const decoded = await platform.images.decode(bytes, { signal });
  const { width, height, data } = decoded;
  return {
    bytes: await sha256(bytes),
    pixels: `${width}×${height} ${await sha256(data)}`,
    fingerprint: fingerprintOf(decoded),
    ...{ width, height, isGray: isGray(decoded), orientation: exifOrientation(bytes) },
  };
}

/** Average difference between the colors of a pixel up to which an image counts as gray, of 255. */
const leastColor = 2;

function isGray({ data }: RgbImage): boolean {
  let sum = 0;
  for (let at = 0; at < data.length; at += 3) {
    const [red, green, blue] = [data[at]!, data[at + 1]!, data[at + 2]!];
    sum += Math.max(red, green, blue) - Math.min(red, green, blue);
  }
  return sum <= (leastColor * data.length) / 3;
}

/**
 * Copies but the first of each group; all of them where labels differ, since one is wrong, or where a validation image is among
 * them.
 */
function copiesToDrop(groups: readonly DuplicateGroup[], images: readonly ExaminedImage[]): readonly string[] {
  const known = new Map(images.map((image) => [image.file, image]));
  return groups.flatMap(({ files }) => {
    const members = files.map((file) => known.get(file)!);
    const isAmbiguous = members.some(({ label }) => label !== members[0]!.label);
    return isAmbiguous || members.some(({ isValidation }) => isValidation) ? files : files.slice(1);
  });
}

/** Sizes that count as extreme: a side of so many times, or of a part of, the median. */
const extremeFactor = 4;
/** Ratio of the sides from which an image counts as elongated. */
const elongatedRatio = 4;

function oddImages(images: readonly ExaminedImage[]): readonly OddImage[] {
  const sides = images.map(({ width, height }) => Math.min(width, height)).sort((a, b) => a - b);
  const median = sides[Math.floor(sides.length / 2)] ?? 0;
  const isMostlyColor = images.filter((image) => image.isGray).length < images.length / 2;
  return images.flatMap(({ file, width, height, orientation, ...image }): OddImage[] => {
    const side = Math.min(width, height);
    const size = `${width}×${height} pixels`;
    const kinds: [OddImage["kind"], boolean, string][] = [
      ["rotated", orientation > 1, `EXIF orientation ${orientation}`],
      ["grayscale", isMostlyColor && image.isGray, size],
      ["small", side < median / extremeFactor, size],
      ["large", side > median * extremeFactor, size],
      ["elongated", Math.max(width, height) >= elongatedRatio * side, size],
    ];
    return kinds.flatMap(([kind, isOdd, note]) => (isOdd ? [{ file, kind, note }] : []));
  });
}
