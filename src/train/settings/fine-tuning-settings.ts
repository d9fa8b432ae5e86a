import { choice, number, orNone, text, wholeNumber } from "../../base/kinds.ts";
import { setting } from "./setting.ts";

/** Fine-tuning of pretrained weights. */
export const fineTuningSettings = {
  headOn: setting(orNone(text("<layer>"), "auto"), {
    about: "layer or block that the classifier stands on; auto: the last one that the weights reach",
    default: null,
  }),
  headEpochs: setting(wholeNumber({ from: 0 }), {
    about: "first train only the head for this many epochs, on features computed once",
    default: 0,
  }),
  headViews: setting(wholeNumber({ from: 1, to: 1000 }), {
    about: "views of each image in these epochs: itself, then changed as --augment says",
    default: 1,
  }),
  headRate: setting(number({ above: 0 }), {
    about: "highest learning rate of these epochs",
    default: 0.001,
  }),
  unfreezeFrom: setting(orNone(text("<block>"), "first"), {
    about: "first block or layer whose weights train, e.g. block13; last: the last block, top: only the classifier",
    default: null,
    defaultText: "the first",
  }),
  freeze: setting(orNone(text("<glob,glob>")), {
    about: "weights that do not train, e.g. 'block1_*'",
    default: null,
  }),
  train: setting(orNone(text("<glob,glob>")), {
    about: "weights that train whatever the other flags say",
    default: null,
  }),
  layerDecay: setting(number({ above: 0, to: 1 }), {
    about: "learning rate of a block, divided by that of the block after it",
    default: 1,
  }),
  batchNorm: setting(choice("auto", "training", "inference"), {
    about:
      "training: normalize by the batch; inference: by the moving statistics; auto: by these where they were given",
    default: "auto",
  }),
};

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
