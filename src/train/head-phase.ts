import { AbortedError } from "../base/errors.ts";
import { assertAllowed } from "../base/kinds.ts";
import { classesOf, type ImageDataset } from "../data/dataset.ts";
import { targetsOf } from "../data/labels.ts";
import { weightOf } from "../data/sample-weights.ts";
import { epochOrder } from "../data/sampling.ts";
import type { Weights } from "../graph/initialize.ts";
import { networkWeights } from "../graph/network.ts";
import { cosineDecay } from "../learning/schedules.ts";
import { partAfter } from "../models/layer-list.ts";
import { topIndex } from "../models/parts.ts";
import { deriveSeed } from "../tensor/random.ts";
import { floatTensor } from "../tensor/tensor.ts";
import { countRight, EpochTally, nextTurn } from "./epoch.ts";
import { type Features, frozenFeatures } from "./frozen-features.ts";
import type { HeadPhase, TrainingPlan } from "./prepare.ts";
import type { HeadHooks, TrainingHooks } from "./request.ts";
import { throwBrokenStep } from "./step/training-diagnosis.ts";
import { TrainingStep } from "./step/training-step.ts";

const largestBatch = 32;
const usualRate = 0.001;

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
  const rows = featureRows(plan.dataset, features);
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
        deriveSeed(plan.seed, "head"),
        epoch,
      );
      tally = new EpochTally();
      await nextTurn();
      for (let at = 0; at < stepsPerEpoch; at++) {
        throwIfAborted(hooks.signal);
        const chosen = indices.subarray(at * batchSize, (at + 1) * batchSize);
        const members = Array.from(chosen, (row) => rows.samples[row]!);
        const samples = step.steps * batchSize;
        const rate = learningRate * schedule({ step: step.steps, totalSteps, epoch, samples, validationLosses: [] });
        const input = {
          images: rowsOf(features, chosen),
          targets: targetsOf(members, plan.labels.length, plan.presentation.labelSmoothing ?? 0),
          ...(isWeighted && { sampleWeights: weightsOf(members, plan) }),
          learningRate: rate,
          seed: deriveSeed(plan.seed, "head dropout", step.steps),
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

/** Each row of the features as a sample, drawn like images. */
function featureRows({ classes, samples }: ImageDataset, features: Features): ImageDataset {
  return { classes, samples: Array.from(features.samples, (index) => samples[index]!) };
}

function rowsOf({ values }: Features, rows: Uint32Array) {
  const channels = values.shape[1]!;
  const data = new Float32Array(rows.length * channels);
  for (const [place, row] of rows.entries()) {
    data.set(values.data.subarray(row * channels, (row + 1) * channels), place * channels);
  }
  return floatTensor([rows.length, channels], data);
}

function weightsOf(members: ImageDataset["samples"], { presentation }: TrainingPlan) {
  return floatTensor(
    [members.length],
    Float32Array.from(members, (sample) => weightOf(sample, presentation.classWeights)),
  );
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new AbortedError({ where: "training of the head", what: "it was stopped by the caller", cause: signal.reason });
}

/** Returns true if any weight of the head trains. */
export function hasOpenHead({ network, step }: TrainingPlan): boolean {
  const top = topIndex(network) ?? network.layers.length;
  const specs = networkWeights({ ...network, layers: network.layers.slice(top) });
  return specs.some((spec) => spec.trainable && (step.trainable?.(spec) ?? true));
}
