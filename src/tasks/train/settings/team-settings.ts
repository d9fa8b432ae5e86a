import { choice, onOff } from "../../../kinds.ts";
import { setting } from "./setting.ts";

/** What counts only where several processes train together. */
export const teamSettings = {
  syncBatchNorm: setting(onOff(), {
    about: "batch normalization by the batches of all processes together, instead of each by its own",
    default: false,
  }),
  scaleLearningRate: setting(choice("none", "linear"), {
    about: "linear: the learning rate times the number of processes",
    default: "none",
  }),
};
