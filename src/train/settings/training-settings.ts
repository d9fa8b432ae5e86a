import {
  accepting,
  choice,
  type Kind,
  number,
  onOff,
  orNone,
  readNumber,
  text,
  tupleOf,
  wholeNumber,
  yesOrNo,
} from "../../base/kinds.ts";
import { augmentationNames } from "../../data/augmentation.ts";
import type { ClassWeights } from "../../data/sample-weights.ts";
import { type KeySettings, type Setting, setting } from "./setting.ts";

const file = orNone(text("<file>"));
const folder = orNone(text("<folder>"));
const count = wholeNumber({ from: 1 });
const seed = wholeNumber({ from: 0 });
const share = number({ from: 0, below: 1 });
const upTo1 = number({ from: 0, to: 1 });

/** The images, their labels, and their weights in the loss. */
export const imageSettings = {
  val: setting(folder, "validation images, with the same classes: they choose the epoch", null),
  test: setting(folder, "test images: the final weights are evaluated on them once", null),
  split: setting(orNone(splitKind(), "auto"), "shares of the folder for training, validation and test", null, {
    defaultText: "80/20, with --val 100/0",
  }),
  imagesList: setting(file, "train on these images of the folder alone, one class/image.jpg a line", null),
  labelsFile: setting(file, "labels of images that have several each, as CSV or JSON", null),
  valLabelsFile: setting(file, "labels of the images of --val", null),
  testLabelsFile: setting(file, "labels of the images of --test", null),
  mapWeights: setting(file, "class weights in MAP@100, by name, as JSON; without it all are equal", null),
  pixelLimit: setting(count, "largest number of pixels of an image", 100_000_000),
  imageSize: setting(wholeNumber({ from: 71, to: 8192 }), "height and width that images are stretched to", 299),
  sampling: setting(choice("shuffled", "balanced"), "balanced: an epoch shows all classes equally often", "shuffled"),
  classWeights: setting(orNone(classWeightsKind()), "class weights in the loss: balanced, or by name", null),
  sampleWeights: setting(file, "image weights in the loss: CSV with lines of class/image.jpg,weight; default 1", null),
};

/** Random changes of the training images: a named augmentation, and properties that override it. */
export const augmentationSettings = {
  augment: setting(choice(...augmentationNames), "augmentation; the flags below change parts of it", "default"),
  flip: other(yesOrNo(), "mirror every second image, left for right"),
  rotation: other(number({ from: 0, to: 180 }), "rotate by up to so many degrees either way"),
  scale: other(number({ from: 0, to: 0.5 }), "enlarge or shrink by up to this share"),
  shift: other(upTo1, "move by up to this share of the width and of the height"),
  resizedCrop: other(number({ above: 0, to: 1 }), "resize a random window of at least this share of the area; 1: none"),
  brightness: other(upTo1, "change the brightness by up to this share"),
  contrast: other(upTo1, "change the contrast by up to this share"),
  saturation: other(upTo1, "change the saturation by up to this share"),
  hue: other(number({ from: 0, to: 0.5 }), "turn the hues by up to this share of the color circle"),
  randAugment: other(randAugmentKind(), "RandAugment: operations on each image, and their magnitude"),
  randomErasing: other(upTo1, "share of the images that lose a random rectangle"),
  mixup: setting(number({ from: 0, to: 100 }), "mixup: α of the Beta distribution of the shares, e.g. 0.2", 0),
  cutMix: setting(number({ from: 0, to: 100 }), "CutMix: α of the Beta distribution of the area, e.g. 1", 0),
};

