import { UsageError } from "../errors.ts";
import type { Augmentation } from "./augment.ts";
import type { Mixing } from "./mixing.ts";
import type { Range } from "./windows.ts";

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
    if (!Number.isInteger(operations)) refuse("randAugment operations", operations, "a whole number from 0 to 14");
    checkAmount("randAugment operations", operations, 14);
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
  if (!(amount >= 0 && amount <= limit)) refuse(name, amount, `a number from 0 to ${limit}`);
}

function checkRange(name: string, range: Range, limit = Number.POSITIVE_INFINITY): void {
  const [low, high] = range;
  if (low > 0 && high >= low && high <= limit && high < Infinity) return;
  refuse(name, range, `[lowest, highest], both above 0${limit < Infinity ? ` and up to ${limit}` : ""}`);
}

function refuse(name: string, received: unknown, expected: string): never {
  throw new UsageError({ where: `augmentation ${name}`, what: "this value is not allowed", received, expected });
}
