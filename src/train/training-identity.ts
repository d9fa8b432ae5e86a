import { sha256 } from "../base/checksums.ts";
import { UsageError } from "../base/errors.ts";
import type { Json } from "../base/json.ts";
import type { Communicator } from "../base/platform.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { networkWeights } from "../graph/network.ts";
import { OpGraphBuilder } from "../graph/op-builder.ts";
import type { Optimizer } from "../learning/optimizers.ts";
import type { Schedule } from "../learning/schedules.ts";
import type { TrainingIdentity } from "./checkpoint.ts";
import type { TrainingPlan } from "./prepare.ts";
import { gatherRanks } from "./ranks/ranks.ts";

/**
 * Everything that must be the same for a resumed run to continue exactly. A schedule is identified by a sample of its values,
 * an optimizer by the constants of its update.
 */
export async function trainingIdentity(plan: TrainingPlan): Promise<TrainingIdentity> {
  const { network, labels, preprocessing, loss, optimizer, learningRate, schedule, settings, batchSize } = plan;
  const { presentation, dataset, validation, test, communicator } = plan;
  return asJson({
    network: { name: network.name, layers: await sha256(JSON.stringify(network.layers)) },
    classes: labels,
    preprocessing,
    loss: loss.name,
    optimizer: identityOfOptimizer(optimizer),
    learningRate,
    schedule: await identityOfSchedule(schedule),
    epochs: settings.epochs,
    ...(await identityOfStep(plan)),
    batchSize,
    ...(communicator.size > 1 && { ranks: communicator.size }),
    ...presentation,
    seed: settings.seed,
    images: await identityOf(dataset),
    validation: validation ? await identityOf(validation.dataset) : null,
    test: test && (await identityOf(test)),
  });
}

/** @throws {UsageError} the two runs differ; the message lists the differences. */
export function assertSameTraining(now: TrainingIdentity, before: TrainingIdentity): void {
  const different = differences(now, before);
  if (different.length === 0) return;
  throw new UsageError({
    where: "train option resume",
    what: `the checkpoint belongs to another run: it differs in ${different.join(", ")}`,
    received: pick(now, different),
    expected: JSON.stringify(pick(before, different)),
    remedy: "Use the options and images it started with, or start a new run without resume.",
  });
}

/** @throws {UsageError} on all ranks, if one has other images or options than rank 0; the message lists the differences. */
export async function assertEqualRanks(communicator: Communicator, identity: TrainingIdentity): Promise<void> {
  const [first, ...others] = gatherRanks(communicator, identity);
  for (const [index, other] of others.entries()) {
    const different = differences(other, first!);
    if (different.length === 0) continue;
    throw new UsageError({
      where: `train option communicator, rank ${index + 1}`,
      what: `it was given another run than rank 0: it differs in ${different.join(", ")}`,
      received: pick(other, different),
      expected: JSON.stringify(pick(first!, different)),
      remedy: "Give all ranks the same options, and the same files under the same paths.",
    });
  }
}

function differences(a: TrainingIdentity, b: TrainingIdentity): readonly string[] {
  const names = [...new Set([...Object.keys(b), ...Object.keys(a)])];
  return names.filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]));
}

function pick(identity: TrainingIdentity, names: readonly string[]): object {
  return Object.fromEntries(names.map((name) => [name, identity[name] ?? null]));
}

/** Options left out have their defaults, so that older checkpoints without them stay valid. */
async function identityOfStep(plan: TrainingPlan) {
  const { network, step, head, settings, mapWeights, communicator, quantizationAware } = plan;
  const { accumulate, recompute, clip, averageDecay, trainable, batchNorm, rateFactor, decays } = step;
  const weights = networkWeights(network);
  const layers = network.layers.filter(({ config }) => config.type === "BatchNormalization");
  const digest = async (values: readonly unknown[] | undefined) => values && (await sha256(JSON.stringify(values)));
  return {
    accumulate,
    synchronizeBatchNormalization: (communicator.size > 1 && step.synchronizeBatchNormalization) || undefined,
    // With channels first, it can change the last digit.
    recompute: recompute || undefined,
    quantizationAware,
    keep: settings.keep === "best" ? undefined : settings.keep,
    patience: settings.patience ?? undefined,
    mapWeights,
    head,
    clip,
    averageDecay: averageDecay && [1, 10, 1000, 1e6].map(averageDecay),
    trainable: await digest(trainable && weights.map(trainable)),
    batchNorm: await digest(batchNorm && layers.map(batchNorm)),
    rateFactor: await digest(rateFactor && weights.map(rateFactor)),
    decays: await digest(decays && weights.map(decays)),
  };
}

async function identityOf({ samples }: ImageDataset) {
  const labeled = samples.map(({ name, label, labels, weight }) => [name, label, labels, weight]);
  return { count: samples.length, files: await sha256(JSON.stringify(labeled)) };
}

/** Momentum, epsilon, weight decay and the like are constants of the update graph. */
function identityOfOptimizer(optimizer: Optimizer) {
  const build = new OpGraphBuilder();
  const input = (name: string, shape = [1]) => build.input(name, shape);
  const scalars = optimizer.scalars(1, 2);
  optimizer.update({
    build,
    parameter: input("parameter"),
    gradient: input("gradient"),
    slots: optimizer.slots.map((slot) => input(slot)),
    scalars: new Map(Object.keys(scalars).map((name) => [name, input(name, [])])),
    decays: true,
  });
  const constants = build.finish().constants.map(({ data }) => Number(data[0]!.toPrecision(7)));
  return { name: optimizer.name, slots: optimizer.slots, scalars, constants };
}

/** Some rates of a run of 200 epochs with a constant validation loss, and a digest of all. */
async function identityOfSchedule(schedule: Schedule) {
  const epochs = [...Array(200).keys()];
  const rates = epochs.map((epoch) => {
    const validationLosses = new Array<number>(epoch).fill(1);
    const steps = { step: 100 * epoch, totalSteps: 100 * epochs.length, samples: 500_000 * epoch };
    // The last digit of a cosine depends on the machine.
    return Number(schedule({ ...steps, epoch, validationLosses }).toPrecision(9));
  });
  return { rates: [0, 1, 20, 100, 199].map((epoch) => rates[epoch]!), digest: await sha256(JSON.stringify(rates)) };
}

/** The value as written to JSON and read again. */
function asJson(value: object): TrainingIdentity {
  return JSON.parse(JSON.stringify(value)) as Readonly<Record<string, Json>>;
}
