import { AbortedError } from "../base/errors.ts";
import type { Communicator } from "../base/platform.ts";
import type { EpochRecord, Evaluation, SkippedFile } from "../base/records.ts";
import { classesOf } from "../data/dataset.ts";
import type { Weights } from "../graph/initialize.ts";
import { type EvaluationResult, evaluateBatches, isSoftmax } from "../tasks/evaluate/evaluate.ts";
import { deriveSeed } from "../tensor/random.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import type { BestWeights, Checkpoint, TrainingIdentity } from "./checkpoint.ts";
import { CheckpointKeeper } from "./checkpoint-keeper.ts";
import { countRight, RunningEpoch } from "./epoch.ts";
import type { TrainingPlan } from "./prepare.ts";
import { filesOnce, gatherRanks, inStep, onAnyRank, skippedByRanks, totalOfRanks } from "./ranks/ranks.ts";
import type { TrainingHooks, TrainingResult } from "./request.ts";
import { assertFiniteWeights, throwBrokenStep } from "./step/training-diagnosis.ts";
import type { StepResult, TrainingStep } from "./step/training-step.ts";
import { Validation } from "./validation.ts";

/** The loop over epochs, and what it has reached. */
export class TrainingRun {
  readonly #plan: TrainingPlan;
  readonly #identity: TrainingIdentity;
  readonly #step: TrainingStep;
  readonly #hooks: TrainingHooks;
  readonly #history: EpochRecord[];
  readonly #skipped: SkippedFiles;
  readonly #keeper: CheckpointKeeper | undefined;
  readonly #validation: Validation;
  #best: BestWeights | undefined;
  #epoch: RunningEpoch;
  #validationSeconds = 0;
  #isStopped = false;

  constructor(plan: TrainingPlan, identity: TrainingIdentity, step: TrainingStep, hooks: TrainingHooks) {
    const { checkpoints, resume } = hooks;
    this.#plan = plan;
    this.#identity = identity;
    this.#step = step;
    this.#hooks = hooks;
    this.#history = [...(resume?.history ?? [])];
    this.#best = resume?.best;
    this.#skipped = new SkippedFiles(plan, resume);
    this.#validation = new Validation(plan);
    const { communicator } = plan;
    const { batchesPerEpoch: stepsPerEpoch } = plan.batches;
    this.#epoch = new RunningEpoch(resume?.epoch ?? { stepsPerEpoch }, this.#samplesPerStep, communicator.rank);
    const start = { epoch: this.#epoch.state(), state: step.state() };
    this.#keeper = checkpoints && new CheckpointKeeper(checkpoints, start, () => this.#checkpoint(), communicator);
  }

  async run(): Promise<TrainingResult> {
    try {
      while (!this.#isOver()) {
        this.#stopIfAborted();
        await this.#trainEpoch();
        await this.#endEpoch();
        const isLast = this.#isOver();
        await (isLast ? this.#keeper?.save() : this.#keeper?.saveIfDue(this.#step.steps, true));
      }
    } catch (error) {
      const isStopped = this.#isStopped || this.#hooks.signal?.aborted;
      if (!(error instanceof AbortedError && isStopped)) throw error;
      this.#skipped.exchange(this.#plan.communicator);
      await this.#keeper?.save();
      await this.#step.fetch();
      return this.result(true);
    }
    return this.result(false);
  }

  /** After the last epoch, or when too many of them tested no better than the best. */
  #isOver(): boolean {
    const { epochs, patience = Infinity } = this.#plan;
    const done = this.#epoch.index;
    return done >= epochs || (this.#best !== undefined && done - this.#best.epoch >= patience);
  }

  /** Of all ranks together. */
  get #samplesPerStep(): number {
    return this.#plan.batchSize * this.#plan.communicator.size;
  }

  /** What is tested and handed out. */
  #weights(): Weights {
    return this.#step.weights(this.#isAveraged);
  }

  get #isAveraged() {
    return { averaged: this.#plan.step.averageDecay !== undefined };
  }

