import { type Augmentation, augmentations, inceptionWindow } from "../../data/augmentation.ts";
import { erasingDefaults } from "../../data/geometry.ts";
import { createOptimizer, exponentialAverage, polyakAverage } from "../../learning/optimizers.ts";
import { createSchedule } from "../../learning/schedules.ts";
import type { SharedOptions } from "../../models/options.ts";
import { type Architecture, architectureNamed, pickOptions } from "../../models/registry.ts";
import type { Settings } from "./settings.ts";

/**
 * Returns the network that settings describe.
 * @param data options that the images decide.
 * @throws {UsageError} a setting does not go with the architecture.
 */
export function chosenArchitecture(
  settings: Settings,
  data: Pick<SharedOptions, "classes" | "classifierActivation"> = {},
): Architecture {
  const { architecture, imageSize, weightsSeed: seed } = settings;
  const inputShape = [imageSize, imageSize, 3] as const;
  const options = pickOptions(architecture, settings);
  return architectureNamed(architecture, { ...options, inputShape, seed, ...data });
}

/** Creates the objects described by settings. */
export function choicesOf(settings: Settings) {
  const { mixup, cutMix, average, averageDecay, clipNorm, clipValue } = settings;
  return {
    optimizer: createOptimizer(settings.optimizer, settings),
    schedule: createSchedule(settings.schedule, {
      warmup: settings.warmup,
      initialDivisor: settings.initialDivisor,
      finalDivisor: settings.finalDivisor,
      factor: settings.decayFactor,
      everyEpochs: settings.decayEpochs,
      ...(settings.decaySamples !== null && { everySamples: settings.decaySamples }),
      afterEpochs: settings.decayAfter,
      patience: settings.plateauPatience,
    }),
    augmentation: augmentationOf(settings),
    mixing: { mixup, cutMix },
    clip: clipValue !== null ? { value: clipValue } : clipNorm !== null ? { norm: clipNorm } : undefined,
    averageDecay: { none: undefined, ema: exponentialAverage(averageDecay), polyak: polyakAverage }[average],
  };
}

/** The named augmentation with the overriding settings. */
function augmentationOf(settings: Settings): Augmentation {
  const { flip, rotation, scale, shift, brightness, contrast, saturation, hue } = settings;
  const { resizedCrop, randAugment, randomErasing } = settings;
  const named: Augmentation = augmentations[settings.augment];
  const { ratio } = named.resizedCrop ?? inceptionWindow;
  const erasing = { ...erasingDefaults, ...named.erasing };
  const amounts = {
    horizontalFlip: flip,
    rotationDegrees: rotation,
    scale,
    shift,
    brightness,
    contrast,
    saturation,
    hue,
  };
  return {
    ...named,
    ...Object.fromEntries(Object.entries(amounts).filter(([, amount]) => amount !== null)),
    // A share of 1 leaves no choice of the windows' shape.
    ...(resizedCrop !== null && { crop: 0, resizedCrop: { area: [resizedCrop, 1], ratio } }),
    ...(randAugment !== null && { randAugment: { operations: randAugment[0], magnitude: randAugment[1] } }),
    ...(randomErasing !== null && { erasing: { ...erasing, probability: randomErasing } }),
  };
}
