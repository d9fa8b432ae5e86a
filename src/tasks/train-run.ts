import { oneHot } from "../data/labels.ts";
import { AbortedError, TrainingError } from "../errors.ts";
import type { EpochRecord, Evaluation } from "../records.ts";
import { deriveSeed } from "../tensor/random.ts";
import type { Weights } from "../weights/initialize.ts";
import { type EvaluationResult, evaluateBatches } from "./evaluate.ts";
import { inferenceSession } from "./inference.ts";
import type { TrainingResult, TrainOptions } from "./train-options.ts";
import { TrainingPace } from "./train-pace.ts";
import type { TrainingPlan } from "./train-plan.ts";
import { EpochTally } from "./train-tally.ts";
import type { TrainingStep } from "./training-step.ts";

/** The loop over epochs, and what it has reached. */
export class TrainingRun {
  readonly #plan: TrainingPlan;
  readonly #step: TrainingStep;
  readonly #options: TrainOptions;
  readonly #history: EpochRecord[] = [];
  /** Weights of the epoch that validated best. */
  #best: { readonly weights: Weights; readonly epoch: number; readonly test: EvaluationResult } | undefined;
  /** Batches in an epoch: as many as there can be, until the first is over and all damaged pictures are known. */
  #stepsPerEpoch: number;
  #validationSeconds = 0;

  constructor(plan: TrainingPlan, step: TrainingStep, options: TrainOptions) {
    this.#plan = plan;
    this.#step = step;
    this.#options = options;
    this.#stepsPerEpoch = plan.batches.batchesPerEpoch;
  }

  async run(): Promise<TrainingResult> {
    try {
      for (let epoch = 0; epoch < this.#plan.epochs; epoch++) {
        this.#stopIfAborted();
        await this.#runEpoch(epoch);
      }
    } catch (error) {
      if (error instanceof AbortedError && this.#options.signal?.aborted) return this.#result(true);
      throw error;
    }
    return this.#result(false);
  }

  async #runEpoch(epoch: number): Promise<void> {
    const pace = new TrainingPace(this.#plan.batchSize);
    const { tally, learningRate } = await this.#trainEpoch(epoch, pace);
    const weights = this.#step.weights();
    this.#refuseBroken(weights, epoch);
    const trainingSeconds = pace.seconds;
    const test = await this.#validate(weights);
    const { imagesPerSecond, seconds } = pace;
    if (test) this.#validationSeconds = seconds - trainingSeconds;

    if (test && (!this.#best || isBetter(test.evaluation, this.#best.test.evaluation))) {
      this.#best = { weights, epoch: epoch + 1, test };
    }
    this.#history.push({
      epoch: epoch + 1,
      loss: tally.loss,
      accuracy: tally.accuracy,
      ...(test && { validationLoss: test.evaluation.loss, validationAccuracy: test.evaluation.top1 }),
      learningRate,
      imagesPerSecond,
      seconds,
    });
    await this.#options.onEpoch?.(this.#result(false));
    if (this.#plan.validation && !test) this.#stopIfAborted();
  }

  async #trainEpoch(epoch: number, pace: TrainingPace): Promise<{ tally: EpochTally; learningRate: number }> {
    const { batches, batchSize, labels, labelSmoothing, schedule, seed } = this.#plan;
    const { signal } = this.#options;
    const before = this.#step.steps;
    const totalSteps = before + (this.#plan.epochs - epoch) * this.#stepsPerEpoch;
    const validationLosses = this.#history.flatMap(({ validationLoss }) => validationLoss ?? []);
    const tally = new EpochTally();
    let learningRate = 0;
    for await (const batch of batches.trainingBatches(epoch, signal && { signal })) {
      const { steps } = this.#step;
      learningRate =
        this.#plan.learningRate *
        schedule({ step: steps, totalSteps, epoch, samples: steps * batchSize, validationLosses });
      const { loss, logits } = await this.#step.run({
        images: batch.images,
        targets: oneHot(batch.labels, labels.length, labelSmoothing),
        learningRate,
        seed: deriveSeed(seed, "dropout", steps),
      });
      const step = steps + 1 - before;
      if (!Number.isFinite(loss)) this.#refuseDiverged(`epoch ${epoch + 1}, step ${step}`, "the loss", loss);
      tally.add(loss, logits.data, batch.labels);
      pace.countStep();
      this.#report(epoch, step, tally, learningRate, pace);
      await nextTurn();
      this.#stopIfAborted();
    }
    this.#stepsPerEpoch = this.#step.steps - before;
    return { tally, learningRate };
  }

  /** Tests the weights on the validation pictures; undefined without any, or when it was stopped meanwhile. */
  async #validate(weights: Weights): Promise<EvaluationResult | undefined> {
    const { network, preprocessing, validation } = this.#plan;
    const { platform, signal, device } = this.#options;
    if (!validation) return undefined;
    const inference = await inferenceSession(network, weights, preprocessing, platform, { device });
    try {
      return await evaluateBatches(inference, validation.batches, validation.dataset, { signal });
    } catch (error) {
      if (error instanceof AbortedError) return undefined;
      throw error;
    } finally {
      await inference.dispose();
    }
  }

  #report(epoch: number, step: number, { loss, accuracy }: EpochTally, learningRate: number, pace: TrainingPace): void {
    const { epochs } = this.#plan;
    const steps = this.#stepsPerEpoch;
    const epochsAfter = epochs - epoch - 1;
    this.#options.onProgress?.({
      epoch: epoch + 1,
      epochs,
      step,
      steps,
      loss,
      accuracy,
      learningRate,
      imagesPerSecond: pace.imagesPerSecond,
      secondsLeft: pace.secondsFor(epochsAfter * steps + steps - step) + (epochsAfter + 1) * this.#validationSeconds,
    });
  }

  #result(aborted: boolean): TrainingResult {
    const { network, labels, preprocessing, batches, validation } = this.#plan;
    const { weights, epoch, test } = this.#best ?? { weights: this.#step.weights(), epoch: this.#history.length };
    return {
      network,
      labels,
      preprocessing,
      weights,
      epoch,
      history: [...this.#history],
      steps: this.#step.steps,
      ...(test && { evaluation: test.evaluation, predictions: test.predictions }),
      skipped: batches.skipped,
      validationSkipped: validation?.batches.skipped ?? [],
      aborted,
    };
  }

  /** A last step that breaks the weights shows in no loss any more. */
  #refuseBroken(weights: Weights, epoch: number): void {
    for (const [name, { data }] of weights) {
      const broken = data.find((value) => !Number.isFinite(value));
      if (broken !== undefined) this.#refuseDiverged(`end of epoch ${epoch + 1}`, `weight "${name}"`, broken);
    }
  }

  #refuseDiverged(place: string, subject: string, received: number): never {
    const { learningRate } = this.#plan;
    const lower = Number((learningRate / 10).toPrecision(3));
    throw new TrainingError({
      where: `training, ${place}`,
      what: `${subject} is no finite number any more`,
      received,
      remedy: `The steps were too large: use a lower learning rate, e.g. ${lower} instead of ${learningRate}.`,
    });
  }

  #stopIfAborted(): void {
    const { signal } = this.#options;
    if (!signal?.aborted) return;
    throw new AbortedError({ where: "training", what: "it was stopped by the caller", cause: signal.reason });
  }
}

function isBetter(a: Evaluation, b: Evaluation): boolean {
  return a.top1 > b.top1 || (a.top1 === b.top1 && a.loss < b.loss);
}

/** The engine keeps the JavaScript thread busy; between two steps, timers, signals and decoded pictures get their turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}
