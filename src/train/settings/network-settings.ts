import { choice, number, orNone, text, type ValueOf, wholeNumber } from "../../base/kinds.ts";
import { architectureNames, defaultName, optionsIn, type ScopedOptions } from "../../models/registry.ts";
import { type Setting, setting } from "./setting.ts";

type Options = ScopedOptions<"network">;

const patterns = orNone(text("<glob,glob>"));

/** The network: its architecture and the options of all families. */
export const networkSettings = {
  architecture: setting(
    choice(...architectureNames),
    "network: as in Keras, or under timm's names as in timm",
    defaultName,
  ),
  ...(Object.fromEntries(
    Object.entries(optionsIn("network")).map(([name, option]) => [
      name,
      { ...option, ...("only" in option && { follows: "architecture" }) },
    ]),
  ) as unknown as { readonly [Name in keyof Options]: Setting<ValueOf<Options[Name]>> }),
};

/** Fine-tuning of pretrained weights. */
export const fineTuningSettings = {
  headOn: setting(
    orNone(text("<layer>"), "auto"),
    "layer or block below the classifier; auto: the last with weights",
    null,
  ),
  headEpochs: setting(wholeNumber({ from: 0 }), "first train only the head for n epochs, on features computed once", 0),
  headViews: setting(wholeNumber({ from: 1, to: 1000 }), "views of each image for the head: itself, then augmented", 1),
  headRate: setting(number({ above: 0 }), "highest learning rate of these epochs", 0.001),
  unfreezeFrom: setting(
    orNone(text("<block>"), "first"),
    "first block or layer that trains, e.g. block13; last: the last block, top: only the classifier",
    null,
    { defaultText: "the first" },
  ),
  cachedViews: setting(
    orNone(wholeNumber({ from: 1, to: 1000 })),
    "augmented views of each image; later epochs repeat them, without the frozen layers' work",
    null,
    { defaultText: "new ones in every epoch" },
  ),
  freeze: setting(patterns, "weights that do not train, e.g. 'block1_*'", null),
  train: setting(patterns, "weights that train regardless of the other flags", null),
  layerDecay: setting(number({ above: 0, to: 1 }), "learning rate of a block relative to the next one", 1),
  batchNorm: setting(
    choice("auto", "training", "inference"),
    "normalize by the batch (training) or by moving statistics (inference); auto: by these if pretrained",
    "auto",
  ),
};

/** The initial weights of the network. */
export const weightsSettings = {
  weights: setting(
    orNone(text("<file>")),
    "file, URL, or name (imagenet, timm/…, hf://…); other classes: a new head",
    null,
  ),
  allowMissing: setting(patterns, "weights that may be missing or differ, e.g. 'block14_*'", null),
  key: setting(orNone(text("<path>")), "weights in a PyTorch checkpoint that has several, e.g. ema/model", null),
};
