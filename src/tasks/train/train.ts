import type { ImageDataset } from "../../data/dataset.ts";
import { networkWeights } from "../../graph/network.ts";
import { fromEngineLayout } from "../../graph/weights.ts";
import { averageOverRanks, tensorsOfFirstRank } from "../ranks/ranks.ts";
import { withStatisticsFor } from "../step/moving-statistics.ts";
import { initialState, weightEntry } from "../step/training-state.ts";
import { TrainingStep } from "../step/training-step.ts";
import type { TrainingIdentity } from "./checkpoint.ts";
import { hasOpenHead, trainHead } from "./head-phase.ts";
import type { TrainingResult, TrainOptions } from "./options.ts";
import { type OptionsWithWeights, planTraining, type TrainingPlan } from "./plan.ts";
import { TrainingRun } from "./run.ts";
import { RunningEpoch } from "./running-epoch.ts";
import { withStartingWeights } from "./start.ts";
import { assertEqualRanks, assertSameTraining, trainingIdentity } from "./training-identity.ts";

/**
 * Trains a network on labeled images; with validation images it tests it after every epoch and keeps the best
 * weights. Nothing is written anywhere: save what `onEpoch`, `checkpoints` and the result hand out. Where epochs have few
 * steps, moving statistics follow faster than the network says, see `statisticsMomentum`.
 * @throws {UsageError} an option is not allowed, the network does not fit the data set, or the checkpoint to go on from
 *   is of another training.
 * @throws {DataError} the data set has too few usable images or classes.
 * @throws {WeightsError} the weights to start from are not the network's.
 * @throws {FileError} the file of weights cannot be read.
 * @throws {FormatError} it is damaged, or of no format that we know.
 * @throws {TrainingError} the loss or the weights are no finite numbers any more.
 * @example
 * const dataset = folderDataset(await nodePlatform.files.list("photos"));
 * const { weights, history } = await train(dataset, { platform: nodePlatform, epochs: 5 });
 */
export async function train(dataset: ImageDataset, chosen: TrainOptions): Promise<TrainingResult> {
  const given = await withStartingWeights(dataset, chosen);
  const planned = planTraining(dataset, given);
  const { network, batchSize, epochs, optimizer, loss, preprocessing, communicator } = planned;
  const isShared = communicator.size > 1;
  const options = communicator.rank === 0 ? given : withoutReports(given);
  const { accumulate = 1, device, threads } = options;
  const identity = options.checkpoints || options.resume || isShared ? await trainingIdentity(planned) : {};
  if (isShared) await assertEqualRanks(communicator, { ...identity, step: options.resume?.state.steps ?? 0 });
  if (options.resume) assertSameTraining(identity, options.resume.identity);
  const stepsPerEpoch = planned.batches.batchesPerEpoch;
  const start = { network, batchSize, epochs, stepsPerEpoch };
  // Nothing has been done yet where the classifier was to be trained first.
  const resume = options.resume?.phase === "head" ? undefined : options.resume;
  if (!resume) await options.onStart?.(start);
  const plan = resume ? planned : await afterHead(planned, identity, options);
  const { weights } = plan;
  const prepared = withStatisticsFor(network, stepsPerEpoch);
  const parts = { batchSize: batchSize / accumulate, accumulate };
  const compiled = {
    optimizer,
    loss,
    preprocessing,
    session: { device, threads },
    sampleWeights: plan.batches.isWeighted,
  };
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
    const run = new TrainingRun(plan, identity, step, { ...options, resume });
    if (resume) await options.onStart?.({ ...start, soFar: run.result(false) });
    return await run.run();
  } finally {
    await Promise.all([step.dispose(), plan.validation?.preparation.dispose()]);
  }
}

/**
 * The same plan with the weights that the first phase gives, if there is one. Before it, all is saved that it takes to do
 * it again: it comes out the same.
 */
async function afterHead(
  plan: TrainingPlan,
  identity: TrainingIdentity,
  options: OptionsWithWeights,
): Promise<TrainingPlan> {
  const { head, resume, checkpoints, signal } = options;
  const { network, batches, batchSize } = plan;
  const specs = networkWeights(network);
  const given = resume
    ? new Map(specs.map((spec) => [spec.name, fromEngineLayout(spec, resume.state.tensors.get(spec.name)!)]))
    : plan.weights;
  const begun = { ...plan, weights: given };
  if (head === undefined || !hasOpenHead(plan)) return begun;
  if (checkpoints && !resume) {
    await checkpoints.save({
      identity,
      phase: "head",
      isOver: false,
      epoch: RunningEpoch.begin(0, 0, batches.batchesPerEpoch, batchSize).state(),
      state: initialState(specs.map(weightEntry), given),
      history: [],
      skipped: [],
      validationSkipped: [],
    });
  }
  return { ...begun, weights: await trainHead(begun, { signal, ...head }) };
}

/** For ranks that take part but have nothing to say. */
function withoutReports({
  onStart,
  onProgress,
  onEpoch,
  checkpoints,
  ...rest
}: OptionsWithWeights): OptionsWithWeights {
  return { ...rest, ...(checkpoints && { checkpoints: { ...checkpoints, save: async () => {} } }) };
}
