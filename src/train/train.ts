import { AbortedError } from "../base/errors.ts";
import { assertAllowed } from "../base/kinds.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { Network } from "../graph/network.ts";
import { evaluateMatched } from "../tasks/evaluate/evaluate.ts";
import { afterHead } from "./head-phase.ts";
import { prepareTraining, type TrainingPlan } from "./prepare.ts";
import { withActivationLimits } from "./quantization-aware.ts";
import { tensorsOfFirstRank } from "./ranks/ranks.ts";
import type { TrainingHooks, TrainingRequest, TrainingResult } from "./request.ts";
import { TrainingRun } from "./run.ts";
import { TrainingStep } from "./step/training-step.ts";
import { assertEqualRanks, assertSameTraining, trainingIdentity } from "./training-identity.ts";

/**
 * Trains a network on labeled images; with validation images, evaluates it after every epoch and returns the best
 * weights; with test images, evaluates those once at the end. Nothing is written: save the result, or use `onEpoch` and `checkpoints`. If epochs have few steps, moving
 * statistics follow faster than the network's momentum, see `statisticsMomentum`.
 * @throws as {@link prepareTraining} and {@link runTraining}.
 * @example
 * const dataset = folderDataset(await nodePlatform.files.list("photos"));
 * const { weights, history } = await train(dataset, { platform: nodePlatform, epochs: 5 });
 */
export async function train(dataset: ImageDataset, request: TrainingRequest): Promise<TrainingResult> {
  return runTraining(await prepareTraining(dataset, request), request);
}

/**
 * Carries out a prepared training run.
 * @throws {UsageError} the checkpoint to resume from is of another run.
 * @throws {DataError} there are too few usable images.
 * @throws {TrainingError} the loss or a weight becomes NaN or infinite.
 */
export async function runTraining(planned: TrainingPlan, given: TrainingHooks = {}): Promise<TrainingResult> {
  const { network, batchSize, communicator } = planned;
  const { epochs } = planned.settings;
  const stepsPerEpoch = planned.batches.batchesPerEpoch;
  const prepared = withStatisticsFor(network, stepsPerEpoch);
  const isShared = communicator.size > 1;
  const hooks = communicator.rank === 0 ? given : withoutReports(given);
  const identity = hooks.checkpoints || hooks.resume || isShared ? await trainingIdentity(planned) : {};
  if (isShared) await assertEqualRanks(communicator, { ...identity, step: hooks.resume?.state.steps ?? 0 });
  if (hooks.resume) {
    const { identity: before, isOver, epoch } = hooks.resume;
    // A complete run can continue for more epochs.
    const isExtended = isOver && epochs > Number(before.epochs);
    assertSameTraining(identity, isExtended ? { ...before, epochs } : before);
    const expected = `an epoch up to the last one, ${epochs}`;
    assertAllowed("train option resume, epoch of the checkpoint", epoch.index + 1, epoch.index <= epochs, expected);
  }
  const start = { network, batchSize, epochs, stepsPerEpoch };
  // A checkpoint from before the head phase starts over.
  const resume = hooks.resume?.phase === "head" ? undefined : hooks.resume;
  if (!resume) await hooks.onStart?.(start);
  const ready = resume ? planned : await afterHead(planned, identity, hooks);
  const plan = await withActivationLimits(ready, { ...hooks, resume });
  const tensors = tensorsOfFirstRank(communicator, resume?.state.tensors ?? plan.weights);
  const step = await (resume
    ? TrainingStep.restore(prepared, { ...resume.state, tensors }, plan.step)
    : TrainingStep.create(prepared, tensors, plan.step));
  let result: TrainingResult;
  try {
    const run = new TrainingRun(plan, identity, step, { ...hooks, resume });
    if (resume) await hooks.onStart?.({ ...start, soFar: run.result(false) });
    result = await run.run();
  } finally {
    await Promise.all([step.dispose(), plan.validation?.preparation.dispose()]);
  }
  return withTest(result, plan, hooks);
}

/** Evaluates the weights of a complete run on the test images, if there are any; on rank 0 alone. */
async function withTest(
  result: TrainingResult,
  { test, step, mapWeights, communicator }: TrainingPlan,
  { signal, onTest: onProgress }: TrainingHooks,
): Promise<TrainingResult> {
  if (test === undefined || result.aborted || communicator.rank !== 0) return result;
  const { platform, session } = step;
  try {
    const options = { platform, session, mapWeights, signal, onProgress };
    return { ...result, test: await evaluateMatched(result, test, options) };
  } catch (error) {
    if (error instanceof AbortedError && signal?.aborted) return { ...result, aborted: true };
    throw error;
  }
}

/** The hooks of ranks other than 0. */
function withoutReports({ onStart, onProgress, onEpoch, checkpoints, ...rest }: TrainingHooks): TrainingHooks {
  return { ...rest, ...(checkpoints && { checkpoints: { ...checkpoints, save: async () => {} } }) };
}

/**
 * Momentum of the moving statistics of batch normalization.
 *
 * Keras's 0.99 is made for epochs of thousands of steps. With 31 steps in an epoch, the network would be validated with
 * nearly initial statistics, and give every image the same class, long after it has learned. So the statistics look back
 * over a third of an epoch, at least 5 steps: everything before the epoch then counts e⁻³, 5 %.
 * @param own the network's momentum, the upper limit.
 */
export function statisticsMomentum(own: number, stepsPerEpoch: number): number {
  return Math.min(own, 1 - 1 / Math.max(5, stepsPerEpoch / 3));
}

/** The same network with the momentum of {@link statisticsMomentum}. */
export function withStatisticsFor(network: Network, stepsPerEpoch: number): Network {
  const layers = network.layers.map((layer) => {
    const { config } = layer;
    if (config.type !== "BatchNormalization") return layer;
    return { ...layer, config: { ...config, momentum: statisticsMomentum(config.momentum, stepsPerEpoch) } };
  });
  return { ...network, layers };
}
