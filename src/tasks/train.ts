import type { ImageDataset } from "../data/dataset.ts";
import { withStatisticsFor } from "./moving-statistics.ts";
import type { TrainingResult, TrainOptions } from "./train-options.ts";
import { planTraining } from "./train-plan.ts";
import { TrainingRun } from "./train-run.ts";
import { TrainingStep } from "./training-step.ts";

/**
 * Trains a network on labelled pictures; with validation pictures it tests it after every epoch and keeps the best
 * weights. Nothing is written anywhere: save what `onEpoch` and the result hand out. Where epochs have few steps, moving
 * statistics follow faster than the network says, see `statisticsMomentum`.
 * @throws {UsageError} an option is not allowed, or the network does not fit the data set.
 * @throws {DataError} the data set has too few usable pictures or classes.
 * @throws {WeightsError} the weights to start from are not the network's.
 * @throws {TrainingError} the loss or the weights are no finite numbers any more.
 * @example
 * const dataset = folderDataset(await nodePlatform.listFolder("photos"));
 * const { weights, history } = await train(dataset, { platform: nodePlatform, epochs: 5 });
 */
export async function train(dataset: ImageDataset, options: TrainOptions): Promise<TrainingResult> {
  const plan = planTraining(dataset, options);
  const { network, weights, batchSize, epochs, optimizer, loss, preprocessing } = plan;
  const stepsPerEpoch = plan.batches.batchesPerEpoch;
  options.onStart?.({ network, batchSize, epochs, stepsPerEpoch });
  const step = await TrainingStep.create(withStatisticsFor(network, stepsPerEpoch), weights, {
    platform: options.platform,
    batchSize,
    optimizer,
    loss,
    preprocessing,
    session: { device: options.device },
  });
  try {
    return await new TrainingRun(plan, step, options).run();
  } finally {
    await step.dispose();
  }
}
