import { UsageError } from "../errors.ts";
import type { Random } from "../tensor/random.ts";
import { type ColourChange, changeColours } from "./colour.ts";
import { type Affine, warp } from "./warp.ts";

/** How far training pictures are changed at random; 0 and `false` leave a property as it is. */
export interface Augmentation {
  /** Mirror every second picture, left for right. */
  readonly horizontalFlip: boolean;
  /** Turn by up to this many degrees either way, 0 to 180. */
  readonly rotationDegrees: number;
  /** Enlarge or shrink by a factor between 1 − scale and 1 + scale, 0 to 0.5. */
  readonly scale: number;
  /** Move by up to this share of the width and of the height, 0 to 1. */
  readonly shift: number;
  /** Cut away up to this share of the area, then stretch what is left over the whole picture, 0 to 0.9. */
  readonly crop: number;
  /** Multiply all values by a factor between 1 − brightness and 1 + brightness, 0 to 1. */
  readonly brightness: number;
  /** Multiply distances from the picture's mean gray by a factor between 1 − contrast and 1 + contrast, 0 to 1. */
  readonly contrast: number;
  /** Multiply distances from each pixel's own gray by a factor between 1 − saturation and 1 + saturation, 0 to 1. */
  readonly saturation: number;
}

/** Pictures as they are. */
export const noAugmentation: Augmentation = {
  horizontalFlip: false,
  rotationDegrees: 0,
  scale: 0,
  shift: 0,
  crop: 0,
  brightness: 0,
  contrast: 0,
  saturation: 0,
};

/** Small changes that keep the class of nearly every kind of picture. */
export const defaultAugmentation: Augmentation = {
  horizontalFlip: true,
  rotationDegrees: 10,
  scale: 0.1,
  shift: 0.08,
  crop: 0.2,
  brightness: 0.2,
  contrast: 0.2,
  saturation: 0.2,
};

/** Width and height of a picture in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Writes a randomly changed copy of `source` into `target`, both `[height, width, 3]`: one pass moves the pixels, one
 * changes their colours.
 *
 * Takes the same count of random numbers whatever is switched on, so that leaving out one change keeps the others.
 */
export function augment(
  target: Uint8Array,
  source: Uint8Array,
  size: Size,
  augmentation: Augmentation,
  random: Random,
): void {
  warp(target, source, size, drawAffine(size, augmentation, random));
  changeColours(target, drawColourChange(augmentation, random));
}

/**
 * @throws {UsageError} a property is out of its range.
 */
export function checkAugmentation(augmentation: Augmentation): void {
  const { horizontalFlip, ...amounts } = augmentation;
  const largest = { rotationDegrees: 180, scale: 0.5, shift: 1, crop: 0.9, brightness: 1, contrast: 1, saturation: 1 };
  for (const [name, amount] of Object.entries(amounts)) {
    const limit = largest[name as keyof typeof largest];
    if (amount >= 0 && amount <= limit) continue;
    throw new UsageError({
      where: `augmentation ${name}`,
      what: "the value is not allowed",
      received: amount,
      expected: `a number from 0 to ${limit}`,
    });
  }
}

/** The move of one picture: first mirrored, then cropped, then turned and scaled about its centre, then shifted. */
function drawAffine({ width, height }: Size, augmentation: Augmentation, random: Random): Affine {
  const between = (low: number, high: number) => low + (high - low) * random();
  const mirror = random() < 0.5 && augmentation.horizontalFlip ? -1 : 1;
  const angle = (between(-augmentation.rotationDegrees, augmentation.rotationDegrees) * Math.PI) / 180;
  const scale = between(1 - augmentation.scale, 1 + augmentation.scale);
  const shiftX = between(-augmentation.shift, augmentation.shift) * width;
  const shiftY = between(-augmentation.shift, augmentation.shift) * height;
  // The sides of a window of this area: sharing the exponent gives the window another shape than the picture's while
  // neither side can become longer than the picture, so nothing has to be drawn again.
  const area = between(1 - augmentation.crop, 1);
  const sharedOut = between(0.25, 0.75);
  const windowWidth = area ** sharedOut;
  const windowHeight = area ** (1 - sharedOut);
  const windowX = between(-0.5, 0.5) * (1 - windowWidth) * width;
  const windowY = between(-0.5, 0.5) * (1 - windowHeight) * height;

  const cos = Math.cos(angle) / scale;
  const sin = Math.sin(angle) / scale;
  return {
    xFromX: cos * windowWidth * mirror,
    xFromY: sin * windowHeight,
    x: cos * windowX + sin * windowY - shiftX,
    yFromX: -sin * windowWidth * mirror,
    yFromY: cos * windowHeight,
    y: cos * windowY - sin * windowX - shiftY,
  };
}

function drawColourChange(augmentation: Augmentation, random: Random): ColourChange {
  const factor = (amount: number) => 1 + amount * (2 * random() - 1);
  return {
    brightness: factor(augmentation.brightness),
    contrast: factor(augmentation.contrast),
    saturation: factor(augmentation.saturation),
  };
}
