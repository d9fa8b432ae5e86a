import { orNone, text } from "../../../kinds.ts";
import { setting } from "./setting.ts";

/** What the network begins with. */
export const weightsSettings = {
  weights: setting(orNone(text("<file>")), {
    about: "imagenet, or a file of any kind or its address; another number of classes gets a new classifier",
    default: null,
  }),
  allowMissing: setting(orNone(text("<glob,glob>")), {
    about: "which of these weights may be missing or differ, e.g. 'block14_*'",
    default: null,
  }),
};
