import { UsageError } from "../base/errors.ts";
import { assertAllowed, assertOption, number, wholeNumber } from "../base/kinds.ts";
import type { Erasing, Range, WindowSizes } from "./geometry.ts";
import type { Mixing } from "./mixing.ts";
import type { RandAugment } from "./rand-augment.ts";

/** Limits of the random shifts in geometry and color; 0 and `false` leave a property unchanged. */
export interface SmallChanges {
  /** Flips each image left to right with a probability of ½. */
  readonly horizontalFlip: boolean;
  /** Rotates by up to this many degrees either way, 0 to 180. */
  readonly rotationDegrees: number;
  /** Scales by a factor between 1 − scale and 1 + scale, 0 to 0.5. */
  readonly scale: number;
  /** Shifts by up to this share of the width and of the height, 0 to 1. */
  readonly shift: number;
  /** Crops away up to this share of the area, then resizes the rest to the whole image, 0 to 0.9. */
  readonly crop: number;
  /** Multiplies all values by a factor between 1 − brightness and 1 + brightness, 0 to 1. */
  readonly brightness: number;
  /** Multiplies distances from the image's mean gray by a factor between 1 − contrast and 1 + contrast, 0 to 1. */
  readonly contrast: number;
  /** Multiplies distances from each pixel's own gray by a factor between 1 − saturation and 1 + saturation, 0 to 1. */
  readonly saturation: number;
}

/**
 * Random augmentation of training images: geometry first (flip, window, rotation, scale, shift), then color, RandAugment and
 * random erasing; omitted steps do not happen.
 */
export interface Augmentation extends SmallChanges {
  /** Shifts the hue by up to this share of the color circle either way, 0 to 0.5. */
  readonly hue?: number;
  /** Resizes a random window to the whole image: Inception's random resized crop, in place of `crop`. */
  readonly resizedCrop?: WindowSizes;
  readonly randAugment?: RandAugment;
  readonly erasing?: Erasing;
}

/** Unchanged images. */
export const noAugmentation: SmallChanges = {
  horizontalFlip: false,
  rotationDegrees: 0,
  scale: 0,
  shift: 0,
  crop: 0,
  brightness: 0,
  contrast: 0,
  saturation: 0,
};

/** Mild changes that preserve the class of nearly every kind of image. */
export const defaultAugmentation: SmallChanges = {
  horizontalFlip: true,
  rotationDegrees: 10,
  scale: 0.1,
  shift: 0.08,
  crop: 0.2,
  brightness: 0.2,
  contrast: 0.2,
  saturation: 0.2,
};

/** Inception's random resized crop on ImageNet: windows of 8 to 100 % of the area, ¾ to 4/3 as wide as high. */
export const inceptionWindow: WindowSizes = { area: [0.08, 1], ratio: [3 / 4, 4 / 3] };

/** Augmentations by name, from weak to strong. */
export const augmentations = {
  none: noAugmentation,
  /** For few and easy images, and for fine-tuning for a few epochs. */
  light: {
    ...noAugmentation,
    horizontalFlip: true,
    shift: 0.04,
    crop: 0.1,
    brightness: 0.1,
    contrast: 0.1,
    saturation: 0.1,
  },
  default: defaultAugmentation,
  /** For many epochs from scratch. */
  strong: {
    ...noAugmentation,
    horizontalFlip: true,
    rotationDegrees: 15,
    scale: 0.1,
    shift: 0.08,
    resizedCrop: { area: [0.35, 1], ratio: [3 / 4, 4 / 3] },
    brightness: 0.4,
    contrast: 0.4,
    saturation: 0.4,
    hue: 0.05,
    erasing: { probability: 0.25, area: [0.02, 1 / 3], ratio: [0.3, 1 / 0.3], fill: "noise" },
  },
  /** Two operations of magnitude 9, the best choice of the RandAugment paper for ResNet-50 on ImageNet. */
  randaugment: {
    ...noAugmentation,
    horizontalFlip: true,
    resizedCrop: inceptionWindow,
    randAugment: { operations: 2, magnitude: 9 },
  },
  /**
   * Windows as in "Going deeper with convolutions" (section 6), colors about as far as TensorFlow's preprocessing for Inception
   * changes them. The Xception paper does not describe its augmentation; this is our choice for its recipes.
   * @see https://arxiv.org/abs/1409.4842
   */
  inception: {
    ...noAugmentation,
    horizontalFlip: true,
    resizedCrop: inceptionWindow,
    brightness: 32 / 255,
    contrast: 0.5,
    saturation: 0.5,
    hue: 0.2,
  },
} as const satisfies Readonly<Record<string, Augmentation>>;

/** A name of {@link augmentations}. */
export type AugmentationName = keyof typeof augmentations;

/** All augmentation names, from weak to strong. */
export const augmentationNames = Object.keys(augmentations) as [AugmentationName, ...AugmentationName[]];

/** The largest value of each amount; the smallest is 0. */
const largest = {
  rotationDegrees: 180,
  scale: 0.5,
  shift: 1,
  crop: 0.9,
  brightness: 1,
  contrast: 1,
  saturation: 1,
  hue: 0.5,
} as const;

/**
 * @throws {UsageError} a property is out of its range.
 */
export function checkAugmentation(augmentation: Augmentation): void {
  for (const [name, limit] of Object.entries(largest)) {
    checkAmount(name, augmentation[name as keyof typeof largest] ?? 0, limit);
  }
  const { resizedCrop, randAugment, erasing } = augmentation;
  if (resizedCrop) {
    checkRange("resizedCrop area", resizedCrop.area, 1);
    checkRange("resizedCrop ratio", resizedCrop.ratio);
  }
  if (randAugment) {
    const { operations, magnitude } = randAugment;
    assertOption("augmentation randAugment operations", operations, wholeNumber({ from: 0, to: 14 }));
    checkAmount("randAugment magnitude", magnitude, 10);
  }
  if (erasing) {
    checkAmount("erasing probability", erasing.probability, 1);
    checkRange("erasing area", erasing.area, 1);
    checkRange("erasing ratio", erasing.ratio);
  }
}

/**
 * @throws {UsageError} a property is out of its range, or there is no second image to mix with.
 */
export function checkMixing(
  { mixup = 0, cutMix = 0, probability = 1, cutMixShare = 0.5 }: Mixing,
  batchSize: number,
): void {
  checkAmount("mixup", mixup, 100);
  checkAmount("cutMix", cutMix, 100);
  checkAmount("mixing probability", probability, 1);
  checkAmount("cutMixShare", cutMixShare, 1);
  if ((mixup > 0 || cutMix > 0) && batchSize < 2) {
    throw new UsageError({
      where: "augmentation mixup and CutMix",
      what: "an image is mixed with another one of its batch",
      received: `batchSize ${batchSize}`,
      expected: "a batchSize of at least 2",
    });
  }
}

function checkAmount(name: string, amount: number, limit: number): void {
  assertOption(`augmentation ${name}`, amount, number({ from: 0, to: limit }));
}

function checkRange(name: string, range: Range, limit = Number.POSITIVE_INFINITY): void {
  const [low, high] = range;
  const isAllowed = low > 0 && high >= low && high <= limit && high < Infinity;
  const expected = `[lowest, highest], both above 0${limit < Infinity ? ` and up to ${limit}` : ""}`;
  assertAllowed(`augmentation ${name}`, range, isAllowed, expected);
}
