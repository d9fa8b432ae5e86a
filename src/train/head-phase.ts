import { assertNotAborted } from "../base/errors.ts";
import { assertAllowed } from "../base/kinds.ts";
import { classesOf, type ImageDataset } from "../data/dataset.ts";
import { targetsOf } from "../data/labels.ts";
import { weightOf } from "../data/sample-weights.ts";
import { epochOrder } from "../data/sampling.ts";
import { networkWeights } from "../graph/network.ts";
import { fromEngineLayout, type Weights } from "../graph/weights.ts";
import { cosineDecay } from "../learning/schedules.ts";
import { partAfter } from "../models/layer-list.ts";
import { topIndex } from "../models/parts.ts";
import { deriveSeed } from "../tensor/random.ts";
import { floatTensor, selectRows } from "../tensor/tensor.ts";
import type { TrainingIdentity } from "./checkpoint.ts";
import { countRight, EpochTally, nextTurn, runningEpoch } from "./epoch.ts";
import { frozenFeatures } from "./frozen-features.ts";
import type { HeadPhase, TrainingPlan } from "./prepare.ts";
import type { HeadHooks, TrainingHooks } from "./request.ts";
import { throwBrokenStep } from "./step/training-diagnosis.ts";
import { initialState, weightEntry } from "./step/training-state.ts";
import { TrainingStep } from "./step/training-step.ts";

const largestBatch = 32;
const usualRate = 0.001;

/** Trains the head first, if planned. A checkpoint saved before is enough to repeat this phase exactly. */
export async function afterHead(
  plan: TrainingPlan,
  identity: TrainingIdentity,
  { head: hooks, resume, checkpoints, signal }: TrainingHooks,
): Promise<TrainingPlan> {
  const { network, batches, batchSize, head } = plan;
  const specs = networkWeights(network);
  const weights = resume
    ? new Map(specs.map((spec) => [spec.name, fromEngineLayout(spec, resume.state.tensors.get(spec.name)!)]))
    : plan.weights;
  const started = { ...plan, weights };
  if (head === undefined) return started;
  if (checkpoints && !resume) {
    await checkpoints.save({
      identity,
      phase: "head",
      isOver: false,
      epoch: runningEpoch({ stepsPerEpoch: batches.batchesPerEpoch }, batchSize).state(),
      state: initialState(specs.map(weightEntry), weights),
      history: [],
      skipped: [],
      validationSkipped: [],
    });
  }
  return { ...started, weights: await trainHead(started, head, { ...hooks, signal }) };
}

/**
 * Trains only the layers after the last global pooling. The result depends on the plan alone, whether the features are
 * computed or cached. Several ranks compute the features together; rank 0 trains on them.
 * @returns all weights of the network; on other ranks those of the plan.
 * @throws {UsageError} an option is not allowed, or the network has no such pooling.
 * @throws {TrainingError} the loss is NaN or infinite.
 * @throws as `frozenFeatures`.
 */
export async function trainHead(
  plan: TrainingPlan,
  { epochs, views, learningRate }: HeadPhase,
  hooks: HeadHooks & Pick<TrainingHooks, "signal"> = {},
): Promise<Weights> {
  const start = performance.now();
  const top = topIndex(plan.network);
  const expected = "a network with a global pooling before its classifier";
  assertAllowed("train option network", plan.network.name, top !== undefined, expected);
  const features = await frozenFeatures(plan, plan.network.layers[top!]!.name, views, hooks);
  if (features === undefined) return plan.weights;
  const head = partAfter(plan.network, top!);
  // Each row of the features is a sample, drawn like images.
  const { classes, samples: images } = plan.dataset;
  const rows = { classes, samples: Array.from(features.samples, (index) => images[index]!) };
  const batchSize = Math.min(largestBatch, rows.samples.length);
  const { platform, session, optimizer, loss, trainable, decays, clip } = plan.step;
  const { isWeighted } = plan.batches;
  const shared = { platform, session, optimizer, loss, sampleWeights: isWeighted, trainable, decays, clip };
  const step = await TrainingStep.create(head, plan.weights, { ...shared, batchSize });
  const schedule = cosineDecay();
  const stepsPerEpoch = Math.floor(rows.samples.length / batchSize);
  const totalSteps = epochs * stepsPerEpoch;
  let tally = new EpochTally();
  try {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const { indices } = epochOrder(
        rows,
        plan.presentation.sampling ?? "shuffled",
        deriveSeed(plan.settings.seed, "head"),
        epoch,
      );
      tally = new EpochTally();
      await nextTurn();
      for (let at = 0; at < stepsPerEpoch; at++) {
        assertNotAborted(hooks.signal, "training of the head");
        const chosen = indices.subarray(at * batchSize, (at + 1) * batchSize);
        const members = Array.from(chosen, (row) => rows.samples[row]!);
        const samples = step.steps * batchSize;
        const rate = learningRate * schedule({ step: step.steps, totalSteps, epoch, samples, validationLosses: [] });
        const input = {
          images: selectRows(features.values, chosen),
          targets: targetsOf(members, plan.labels.length, plan.presentation.labelSmoothing ?? 0),
          ...(isWeighted && { sampleWeights: weightsOf(members, plan) }),
          learningRate: rate,
          seed: deriveSeed(plan.settings.seed, "head dropout", step.steps),
        };
        const result = await step.run(input);
        if (!result.isSound) {
          const fault = await step.diagnose(input);
          throwBrokenStep(`head, epoch ${epoch + 1}, step ${at + 1}`, result.loss, fault, { learningRate, usualRate });
        }
        tally.add(result.loss, batchSize, countRight(result.logits.data, members.map(classesOf)));
      }
    }
    const seconds = (performance.now() - start) / 1000;
    hooks.onEnd?.({ views: rows.samples.length, loss: tally.loss, accuracy: tally.accuracy, seconds });
    await step.fetch();
    return new Map([...plan.weights, ...step.weights()]);
  } finally {
    await step.dispose();
  }
}

function weightsOf(members: ImageDataset["samples"], { presentation }: TrainingPlan) {
  return floatTensor(
    [members.length],
    Float32Array.from(members, (sample) => weightOf(sample, presentation.classWeights)),
  );
}
