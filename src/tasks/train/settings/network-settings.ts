import { choice, listOf, number, onOff, wholeNumber } from "../../../kinds.ts";
import { architectureNames } from "../../../models/architecture-names.ts";
import { setting } from "./setting.ts";

/** What aligned networks have not. */
const ofXception = { follows: "architecture", only: ["xception", "legacy_xception"] } as const;

/** How the network is built. */
export const networkSettings = {
  architecture: setting(choice(...architectureNames), {
    about: "xception: as in Keras; the others: as in timm",
    default: "xception",
  }),
  variant: setting(choice("paper", "tutorial"), {
    about: "paper: as published and in Keras; tutorial: as the article lists it",
    default: "paper",
    ...ofXception,
  }),
  width: setting(number({ above: 0, to: 16 }), {
    about: "multiplies every channel count, e.g. 0.25",
    default: 1,
  }),
  dropout: setting(number({ from: 0, below: 1 }), {
    about: "share of features set to 0 before the classifier while training",
    default: 0,
  }),
  fcUnits: setting(listOf(wholeNumber({ from: 1, to: 65_536 })), {
    about: "fully connected layers before the classifier, e.g. 4096,4096",
    default: [],
    defaultText: "none",
    ...ofXception,
  }),
  residual: setting(onOff(), {
    about: "shortcuts around the blocks (the paper's figure 9)",
    default: true,
    ...ofXception,
  }),
  intermediateActivation: setting(choice("none", "relu", "elu"), {
    about: "between the steps of separable convolutions (paper, figure 10)",
    default: "none",
    ...ofXception,
  }),
  middleFlowRepeats: setting(wholeNumber({ from: 0, to: 100 }), {
    about: "blocks of the middle flow",
    default: 8,
    ...ofXception,
  }),
};
