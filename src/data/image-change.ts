import type { Random } from "../tensor/random.ts";
import type { Augmentation } from "./augment.ts";
import { type ColorChange, changeColors } from "./color.ts";
import { drawErasing, type ErasedWindow, erase } from "./erasing.ts";
import { turnHue } from "./hue.ts";
import { applyOperation, drawOperations, type Operation } from "./rand-augment.ts";
import { type Affine, type Size, warp } from "./warp.ts";
import { type Window, windowOf } from "./windows.ts";

/** How an image is moved: first mirrored, then its window stretched, then turned and scaled about its center, then shifted. */
export interface Move {
  readonly isFlipped: boolean;
  readonly window: Window;
  /** Clockwise. */
  readonly rotationDegrees: number;
  /** Factor. */
  readonly scale: number;
  /** Shares of the width and of the height. */
  readonly shiftX: number;
  readonly shiftY: number;
}

/** All that happens to one image, drawn at random. */
export interface ImageChange {
  readonly move: Move;
  readonly colors: ColorChange;
  /** Share of the color circle. */
  readonly hueTurn: number;
  readonly operations: readonly Operation[];
  readonly erased: ErasedWindow | undefined;
}

/**
 * Draws what happens to an image.
 *
 * Takes the same random numbers for each property whatever is switched on, so that leaving out one change keeps the others.
 */
export function drawImageChange(augmentation: Augmentation, random: Random): ImageChange {
  const move = drawMove(augmentation, random);
  const factor = (amount: number) => 1 + amount * (2 * random() - 1);
  return {
    move,
    colors: {
      brightness: factor(augmentation.brightness),
      contrast: factor(augmentation.contrast),
      saturation: factor(augmentation.saturation),
    },
    hueTurn: (augmentation.hue ?? 0) * (2 * random() - 1),
    erased: drawErasing(augmentation.erasing, random),
    // Last, since their number varies.
    operations: augmentation.randAugment ? drawOperations(augmentation.randAugment, random) : [],
  };
}

/** Writes a changed copy of `source` into `target`, both `[height, width, 3]`. */
export function applyImageChange(target: Uint8Array, source: Uint8Array, size: Size, change: ImageChange): void {
  warp(target, source, size, affineOf(change.move, size));
  changeColors(target, change.colors);
  turnHue(target, change.hueTurn);
  for (const operation of change.operations) applyOperation(target, operation, size);
  if (change.erased) erase(target, size, change.erased);
}

function drawMove(augmentation: Augmentation, random: Random): Move {
  const between = (low: number, high: number) => low + (high - low) * random();
  const isFlipped = random() < 0.5 && augmentation.horizontalFlip;
  const rotationDegrees = between(-augmentation.rotationDegrees, augmentation.rotationDegrees);
  const scale = between(1 - augmentation.scale, 1 + augmentation.scale);
  const shiftX = between(-augmentation.shift, augmentation.shift);
  const shiftY = between(-augmentation.shift, augmentation.shift);
  const window = drawCrop(augmentation, random);
  return { isFlipped, window, rotationDegrees, scale, shiftX, shiftY };
}

function drawCrop({ crop, resizedCrop }: Augmentation, random: Random): Window {
  const [ofArea, ofShape, ofX, ofY] = [random(), random(), random(), random()];
  if (resizedCrop) return windowOf(resizedCrop, ofArea, ofShape, ofX, ofY);
  // The sides of a window of this area: sharing the exponent gives the window another shape than the image's while
  // neither side can become longer than the image, so nothing has to be drawn again.
  const area = 1 - crop + crop * ofArea;
  const sharedOut = 0.25 + 0.5 * ofShape;
  const width = area ** sharedOut;
  const height = area ** (1 - sharedOut);
  return { x: ofX * (1 - width), y: ofY * (1 - height), width, height };
}

function affineOf(
  { isFlipped, window, rotationDegrees, scale, shiftX, shiftY }: Move,
  { width, height }: Size,
): Affine {
  const angle = (rotationDegrees * Math.PI) / 180;
  const cos = Math.cos(angle) / scale;
  const sin = Math.sin(angle) / scale;
  const mirror = isFlipped ? -1 : 1;
  // From the image's center to the window's, in pixels.
  const centerX = (window.x + window.width / 2 - 0.5) * width;
  const centerY = (window.y + window.height / 2 - 0.5) * height;
  return {
    xFromX: cos * window.width * mirror,
    xFromY: sin * window.height,
    x: cos * centerX + sin * centerY - shiftX * width,
    yFromX: -sin * window.width * mirror,
    yFromY: cos * window.height,
    y: cos * centerY - sin * centerX - shiftY * height,
  };
}
