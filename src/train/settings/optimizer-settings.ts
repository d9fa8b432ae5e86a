import { choice, listOf, number, onOff, orNone, wholeNumber } from "../../base/kinds.ts";
import { type OptimizerName, optimizerDefaults, optimizerNames } from "../../learning/optimizers.ts";
import { type ScheduleName, scheduleNames } from "../../learning/schedules.ts";
import { type KeySettings, setting } from "./setting.ts";

const positive = number({ above: 0 });
const share = number({ from: 0, below: 1 });
const divisor = number({ from: 1 });
const count = wholeNumber({ from: 1 });

const ofOptimizers = (...only: OptimizerName[]) => ({ follows: "optimizer", only }) as const;
const ofSchedules = (...only: ScheduleName[]) => ({ follows: "schedule", only }) as const;

/** The optimizer, and the average of the weights. */
export const optimizerSettings = {
  optimizer: setting(choice(...optimizerNames), "optimizer of the weights", "adamw"),
  learningRate: setting(positive, "highest learning rate", defaultOf("learningRate"), {
    defaultText: byOptimizer("learningRate"),
    follows: "optimizer",
  }),
  weightDecay: setting(
    number({ from: 0 }),
    "decay of kernels: an L2 penalty; with adamw, decoupled from the loss",
    defaultOf("weightDecay"),
    { defaultText: byOptimizer("weightDecay"), follows: "optimizer" },
  ),
  decayAll: setting(onOff(), "weight decay of biases, gammas and betas too, not only of kernels", false),
  clipNorm: setting(orNone(positive), "scale all gradients down if their global norm is larger", null),
  clipValue: setting(orNone(positive), "clip each gradient to −x … x", null, { insteadOf: "clipNorm" }),
  average: setting(
    choice("none", "ema", "polyak"),
    "validate and keep averaged weights: ema, or all steps' mean",
    "none",
  ),
  averageDecay: setting(share, "share of the old average that is kept, after a warm-up", 0.9999, {
    follows: "average",
    only: ["ema"],
  }),
  momentum: setting(share, "momentum", ({ optimizer }: KeySettings) => (optimizer === "sgd" ? 0.9 : 0), {
    defaultText: "sgd 0.9, rmsprop 0",
    ...ofOptimizers("sgd", "rmsprop"),
  }),
  nesterov: setting(onOff(), "Nesterov momentum", false, ofOptimizers("sgd")),
  rho: setting(share, "decay rate of the mean square", 0.9, ofOptimizers("rmsprop")),
  beta1: setting(share, "decay rate of the first moment", 0.9, ofOptimizers("adam", "adamw")),
  beta2: setting(share, "decay rate of the second moment", 0.999, ofOptimizers("adam", "adamw")),
  epsilon: setting(number({ from: 0 }), "added to the denominator", 1e-7, ofOptimizers("rmsprop", "adam", "adamw")),
};

function defaultOf(setting: "learningRate" | "weightDecay") {
  return ({ optimizer }: KeySettings) => optimizerDefaults[optimizer][setting];
}

function byOptimizer(setting: "learningRate" | "weightDecay"): string {
  return Object.entries(optimizerDefaults)
    .map(([name, defaults]) => `${name} ${defaults[setting]}`)
    .join(", ");
}

/** The learning-rate schedule. */
export const scheduleSettings = {
  schedule: setting(choice(...scheduleNames), "learning-rate schedule", "one-cycle"),
  warmup: setting(
    share,
    "share of the steps used for warm-up",
    ({ schedule }: KeySettings) => (schedule === "cosine" ? 0.05 : 0.3),
    { defaultText: "cosine 0.05, one-cycle 0.3", ...ofSchedules("cosine", "one-cycle") },
  ),
  initialDivisor: setting(divisor, "the highest rate divided by the first", 25, ofSchedules("one-cycle")),
  finalDivisor: setting(divisor, "the first rate divided by the last", 10_000, ofSchedules("one-cycle")),
  decayFactor: setting(
    number({ above: 0, to: 1 }),
    "factor of the rate at each decay",
    ({ schedule }: KeySettings) => (schedule === "exponential" ? 0.94 : 0.1),
    { defaultText: "exponential 0.94, step 0.1, plateau 0.1", ...ofSchedules("exponential", "step", "plateau") },
  ),
  decayEpochs: setting(count, "decay every n epochs", 2, ofSchedules("exponential")),
  decaySamples: setting(orNone(count), "decay every n images, instead of epochs", null, {
    ...ofSchedules("exponential"),
    insteadOf: "decayEpochs",
  }),
  decayAfter: setting(
    listOf(count),
    "decay after these epochs",
    // Half of one epoch is rounded up.
    ({ epochs }: KeySettings) => [1 / 2, 3 / 4].map((part) => Math.max(1, Math.round(part * epochs))),
    { defaultText: "half and three quarters of them", ...ofSchedules("step") },
  ),
  plateauPatience: setting(count, "decay after n epochs without a lower validation loss", 5, ofSchedules("plateau")),
};
