import { choice, listOf, number, onOff, orNone, wholeNumber } from "../../base/kinds.ts";
import { optimizerDefaults } from "../../learning/optimizers.ts";
import { type KeySettings, setting } from "./setting.ts";

/** How weights follow their gradients. */
export const optimizerSettings = {
  optimizer: setting(choice("sgd", "rmsprop", "adam", "adamw"), {
    about: "how weights follow their gradients",
    default: "adamw",
  }),
  learningRate: setting(number({ above: 0 }), {
    about: "highest learning rate",
    default: ({ optimizer }: KeySettings) => optimizerDefaults[optimizer].learningRate,
    defaultText: byOptimizer("learningRate"),
    follows: "optimizer",
  }),
  weightDecay: setting(number({ from: 0 }), {
    about: "decay of kernels: an L2 penalty; with adamw, decoupled from the loss",
    default: ({ optimizer }: KeySettings) => optimizerDefaults[optimizer].weightDecay,
    defaultText: byOptimizer("weightDecay"),
    follows: "optimizer",
  }),
  decayAll: setting(onOff(), {
    about: "weight decay of biases, gammas and betas too, not only of kernels",
    default: false,
  }),
  clipNorm: setting(orNone(number({ above: 0 })), {
    about: "scale all gradients down where their common norm is larger",
    default: null,
  }),
  clipValue: setting(orNone(number({ above: 0 })), {
    about: "keep each number of the gradients between −x and x",
    default: null,
    insteadOf: "clipNorm",
  }),
  average: setting(choice("none", "ema", "polyak"), {
    about: "test and keep an average of the weights: exponential, or the mean of all steps",
    default: "none",
  }),
  averageDecay: setting(number({ from: 0, below: 1 }), {
    about: "share of the old average that is kept, once there have been some steps",
    default: 0.9999,
    follows: "average",
    only: ["ema"],
  }),
  momentum: setting(number({ from: 0, below: 1 }), {
    about: "share of the last step that is taken again",
    default: ({ optimizer }: KeySettings) => (optimizer === "sgd" ? 0.9 : 0),
    defaultText: "sgd 0.9, rmsprop 0",
    follows: "optimizer",
    only: ["sgd", "rmsprop"],
  }),
  nesterov: setting(onOff(), {
    about: "look ahead along the momentum",
    default: false,
    follows: "optimizer",
    only: ["sgd"],
  }),
  rho: setting(number({ from: 0, below: 1 }), {
    about: "share of the old mean square that is kept",
    default: 0.9,
    follows: "optimizer",
    only: ["rmsprop"],
  }),
  beta1: setting(number({ from: 0, below: 1 }), {
    about: "share of the old mean gradient that is kept",
    default: 0.9,
    follows: "optimizer",
    only: ["adam", "adamw"],
  }),
  beta2: setting(number({ from: 0, below: 1 }), {
    about: "share of the old mean square that is kept",
    default: 0.999,
    follows: "optimizer",
    only: ["adam", "adamw"],
  }),
  epsilon: setting(number({ from: 0 }), {
    about: "added to the denominator",
    default: 1e-7,
    follows: "optimizer",
    only: ["rmsprop", "adam", "adamw"],
  }),
};

function byOptimizer(setting: "learningRate" | "weightDecay"): string {
  return Object.entries(optimizerDefaults)
    .map(([name, defaults]) => `${name} ${defaults[setting]}`)
    .join(", ");
}

/** How the learning rate changes over the training. */
export const scheduleSettings = {
  schedule: setting(choice("constant", "exponential", "step", "cosine", "one-cycle", "plateau"), {
    about: "schedule of the learning rate",
    default: "one-cycle",
  }),
  warmup: setting(number({ from: 0, below: 1 }), {
    about: "share of the training in which the rate rises",
    default: ({ schedule }: KeySettings) => (schedule === "cosine" ? 0.05 : 0.3),
    defaultText: "cosine 0.05, one-cycle 0.3",
    follows: "schedule",
    only: ["cosine", "one-cycle"],
  }),
  initialDivisor: setting(number({ from: 1 }), {
    about: "the highest rate divided by the first",
    default: 25,
    follows: "schedule",
    only: ["one-cycle"],
  }),
  finalDivisor: setting(number({ from: 1 }), {
    about: "the first rate divided by the last",
    default: 10_000,
    follows: "schedule",
    only: ["one-cycle"],
  }),
  decayFactor: setting(number({ above: 0, to: 1 }), {
    about: "what the rate is multiplied by at each fall",
    default: ({ schedule }: KeySettings) => (schedule === "exponential" ? 0.94 : 0.1),
    defaultText: "exponential 0.94, step 0.1, plateau 0.1",
    follows: "schedule",
    only: ["exponential", "step", "plateau"],
  }),
  decayEpochs: setting(wholeNumber({ from: 1 }), {
    about: "the rate falls every n epochs",
    default: 2,
    follows: "schedule",
    only: ["exponential"],
  }),
  decaySamples: setting(orNone(wholeNumber({ from: 1 })), {
    about: "the rate falls every n images, instead of epochs",
    default: null,
    follows: "schedule",
    only: ["exponential"],
    insteadOf: "decayEpochs",
  }),
  decayAfter: setting(listOf(wholeNumber({ from: 1 })), {
    about: "the rate falls after these epochs",
    // Of one epoch there is no half.
    default: ({ epochs }: KeySettings) => [1 / 2, 3 / 4].map((part) => Math.max(1, Math.round(part * epochs))),
    defaultText: "half and three quarters of them",
    follows: "schedule",
    only: ["step"],
  }),
  plateauPatience: setting(wholeNumber({ from: 1 }), {
    about: "the rate falls after n epochs without a lower validation loss",
    default: 5,
    follows: "schedule",
    only: ["plateau"],
  }),
};
