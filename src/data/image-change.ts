import { deriveSeed, mulberry32, type Random } from "../tensor/random.ts";
import type { Augmentation } from "./augmentation.ts";
import { type ColorChange, changeColors, turnHue } from "./color.ts";
import {
  type Affine,
  type CropWindow,
  drawErasing,
  type ErasedWindow,
  erase,
  type Size,
  warp,
  windowOf,
} from "./geometry.ts";
import { drawMixture, type Mixing, type Mixture } from "./mixing.ts";
import { applyOperation, drawOperations, type ImageOperation } from "./rand-augment.ts";

/** Change in geometry: flip, then crop and resize of a window, then rotation and scale about the center, then shift. */
export interface Move {
  readonly isFlipped: boolean;
  readonly window: CropWindow;
  /** Clockwise. */
  readonly rotationDegrees: number;
  /** Factor. */
  readonly scale: number;
  /** Shares of the width and of the height. */
  readonly shiftX: number;
  readonly shiftY: number;
}

/** All random changes of one image. */
export interface ImageChange {
  readonly move: Move;
  readonly colors: ColorChange;
  /** Share of the color circle. */
  readonly hueTurn: number;
  readonly operations: readonly ImageOperation[];
  readonly erased: ErasedWindow | undefined;
}

/**
 * Draws the changes of an image. Every property takes the same random numbers whatever is switched on, so that omitting one change
 * keeps the others.
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

function drawCrop({ crop, resizedCrop }: Augmentation, random: Random): CropWindow {
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

/** Augmentation of training images, and its seed. */
export interface RandomChanges {
  readonly seed: number;
  readonly size: Size;
  readonly augmentation?: Augmentation | undefined;
  readonly mixing?: Mixing | undefined;
}

/** One showing of a sample: all that its changes depend on. */
export interface Showing {
  /** From 0. */
  readonly epoch: number;
  /** Index of the sample in the data set. */
  readonly index: number;
  /** Earlier showings of the sample in the same epoch. */
  readonly repeat: number;
}

/** Returns the change of an image in one showing, which does not depend on its batch or on what is decoded first. */
export function imageChangeOf(changes: RandomChanges, showing: Showing): ImageChange | undefined {
  return changes.augmentation && drawImageChange(changes.augmentation, randomOf("augment", changes, showing));
}

/** Returns the mixture of an image with its partner in one showing. */
export function mixtureOf(changes: RandomChanges, showing: Showing): Mixture | undefined {
  return changes.mixing && drawMixture(changes.mixing, changes.size, randomOf("mix", changes, showing));
}

function randomOf(purpose: string, { seed }: RandomChanges, { epoch, index, repeat }: Showing) {
  return mulberry32(deriveSeed(seed, purpose, epoch, index, ...(repeat > 0 ? [repeat] : [])));
}

/**
 * Describes the changes of an image in short, one line for each stage that changes something. Lines break only between two
 * changes: all other spaces are no-break spaces.
 * @example describeImageChange(change) // ["flip, turn 7°, window 84 %", "brightness ×1.10", "solarize 25"]
 */
export function describeImageChange({ move, colors, hueTurn, operations, erased }: ImageChange): string[] {
  const { brightness, contrast, saturation } = colors;
  const stages = [
    describeMove(move),
    [
      ...factor("brightness", brightness),
      ...factor("contrast", contrast),
      ...factor("saturation", saturation),
      ...(hueTurn === 0 ? [] : [`hue ${signed(360 * hueTurn)}°`]),
    ],
    operations.map(describeOperation),
    erased ? [`erase ${percent(erased.width * erased.height)}`] : [],
  ];
  const unbroken = stages.map((stage) => stage.map((text) => text.replaceAll(" ", "\u00a0")));
  return unbroken.filter(({ length }) => length > 0).map((stage) => stage.join(", "));
}

function describeMove({ isFlipped, window, rotationDegrees, scale, shiftX, shiftY }: Move): string[] {
  const area = window.width * window.height;
  return [
    ...(isFlipped ? ["flip"] : []),
    ...(area === 1 ? [] : [`window ${percent(area)}`]),
    ...(rotationDegrees === 0 ? [] : [`turn ${signed(rotationDegrees)}°`]),
    ...factor("scale", scale),
    ...(shiftX === 0 && shiftY === 0 ? [] : [`shift ${signed(100 * shiftX)}, ${signed(100 * shiftY)} %`]),
  ];
}

function describeOperation({ name, argument }: ImageOperation): string {
  switch (name) {
    case "identity":
    case "auto-contrast":
    case "equalize":
      return name;
    case "rotate":
      return `${name} ${signed(argument)}°`;
    case "shear-x":
    case "shear-y":
    case "translate-x":
    case "translate-y":
      return `${name} ${signed(100 * argument)} %`;
    case "posterize":
      return `${name} ${argument} bits`;
    case "solarize":
      return `${name} from ${Math.ceil(argument)}`;
    default:
      return `${name} ×${argument.toFixed(2)}`;
  }
}

function factor(name: string, value: number): string[] {
  return value === 1 ? [] : [`${name} ×${value.toFixed(2)}`];
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function signed(value: number): string {
  const rounded = Math.round(value);
  return rounded < 0 ? `−${-rounded}` : `${rounded}`;
}