/** Length of the run, and batches. */
export const lengthSettings = {
  epochs: setting(count, "passes over the images", 20),
  batchSize: setting(orNone(count, "auto"), "images in a step", null, { defaultText: "32, fewer if memory is short" }),
  accumulate: setting(count, "gradient-accumulation steps: micro-batches per step, for less memory", 1),
  recompute: setting(onOff(), "recompute activations in the backward pass, for less memory", false),
  keep: setting(
    choice("best", "last"),
    "weights to keep: of the best epoch by validation, or of the last epoch",
    "best",
  ),
  patience: setting(orNone(count), "stop after n epochs without an improvement; the best is kept", null),
  maxMinutes: setting(orNone(number({ above: 0, to: 35_000 })), "stop after this time, as Ctrl-C does", null),
  labelSmoothing: setting(share, "part of the target probability that is spread over all classes", 0.1),
  temperature: setting(onOff(), "calibrate the model's probabilities on the validation images", false),
  seed: setting(seed, "seed of shuffles, augmentation and dropout", 0),
  weightsSeed: setting(seed, "seed of the initial weights", ({ seed }: KeySettings) => seed, {
    defaultText: "that of --seed",
  }),
};

/** Training for int8. */
export const quantizationSettings = {
  quantizationAware: setting(onOff(), "train with the rounding of int8, for a model that quantize then rounds", false, {
    brings: { epochs: 2, learningRate: 1e-4, schedule: "cosine" },
  }),
  reduceRange: setting(onOff(), "round weights to 7 bits, for quantize --reduce-range", false),
  perTensor: setting(onOff(), "round weights with one scale for each kernel, for quantize --per-tensor", false),
};

/** Fractions or percents of training, validation and test images; a flag writes them as `80/10/10` or `80/20`. */
function splitKind(): Kind<readonly [training: number, validation: number, test: number]> {
  const share = number({ from: 0 });
  return {
    accept: (value) => {
      if (!Array.isArray(value) || value.length < 2 || value.length > 3) return undefined;
      const [training, validation, test] = [...value, 0].map(share.accept);
      if (!training || validation === undefined || test === undefined) return undefined;
      const total = training + validation + test;
      const isWhole = [1, 100].some((whole) => Math.abs(total - whole) < 1e-6 * whole);
      return isWhole ? [training, validation, test] : undefined;
    },
    expected: "shares of training, validation and test that add up to 100 or 1, e.g. 80/10/10",
    placeholder: "<x/x/x>",
    read: (text) => text.split("/").map(readNumber),
    write: (shares) => shares.join("/"),
  };
}

/** A flag writes weights by name as `cat=2,dog=0.5`. */
function classWeightsKind(): Kind<ClassWeights> {
  return {
    accept: accepting((value): value is ClassWeights => value === "balanced" || areWeights(value)),
    expected: "balanced, or numbers from 0 by the name of the class, as in cat=2,dog=0.5",
    placeholder: "<how>",
    read: (text) => (text.includes("=") ? Object.fromEntries(text.split(",").map(readWeight)) : text),
    write: (weights) =>
      weights === "balanced"
        ? weights
        : Object.entries(weights)
            .map((entry) => entry.join("="))
            .join(","),
  };
}

function areWeights(value: unknown): boolean {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord && Object.values(value).every((each) => number({ from: 0 }).accept(each) !== undefined);
}

function readWeight(text: string): [string, number] {
  const at = text.lastIndexOf("=");
  return [text.slice(0, at), readNumber(text.slice(at + 1))];
}

/** Training on several ranks. */
export const rankSettings = {
  syncBatchNorm: setting(onOff(), "batch normalization by the batches of all ranks together, not of each", false),
  scaleLearningRate: setting(choice("none", "linear"), "linear: multiply the learning rate by the ranks", "none"),
};

/** A property of the named augmentation that can be overridden. */
function other<T>(kind: Kind<T>, about: string): Setting<T | null> {
  return setting(orNone(kind, "auto"), about, null, { defaultText: "as in --augment" });
}

/** Number of operations and magnitude, which a flag writes as `2,9`. */
function randAugmentKind(): Kind<readonly [operations: number, magnitude: number]> {
  return tupleOf([wholeNumber({ from: 0, to: 14 }), number({ from: 0, to: 10 })], {
    separator: ",",
    expected: "two numbers, operations from 0 to 14 and a magnitude from 0 to 10, e.g. 2,9",
    placeholder: "<n,x>",
  });
}
