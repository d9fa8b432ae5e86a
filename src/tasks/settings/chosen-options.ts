import { type Augmentation, augmentations } from "../../data/augment.ts";
import { erasingDefaults } from "../../data/erasing.ts";
import { createOptimizer } from "../../learning/optimizers.ts";
import { createSchedule } from "../../learning/schedules.ts";
import { exponentialAverage, polyakAverage } from "../../learning/weight-average.ts";
import type { XceptionOptions } from "../../models/xception-options.ts";
import type { TrainOptions } from "../train-options.ts";
import type { Settings } from "./settings.ts";

/** The network that settings describe, but for its classes. */
export function networkOptions(settings: Settings): Omit<XceptionOptions, "classes"> {
  const { variant, width, dropout, fcUnits, residual, intermediateActivation, middleFlowRepeats } = settings;
  const { imageSize, weightsSeed: seed } = settings;
  const inputShape = [imageSize, imageSize, 3] as const;
  return { variant, inputShape, width, dropout, fcUnits, residual, intermediateActivation, middleFlowRepeats, seed };
}

/**
 * Settings as options of `train`; the pictures are the caller's business.
 * @example train(dataset, { ...trainOptions(resolveSettings([recipeLayer("finetune")]).settings), platform })
 */
export function trainOptions(settings: Settings): Omit<TrainOptions, "platform"> {
  const { epochs, batchSize, learningRate, labelSmoothing, seed, decayAll, accumulate, patience } = settings;
  const { mixup, cutMix, sampling, classWeights } = settings;
  return {
    network: networkOptions(settings),
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
    accumulate,
    ...(patience !== null && { patience }),
  };
}

function augmentationOf({ augment, randomErasing }: Settings): Augmentation {
  const augmentation: Augmentation = augmentations[augment];
  if (randomErasing === null) return augmentation;
  return { ...augmentation, erasing: { ...erasingDefaults, ...augmentation.erasing, probability: randomErasing } };
}

function clipping({ clipNorm, clipValue }: Settings): Pick<TrainOptions, "clip"> {
  if (clipValue !== null) return { clip: { value: clipValue } };
  return clipNorm === null ? {} : { clip: { norm: clipNorm } };
}

function averaging({ average, averageDecay }: Settings): Pick<TrainOptions, "averageDecay"> {
  if (average === "none") return {};
  return { averageDecay: average === "ema" ? exponentialAverage(averageDecay) : polyakAverage };
}
