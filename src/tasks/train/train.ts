import type { ImageDataset } from "../../data/dataset.ts";
import { networkWeights } from "../../graph/network.ts";
import { fromEngineLayout } from "../../graph/weights.ts";
import { tensorsOfFirstRank } from "../ranks/ranks.ts";
import { withStatisticsFor } from "../step/moving-statistics.ts";
import { initialState, weightEntry } from "../step/training-state.ts";
import { TrainingStep } from "../step/training-step.ts";
import type { TrainingIdentity } from "./checkpoint.ts";
import { hasOpenHead, trainHead } from "./head-phase.ts";
import { prepareTraining, type TrainingPlan } from "./prepare.ts";
import type { TrainingHooks, TrainingRequest, TrainingResult } from "./request.ts";
import { TrainingRun } from "./run.ts";
import { RunningEpoch } from "./running-epoch.ts";
import { assertEqualRanks, assertSameTraining, trainingIdentity } from "./training-identity.ts";

/**
 * Trains a network on labeled images; with validation images it tests it after every epoch and keeps the best
 * weights. Nothing is written anywhere: save what `onEpoch`, `checkpoints` and the result hand out. Where epochs have few
 * steps, moving statistics follow faster than the network says, see `statisticsMomentum`.
 * @throws as {@link prepareTraining} and {@link runTraining}.
 * @example
 * const dataset = folderDataset(await nodePlatform.files.list("photos"));
 * const { weights, history } = await train(dataset, { platform: nodePlatform, epochs: 5 });
 */
export async function train(dataset: ImageDataset, request: TrainingRequest): Promise<TrainingResult> {
  return runTraining(await prepareTraining(dataset, request), request);
}

/**
 * Carries out a training run.
 * @throws {UsageError} the checkpoint to resume from is of another run.
 * @throws {DataError} there are too few usable images.
 * @throws {TrainingError} the loss or a weight becomes NaN or infinite.
 */
export async function runTraining(planned: TrainingPlan, given: TrainingHooks = {}): Promise<TrainingResult> {
  const { network, batchSize, epochs, communicator } = planned;
  const isShared = communicator.size > 1;
  const hooks = communicator.rank === 0 ? given : withoutReports(given);
  const identity = hooks.checkpoints || hooks.resume || isShared ? await trainingIdentity(planned) : {};
  if (isShared) await assertEqualRanks(communicator, { ...identity, step: hooks.resume?.state.steps ?? 0 });
  if (hooks.resume) assertSameTraining(identity, hooks.resume.identity);
  const stepsPerEpoch = planned.batches.batchesPerEpoch;
  const start = { network, batchSize, epochs, stepsPerEpoch };
  // Nothing has been done yet where the classifier was to be trained first.
  const resume = hooks.resume?.phase === "head" ? undefined : hooks.resume;
  if (!resume) await hooks.onStart?.(start);
  const plan = resume ? planned : await afterHead(planned, identity, hooks);
  const prepared = withStatisticsFor(network, stepsPerEpoch);
  const tensors = tensorsOfFirstRank(communicator, resume?.state.tensors ?? plan.weights);
  const step = await (resume
    ? TrainingStep.restore(prepared, { ...resume.state, tensors }, plan.step)
    : TrainingStep.create(prepared, tensors, plan.step));
  try {
    const run = new TrainingRun(plan, identity, step, { ...hooks, resume });
    if (resume) await hooks.onStart?.({ ...start, soFar: run.result(false) });
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
  { head: hooks, resume, checkpoints, signal }: TrainingHooks,
): Promise<TrainingPlan> {
  const { network, batches, batchSize, head } = plan;
  const specs = networkWeights(network);
  const weights = resume
    ? new Map(specs.map((spec) => [spec.name, fromEngineLayout(spec, resume.state.tensors.get(spec.name)!)]))
    : plan.weights;
  const begun = { ...plan, weights };
  if (head === undefined || !hasOpenHead(plan)) return begun;
  if (checkpoints && !resume) {
    await checkpoints.save({
      identity,
      phase: "head",
      isOver: false,
      epoch: RunningEpoch.begin(0, 0, batches.batchesPerEpoch, batchSize).state(),
      state: initialState(specs.map(weightEntry), weights),
      history: [],
      skipped: [],
      validationSkipped: [],
    });
  }
  return { ...begun, weights: await trainHead(begun, head, { ...hooks, signal }) };
}

/** For ranks that take part but have nothing to say. */
function withoutReports({ onStart, onProgress, onEpoch, checkpoints, ...rest }: TrainingHooks): TrainingHooks {
  return { ...rest, ...(checkpoints && { checkpoints: { ...checkpoints, save: async () => {} } }) };
}
