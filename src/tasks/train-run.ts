import { classesOf } from "../data/dataset.ts";
import { AbortedError } from "../errors.ts";
import type { EpochRecord, Evaluation } from "../records.ts";
import { deriveSeed } from "../tensor/random.ts";
import type { Weights } from "../weights/initialize.ts";
import type { BestWeights, Checkpoint, TrainingIdentity } from "./checkpoint.ts";
import { CheckpointKeeper } from "./checkpoint-keeper.ts";
import { type EvaluationResult, evaluateBatches } from "./evaluate.ts";
import { inferenceSession } from "./inference.ts";
import { RunningEpoch } from "./running-epoch.ts";
import { SkippedFiles } from "./skipped-files.ts";
import type { TrainingResult, TrainOptions } from "./train-options.ts";
import type { TrainingPlan } from "./train-plan.ts";
import { refuseBrokenStep, refuseBrokenWeights } from "./train-refusal.ts";
import type { TrainingStep } from "./training-step.ts";

/** The loop over epochs, and what it has reached. */
export class TrainingRun {
  readonly #plan: TrainingPlan;
  readonly #identity: TrainingIdentity;
  readonly #step: TrainingStep;
  readonly #options: TrainOptions;
  readonly #history: EpochRecord[];
  readonly #skipped: SkippedFiles;
  readonly #keeper: CheckpointKeeper | undefined;
  #best: BestWeights | undefined;
  #epoch: RunningEpoch;
  #validationSeconds = 0;

  constructor(plan: TrainingPlan, identity: TrainingIdentity, step: TrainingStep, options: TrainOptions) {
    const { checkpoints, resume } = options;
    this.#plan = plan;
    this.#identity = identity;
    this.#step = step;
    this.#options = options;
    this.#history = [...(resume?.history ?? [])];
    this.#best = resume?.best;
    this.#skipped = new SkippedFiles(plan, resume);
    this.#epoch = resume
      ? RunningEpoch.restore(resume.epoch, plan.batchSize)
      : RunningEpoch.begin(0, 0, plan.batches.batchesPerEpoch, plan.batchSize);
    const start = { epoch: this.#epoch.state(), state: step.state() };
    this.#keeper = checkpoints && new CheckpointKeeper(checkpoints, start, () => this.#checkpoint());
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
      if (!(error instanceof AbortedError && this.#options.signal?.aborted)) throw error;
      await this.#keeper?.save();
      return this.result(true);
    }
    return this.result(false);
  }

  /** After the last epoch, or when too many of them tested no better than the best. */
  #isOver(): boolean {
    const { epochs } = this.#plan;
    const { patience = Infinity } = this.#options;
    const done = this.#epoch.index;
    return done >= epochs || (this.#best !== undefined && done - this.#best.epoch >= patience);
  }

  /** What is tested and handed out. */
  #weights(): Weights {
    return this.#step.weights({ averaged: this.#options.averageDecay !== undefined });
  }

  /** The batches of the epoch that are left. */
  async #trainEpoch(): Promise<void> {
    const { batches, batchSize, dataset, learningRate, schedule, epochs, seed } = this.#plan;
    const { signal } = this.#options;
    const epoch = this.#epoch;
    const totalSteps = epoch.stepsBefore + (epochs - epoch.index) * epoch.stepsPerEpoch;
    const validationLosses = this.#history.flatMap(({ validationLoss }) => validationLoss ?? []);
    const pass = { start: epoch.position, ...(signal && { signal }) };
    for await (const batch of batches.trainingBatches(epoch.index, pass)) {
      const { steps } = this.#step;
      const samples = steps * batchSize;
      const rate = learningRate * schedule({ step: steps, totalSteps, epoch: epoch.index, samples, validationLosses });
      const input = {
        images: batch.images,
        targets: batch.targets,
        ...(batch.sampleWeights && { sampleWeights: batch.sampleWeights }),
        learningRate: rate,
        seed: deriveSeed(seed, "dropout", steps),
      };
      const { loss, logits, isSound } = await this.#step.run(input);
      const step = steps + 1 - epoch.stepsBefore;
      if (!isSound) {
        const fault = await this.#step.diagnose(input);
        refuseBrokenStep(`epoch ${epoch.index + 1}, step ${step}`, loss, fault, learningRate);
      }
      const truths = Array.from(batch.indices, (index) => classesOf(dataset.samples[index]!));
      epoch.tally.add(loss, logits.data, truths);
      epoch.pace.countStep();
      epoch.position = batch.nextPosition;
      epoch.learningRate = rate;
      this.#report(step);
      await nextTurn();
      this.#stopIfAborted();
      await this.#keeper?.saveIfDue(this.#step.steps, false);
    }
  }

