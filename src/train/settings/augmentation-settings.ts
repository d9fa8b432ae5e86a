import { choice, type Kind, number, orNone, tupleOf, wholeNumber, yesOrNo } from "../../base/kinds.ts";
import { augmentationNames } from "../../data/augmentation.ts";
import { setting } from "./setting.ts";

/** How the training images are changed at random: an augmentation with a name, and what of it is to be otherwise. */
export const augmentationSettings = {
  augment: setting(choice(...augmentationNames), {
    about: "random changes of the training images; the flags below change some of them",
    default: "default",
  }),
  flip: setting(...other(yesOrNo(), "mirror every second image, left for right")),
  rotation: setting(...other(number({ from: 0, to: 180 }), "turn by up to so many degrees either way")),
  scale: setting(...other(number({ from: 0, to: 0.5 }), "enlarge or shrink by up to this share")),
  shift: setting(...other(number({ from: 0, to: 1 }), "move by up to this share of the width and of the height")),
  resizedCrop: setting(
    ...other(
      number({ above: 0, to: 1 }),
      "stretch a random window over the image; its smallest share of the area, 1: no window",
    ),
  ),
  brightness: setting(...other(number({ from: 0, to: 1 }), "change the brightness by up to this share")),
  contrast: setting(...other(number({ from: 0, to: 1 }), "change the contrast by up to this share")),
  saturation: setting(...other(number({ from: 0, to: 1 }), "change the saturation by up to this share")),
  hue: setting(...other(number({ from: 0, to: 0.5 }), "turn the hues by up to this share of the color circle")),
  randAugment: setting(...other(randAugmentKind(), "RandAugment: operations on each image, and their magnitude")),
  randomErasing: setting(...other(number({ from: 0, to: 1 }), "share of the images that lose a random rectangle")),
  mixup: setting(number({ from: 0, to: 100 }), {
    about: "blend pairs of images; α of the shares' Beta distribution, e.g. 0.2",
    default: 0,
  }),
  cutMix: setting(number({ from: 0, to: 100 }), {
    about: "paste a part of one image into another; α of the area's Beta distribution, e.g. 1",
    default: 0,
  }),
};

/** Something of the augmentation with a name, which may be otherwise. */
function other<T>(kind: Kind<T>, about: string) {
  return [orNone(kind, "auto"), { about, default: null, defaultText: "what --augment says" }] as const;
}

/** Number of operations and magnitude, which a flag writes as `2,9`. */
function randAugmentKind(): Kind<readonly [operations: number, magnitude: number]> {
  return tupleOf([wholeNumber({ from: 0, to: 14 }), number({ from: 0, to: 10 })], {
    separator: ",",
    expected: "two numbers, operations from 0 to 14 and a magnitude from 0 to 10, e.g. 2,9",
    placeholder: "<n,x>",
  });
}
