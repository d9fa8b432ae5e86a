import { choice, number, onOff, orNone } from "../../../kinds.ts";
import { optimizerDefaults } from "../../../learning/optimizer-defaults.ts";
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
