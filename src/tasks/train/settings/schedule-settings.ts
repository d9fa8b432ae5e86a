import { choice, listOf, number, orNone, wholeNumber } from "../../../kinds.ts";
import { type KeySettings, setting } from "./setting.ts";

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