  /** Tests the weights, writes the epoch down and begins the next one. */
  async #endEpoch(): Promise<void> {
    const { index, stepsBefore, tally, pace, learningRate } = this.#epoch;
    const { steps } = this.#step;
    const weights = this.#weights();
    // A last step that breaks the weights shows in no loss any more.
    refuseBrokenWeights(weights, `end of epoch ${index + 1}`, this.#plan.learningRate);
    const trainingSeconds = pace.seconds;
    const test = await this.#validate(weights);
    const { imagesPerSecond, seconds } = pace;
    if (test) this.#validationSeconds = seconds - trainingSeconds;
    if (test && (!this.#best || isBetter(test.evaluation, this.#best.test.evaluation))) {
      this.#best = { weights, epoch: index + 1, steps, test };
    }
    this.#history.push({
      epoch: index + 1,
      loss: tally.loss,
      accuracy: tally.accuracy,
      ...(test && { validationLoss: test.evaluation.loss, validationAccuracy: test.evaluation.top1 }),
      learningRate,
      imagesPerSecond,
      seconds,
    });
    await this.#options.onEpoch?.(this.result(false));
    // Without its test the epoch is not over: to go on means to test it.
    if (this.#plan.validation && !test) this.#stopIfAborted();
    this.#epoch = RunningEpoch.begin(index + 1, steps, steps - stepsBefore, this.#plan.batchSize);
  }

  /** Tests the weights on the validation pictures; undefined without any, or when it was stopped meanwhile. */
  async #validate(weights: Weights): Promise<EvaluationResult | undefined> {
    const { network, preprocessing, validation } = this.#plan;
    const { platform, signal, device, mapWeights } = this.#options;
    if (!validation) return undefined;
    const inference = await inferenceSession(network, weights, preprocessing, platform, { device });
    try {
      return await evaluateBatches(inference, validation.batches, validation.dataset, { signal, mapWeights });
    } catch (error) {
      if (error instanceof AbortedError) return undefined;
      throw error;
    } finally {
      await inference.dispose();
    }
  }

  #report(step: number): void {
    const { epochs } = this.#plan;
    const { index, stepsPerEpoch, tally, pace, learningRate } = this.#epoch;
    const epochsAfter = epochs - index - 1;
    const stepsLeft = epochsAfter * stepsPerEpoch + stepsPerEpoch - step;
    this.#options.onProgress?.({
      epoch: index + 1,
      epochs,
      step,
      steps: stepsPerEpoch,
      loss: tally.loss,
      accuracy: tally.accuracy,
      learningRate,
      imagesPerSecond: pace.imagesPerSecond,
      secondsLeft: pace.secondsFor(stepsLeft) + (epochsAfter + 1) * this.#validationSeconds,
    });
  }

  /** What has been reached so far. */
  result(aborted: boolean): TrainingResult {
    const { network, labels, preprocessing } = this.#plan;
    const reached: Omit<BestWeights, "test"> & Partial<BestWeights> = this.#best ?? {
      weights: this.#weights(),
      epoch: this.#history.length,
      steps: this.#step.steps,
    };
    const { weights, epoch, steps: stepsOfWeights, test } = reached;
    return {
      network,
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

  #checkpoint(): Checkpoint {
    const epoch = this.#epoch.state();
    const state = this.#step.state();
    refuseBrokenWeights(state.tensors, `epoch ${epoch.index + 1}, step ${epoch.tally.steps}`, this.#plan.learningRate);
    return {
      identity: this.#identity,
      isOver: this.#isOver(),
      epoch,
      state,
      history: this.#history.slice(0, epoch.index),
      best: this.#best,
      skipped: this.#skipped.training,
      validationSkipped: this.#skipped.validation,
    };
  }

  #stopIfAborted(): void {
    const { signal } = this.#options;
    if (!signal?.aborted) return;
    throw new AbortedError({ where: "training", what: "it was stopped by the caller", cause: signal.reason });
  }
}

function isBetter(a: Evaluation, b: Evaluation): boolean {
  if (a.meanAveragePrecision !== b.meanAveragePrecision) {
    return (a.meanAveragePrecision ?? 0) > (b.meanAveragePrecision ?? 0);
  }
  return a.top1 > b.top1 || (a.top1 === b.top1 && a.loss < b.loss);
}

/** The engine keeps the JavaScript thread busy; between two steps, timers, signals and decoded pictures get their turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}