  /** The batches of the epoch that are left. */
  async #trainEpoch(): Promise<void> {
    const { batches, dataset, learningRate, schedule, epochs, seed, communicator } = this.#plan;
    const { signal } = this.#hooks;
    const epoch = this.#epoch;
    const totalSteps = epoch.stepsBefore + (epochs - epoch.index) * epoch.stepsPerEpoch;
    const validationLosses = this.#history.flatMap(({ validationLoss }) => validationLoss ?? []);
    // Several ranks stop together, between two steps.
    const pass = { start: epoch.position, ...(signal && communicator.size === 1 && { signal }) };
    for await (const batch of inStep(communicator, batches.trainingBatches(epoch.index, pass))) {
      const { steps } = this.#step;
      const samples = steps * this.#samplesPerStep;
      const rate = learningRate * schedule({ step: steps, totalSteps, epoch: epoch.index, samples, validationLosses });
      const step = steps + 1 - epoch.stepsBefore;
      const input = {
        images: batch.images,
        targets: batch.targets,
        ...(batch.sampleWeights && { sampleWeights: batch.sampleWeights }),
        learningRate: rate,
        seed: deriveSeed(seed, "dropout", steps, ...(communicator.rank === 0 ? [] : [communicator.rank])),
        health: isHealthStep(step, epoch.stepsPerEpoch, this.#plan.healthSteps),
      };
      const result = await this.#step.run(input);
      const { loss, logits, isSound } = result;
      if (!isSound) {
        const found = await this.#step.diagnose(input);
        const fault = gatherRanks(communicator, found ? { ...found } : null).find((each) => each !== null);
        throwBrokenStep(`epoch ${epoch.index + 1}, step ${step}`, loss, fault, this.#plan);
      }
      const truths = Array.from(batch.indices, (index) => classesOf(dataset.samples[index]!));
      const right = totalOfRanks(communicator, countRight(logits.data, truths));
      epoch.tally.add(loss, this.#samplesPerStep, right);
      epoch.pace.countStep();
      epoch.position = batch.nextPosition;
      epoch.learningRate = rate;
      await this.#report(step, result);
      await nextTurn();
      this.#stopIfAborted();
      await this.#keeper?.saveIfDue(this.#step.steps, false);
    }
  }

  /** Tests the weights, writes the epoch down and begins the next one. */
  async #endEpoch(): Promise<void> {
    const { index, stepsBefore, tally, pace, learningRate } = this.#epoch;
    const { steps } = this.#step;
    await this.#step.fetch();
    const tensors = this.#step.tensors(this.#isAveraged);
    // No later loss would show that the last step broke the weights.
    assertFiniteWeights(tensors, `end of epoch ${index + 1}`, this.#plan);
    const trainingSeconds = pace.seconds;
    const test = await this.#validate(tensors);
    const { imagesPerSecond, seconds } = pace;
    if (test) this.#validationSeconds = seconds - trainingSeconds;
    if (test && (!this.#best || isBetter(test.evaluation, this.#best.test.evaluation))) {
      this.#best = { weights: this.#weights(), epoch: index + 1, steps, test };
    }
    this.#skipped.exchange(this.#plan.communicator);
    this.#history.push({
      epoch: index + 1,
      loss: tally.loss,
      accuracy: tally.accuracy,
      ...(test && recordOf(test.evaluation)),
      learningRate,
      imagesPerSecond,
      seconds,
    });
    await this.#hooks.onEpoch?.(this.result(false));
    // Without its test the epoch is not over: resuming starts with it.
    if (this.#plan.validation && !test) this.#stopIfAborted();
    const next = { index: index + 1, stepsBefore: steps, stepsPerEpoch: steps - stepsBefore };
    this.#epoch = new RunningEpoch(next, this.#samplesPerStep);
  }

  /** Tests the weights on the validation images; undefined without any, or when it was stopped meanwhile. */
  async #validate(tensors: ReadonlyMap<string, FloatTensor>): Promise<EvaluationResult | undefined> {
    const { network, validation, communicator, mapWeights } = this.#plan;
    const { signal } = this.#hooks;
    if (!validation) return undefined;
    const { answer, dispose } = await this.#validation.load(tensors);
    const { batches, dataset } = validation;
    try {
      return await evaluateBatches(answer, batches, dataset, {
        signal,
        mapWeights,
        communicator,
        temperature: isSoftmax(network),
      });
    } catch (error) {
      if (error instanceof AbortedError) return undefined;
      throw error;
    } finally {
      await dispose();
    }
  }

  async #report(step: number, { loss: stepLoss, health }: StepResult): Promise<void> {
    const { epochs } = this.#plan;
    const { index, stepsPerEpoch, tally, pace, learningRate } = this.#epoch;
    const epochsAfter = epochs - index - 1;
    const stepsLeft = epochsAfter * stepsPerEpoch + stepsPerEpoch - step;
    await this.#hooks.onProgress?.({
      epoch: index + 1,
      epochs,
      step,
      steps: stepsPerEpoch,
      totalSteps: this.#step.steps,
      stepLoss,
      loss: tally.loss,
      accuracy: tally.accuracy,
      learningRate,
      imagesPerSecond: pace.imagesPerSecond,
      secondsLeft: pace.secondsFor(stepsLeft) + (epochsAfter + 1) * this.#validationSeconds,
      ...(health && { health }),
    });
  }

  /** What has been reached so far. */
  result(aborted: boolean): TrainingResult {
    const { network, architecture, labels, preprocessing } = this.#plan;
    const reached: Omit<BestWeights, "test"> & Partial<BestWeights> = this.#best ?? {
      weights: this.#weights(),
      epoch: this.#history.length,
      steps: this.#step.steps,
    };
    const { weights, epoch, steps: stepsOfWeights, test } = reached;
    return {
      network,
      architecture,
      labels,
      preprocessing,
      weights,
      epoch,
      stepsOfWeights,
      history: [...this.#history],
      steps: this.#step.steps,
      ...(test && { evaluation: test.evaluation, predictions: test.predictions }),
      skipped: this.#skipped.training,
      validationSkipped: this.#skipped.validation,
      aborted,
    };
  }

  async #checkpoint(): Promise<Checkpoint> {
    await this.#step.fetch();
    const { communicator } = this.#plan;
    this.#skipped.exchange(communicator);
    const positions = gatherRanks(communicator, this.#epoch.position);
    const epoch = { ...this.#epoch.state(), ...(communicator.size > 1 && { positions }) };
    const state = this.#step.state();
    assertFiniteWeights(state.tensors, `epoch ${epoch.index + 1}, step ${epoch.tally.steps}`, this.#plan);
    return {
      identity: this.#identity,
      phase: "network",
      isOver: this.#isOver(),
      epoch,
      state,
      history: this.#history.slice(0, epoch.index),
      best: this.#best,
      skipped: this.#skipped.training,
      validationSkipped: this.#skipped.validation,
    };
  }

  /** All ranks stop where one is to. */
  #stopIfAborted(): void {
    const { signal } = this.#hooks;
    this.#isStopped = onAnyRank(this.#plan.communicator, signal?.aborted === true);
    if (!this.#isStopped) return;
    throw new AbortedError({ where: "training", what: "it was stopped by the caller", cause: signal?.reason });
  }
}

function recordOf({ loss, top1, meanAveragePrecision }: Evaluation) {
  return {
    validationLoss: loss,
    validationAccuracy: top1,
    ...(meanAveragePrecision !== undefined && { validationPrecision: meanAveragePrecision }),
  };
}

function isBetter(a: Evaluation, b: Evaluation): boolean {
  if (a.meanAveragePrecision !== b.meanAveragePrecision) {
    return (a.meanAveragePrecision ?? 0) > (b.meanAveragePrecision ?? 0);
  }
  return a.top1 > b.top1 || (a.top1 === b.top1 && a.loss < b.loss);
}

/** Whether a step of an epoch, from 1, ends one of `count` equal parts of it. */
function isHealthStep(step: number, stepsPerEpoch: number, count: number): boolean {
  const partsAfter = (steps: number) => Math.floor((steps * count) / stepsPerEpoch);
  return partsAfter(step) > partsAfter(step - 1);
}

/** The engine keeps the JavaScript thread busy; between two steps, timers, signals and decoded images get their turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}

/**
 * The images of a training that could not be used: those that were found so now, and before it was resumed; and by other
 * ranks, as far as it has heard from them.
 */
class SkippedFiles {
  readonly #plan: Pick<TrainingPlan, "dataset" | "batches" | "validation">;
  #before: Pick<Checkpoint, "skipped" | "validationSkipped"> | undefined;

  constructor(
    plan: Pick<TrainingPlan, "dataset" | "batches" | "validation">,
    before: Pick<Checkpoint, "skipped" | "validationSkipped"> | undefined,
  ) {
    this.#plan = plan;
    this.#before = before;
  }

  /** Tells all ranks what each has found. */
  exchange(communicator: Communicator): void {
    if (communicator.size === 1) return;
    const { dataset, validation } = this.#plan;
    this.#before = {
      skipped: skippedByRanks(communicator, dataset, this.training),
      validationSkipped: skippedByRanks(communicator, (validation ?? this.#plan).dataset, this.validation),
    };
  }

  get training(): readonly SkippedFile[] {
    const { dataset, batches } = this.#plan;
    return filesOnce(dataset, this.#before?.skipped ?? [], batches.skipped);
  }

  get validation(): readonly SkippedFile[] {
    const { validation } = this.#plan;
    if (!validation) return [];
    return filesOnce(validation.dataset, this.#before?.validationSkipped ?? [], validation.batches.skipped);
  }
}
