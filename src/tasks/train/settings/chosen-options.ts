import { type Augmentation, augmentations, inceptionWindow } from "../../../data/augmentation.ts";
import { erasingDefaults, type WindowSizes } from "../../../data/geometry.ts";
import { createOptimizer } from "../../../learning/optimizers.ts";
import { createSchedule } from "../../../learning/schedules.ts";
import { exponentialAverage, polyakAverage } from "../../../learning/weight-average.ts";
import type { SharedOptions } from "../../../models/options.ts";
import { type Architecture, architectureNamed, pickOptions } from "../../../models/registry.ts";
import type { FineTuningChoice } from "../fine-tuning.ts";
import type { TrainOptions } from "../options.ts";
import type { Settings } from "./settings.ts";

/**
 * The network that settings describe.
 * @param data what the images decide; `train` knows it by itself.
 * @throws {UsageError} a setting does not go with the architecture.
 */
export function chosenArchitecture(
  settings: Settings,
  data: Pick<SharedOptions, "classes" | "classifierActivation"> = {},
): Architecture {
  const { architecture, imageSize, weightsSeed: seed } = settings;
  const inputShape = [imageSize, imageSize, 3] as const;
  return architectureNamed(architecture, {
    ...pickOptions(architecture, settings, "network"),
    inputShape,
    seed,
    ...data,
  });
}

/** What settings say about which weights train, and how. */
export function fineTuningChoice(settings: Settings): FineTuningChoice {
  const { unfreezeFrom, freeze, train, layerDecay, batchNorm } = settings;
  return {
    unfreezeFrom: unfreezeFrom ?? undefined,
    freeze: freeze ?? undefined,
    train: train ?? undefined,
    layerDecay,
    batchNorm,
  };
}

/** What settings say about training the classifier first. */
function headPhase({ headEpochs, headViews, headRate }: Settings): Pick<TrainOptions, "head"> {
  if (headEpochs === 0) return {};
  return { head: { epochs: headEpochs, views: headViews, learningRate: headRate } };
}

/**
 * Settings as options of `train`; the images are the caller's business.
 * @example train(dataset, { ...trainOptions(resolveSettings([recipeLayer("finetune")]).settings), platform })
 */
export function trainOptions(settings: Settings): Omit<TrainOptions, "platform"> {
  const { epochs, batchSize, learningRate, labelSmoothing, seed, decayAll, accumulate, recompute, patience } = settings;
  const { mixup, cutMix, sampling, classWeights } = settings;
  return {
    network: chosenArchitecture(settings),
    epochs,
    ...(batchSize !== null && { batchSize }),
    optimizer: createOptimizer(settings.optimizer, settings),
    learningRate,
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
    labelSmoothing,
    seed,
    augmentation: augmentationOf(settings),
    mixing: { mixup, cutMix },
    sampling,
    ...(classWeights !== null && { classWeights }),
    ...(decayAll && { decays: () => true }),
    ...clipping(settings),
    ...averaging(settings),
    ...headPhase(settings),
    accumulate,
    recompute,
    ...(settings.syncBatchNorm && { synchronizeBatchNormalization: true }),
    scaleLearningRate: settings.scaleLearningRate ?? "none",
    ...(patience !== null && { patience }),
  };
}

/** What the name says, but for what is chosen besides. */
function augmentationOf(settings: Settings): Augmentation {
  const { flip, rotation, scale, shift, brightness, contrast, saturation, hue } = settings;
  const { resizedCrop, randAugment, randomErasing } = settings;
  const named: Augmentation = augmentations[settings.augment];
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
    ...(resizedCrop !== null && { crop: 0, resizedCrop: windowsFrom(resizedCrop, named) }),
    ...(randAugment !== null && { randAugment: { operations: randAugment[0], magnitude: randAugment[1] } }),
    ...(randomErasing !== null && { erasing: { ...erasing, probability: randomErasing } }),
  };
}

/** Windows of at least this share of the area; a share of 1 leaves no choice of their shape. */
function windowsFrom(share: number, { resizedCrop = inceptionWindow }: Augmentation): WindowSizes {
  return { area: [share, 1], ratio: resizedCrop.ratio };
}

function clipping({ clipNorm, clipValue }: Settings): Pick<TrainOptions, "clip"> {
  if (clipValue !== null) return { clip: { value: clipValue } };
  return clipNorm === null ? {} : { clip: { norm: clipNorm } };
}

function averaging({ average, averageDecay }: Settings): Pick<TrainOptions, "averageDecay"> {
  if (average === "none") return {};
  return { averageDecay: average === "ema" ? exponentialAverage(averageDecay) : polyakAverage };
}
