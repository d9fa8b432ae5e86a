import type { ImageDataset } from "../data/dataset.ts";
import { withStatisticsFor } from "./moving-statistics.ts";
import { averageOverRanks, tensorsOfFirstRank } from "./ranks.ts";
import type { TrainingResult, TrainOptions } from "./train-options.ts";
import { planTraining } from "./train-plan.ts";
import { TrainingRun } from "./train-run.ts";
import { refuseOtherTraining, refuseUnequalRanks, trainingIdentity } from "./training-identity.ts";
import { TrainingStep } from "./training-step.ts";

/**
 * Trains a network on labelled pictures; with validation pictures it tests it after every epoch and keeps the best
 * weights. Nothing is written anywhere: save what `onEpoch`, `checkpoints` and the result hand out. Where epochs have few
 * steps, moving statistics follow faster than the network says, see `statisticsMomentum`.
 * @throws {UsageError} an option is not allowed, the network does not fit the data set, or the checkpoint to go on from
 *   is of another training.
 * @throws {DataError} the data set has too few usable pictures or classes.
 * @throws {WeightsError} the weights to start from are not the network's.
 * @throws {TrainingError} the loss or the weights are no finite numbers any more.
 * @example
 * const dataset = folderDataset(await nodePlatform.listFolder("photos"));
 * const { weights, history } = await train(dataset, { platform: nodePlatform, epochs: 5 });
 */
export async function train(dataset: ImageDataset, given: TrainOptions): Promise<TrainingResult> {
  const plan = planTraining(dataset, given);
  const { network, weights, batchSize, epochs, optimizer, loss, preprocessing, communicator } = plan;
  const isShared = communicator.size > 1;
  const options = communicator.rank === 0 ? given : withoutReports(given);
  const { resume, accumulate = 1, device, threads } = options;
  const identity = options.checkpoints || resume || isShared ? await trainingIdentity(plan) : {};
  if (isShared) await refuseUnequalRanks(communicator, { ...identity, step: resume?.state.steps ?? 0 });
  if (resume) refuseOtherTraining(identity, resume.identity);
  const stepsPerEpoch = plan.batches.batchesPerEpoch;
  const start = { network, batchSize, epochs, stepsPerEpoch };
  if (!resume) await options.onStart?.(start);
  const prepared = withStatisticsFor(network, stepsPerEpoch);
  const session = { device, ...(threads !== undefined && { threads }) };
  const parts = { batchSize: batchSize / accumulate, accumulate };
  const compiled = { optimizer, loss, preprocessing, session, sampleWeights: plan.batches.isWeighted };
  const stepOptions = {
    ...options,
    ...parts,
    ...compiled,
    health: (given.healthSteps ?? 0) > 0,
    ...(isShared && { reduce: averageOverRanks(communicator) }),
  };
  const tensors = tensorsOfFirstRank(communicator, resume?.state.tensors ?? weights);
  const step = await (resume
    ? TrainingStep.restore(prepared, { ...resume.state, tensors }, stepOptions)
    : TrainingStep.create(prepared, tensors, stepOptions));
  try {
    const run = new TrainingRun(plan, identity, step, options);
    if (resume) await options.onStart?.({ ...start, soFar: run.result(false) });
    return await run.run();
  } finally {
    await Promise.all([step.dispose(), plan.validation?.preparation.dispose()]);
  }
}

/** For ranks that take part but have nothing to say. */
function withoutReports({ onStart, onProgress, onEpoch, checkpoints, ...rest }: TrainOptions): TrainOptions {
  return { ...rest, ...(checkpoints && { checkpoints: { ...checkpoints, save: async () => {} } }) };
}
