import {
  accepting,
  choice,
  type Kind,
  number,
  onOff,
  orNone,
  readNumber,
  text,
  wholeNumber,
} from "../../base/kinds.ts";
import type { ClassWeights } from "../../data/sample-weights.ts";
import { type KeySettings, setting } from "./setting.ts";

/** Which images there are, and how much they count. */
export const imageSettings = {
  val: setting(orNone(text("<folder>")), {
    about: "images to test on after every epoch, with the same classes",
    default: null,
    insteadOf: "valShare",
  }),
  valShare: setting(number({ above: 0, below: 1 }), {
    about: "without --val: share of each class that is held out for it",
    default: 0.2,
  }),
  labelsFile: setting(orNone(text("<file>")), {
    about: "labels of images that have several each, as CSV or JSON",
    default: null,
  }),
  valLabelsFile: setting(orNone(text("<file>")), {
    about: "the labels of the images of --val",
    default: null,
  }),
  mapWeights: setting(orNone(text("<file>")), {
    about: "how much each class counts in MAP@100, by name, as JSON; without it all count the same",
    default: null,
  }),
  imageSize: setting(wholeNumber({ from: 71, to: 8192 }), {
    about: "height and width that images are stretched to",
    default: 299,
  }),
  sampling: setting(choice("shuffled", "balanced"), {
    about: "balanced: an epoch shows all classes equally often",
    default: "shuffled",
  }),
  classWeights: setting(orNone(classWeightsKind()), {
    about: "how much classes count in the loss: balanced, or by name",
    default: null,
  }),
  sampleWeights: setting(orNone(text("<file>")), {
    about: "how much images count in the loss: CSV with lines of class/image.jpg,weight; 1 for others",
    default: null,
  }),
};

/** How long it takes, and what a step is. */
export const lengthSettings = {
  epochs: setting(wholeNumber({ from: 1 }), {
    about: "passes over the images",
    default: 20,
  }),
  batchSize: setting(orNone(wholeNumber({ from: 1 }), "auto"), {
    about: "images in a step",
    default: null,
    defaultText: "32, fewer if memory is short",
  }),
  accumulate: setting(wholeNumber({ from: 1 }), {
    about: "micro-batches of a step, computed one after the other, for less memory",
    default: 1,
  }),
  recompute: setting(onOff(), {
    about: "recompute activations in the backward pass instead of keeping them, for less memory",
    default: false,
  }),
  patience: setting(orNone(wholeNumber({ from: 1 })), {
    about: "stop after n epochs without a better one; the best is kept",
    default: null,
  }),
  maxMinutes: setting(orNone(number({ above: 0, to: 35_000 })), {
    about: "stop after this time, as Ctrl-C does",
    default: null,
  }),
  labelSmoothing: setting(number({ from: 0, below: 1 }), {
    about: "part of the target probability that is spread over all classes",
    default: 0.1,
  }),
  seed: setting(wholeNumber({ from: 0 }), {
    about: "seed of shuffles, augmentation and dropout",
    default: 0,
  }),
  weightsSeed: setting(wholeNumber({ from: 0 }), {
    about: "seed of the initial weights",
    default: ({ seed }: KeySettings) => seed,
    defaultText: "that of --seed",
  }),
};

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

/** What counts only where several processes train together. */
export const rankSettings = {
  syncBatchNorm: setting(onOff(), {
    about: "batch normalization by the batches of all processes together, instead of each by its own",
    default: false,
  }),
  scaleLearningRate: setting(choice("none", "linear"), {
    about: "linear: the learning rate times the number of processes",
    default: "none",
  }),
};
