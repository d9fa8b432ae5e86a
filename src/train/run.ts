import { AbortedError } from "../base/errors.ts";
import type { EpochRecord, Evaluation } from "../base/records.ts";
import { classesOf } from "../data/dataset.ts";
import { calibrationOf, withTemperature } from "../model/temperature.ts";
import { type EvaluationResult, evaluateBatches, isSoftmax } from "../tasks/evaluate/evaluate.ts";
import { deriveSeed } from "../tensor/random.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import type { BestWeights, Checkpoint, TrainingIdentity } from "./checkpoint.ts";
import { checkpointKeeper } from "./checkpoint-keeper.ts";
import { countRight, nextTurn, runningEpoch } from "./epoch.ts";
import type { TrainingPlan } from "./prepare.ts";
import { filesOnce, gatherRanks, inStep, onAnyRank, skippedByRanks, totalOfRanks } from "./ranks/ranks.ts";
import type { TrainingHooks, TrainingResult } from "./request.ts";
import { assertFiniteWeights, throwBrokenStep } from "./step/training-diagnosis.ts";
import type { StepResult, TrainingStep } from "./step/training-step.ts";
import { Validation } from "./validation.ts";

type SkippedImages = Pick<Checkpoint, "skipped" | "validationSkipped">;

/** The training loop and its state. */
export class TrainingRun {
  readonly #plan: TrainingPlan;
  readonly #identity: TrainingIdentity;
  readonly #step: TrainingStep;
  readonly #hooks: TrainingHooks;
  readonly #history: EpochRecord[];
  readonly #keeper: ReturnType<typeof checkpointKeeper> | undefined;
  readonly #validation: Validation;
  #best: BestWeights | undefined;
  #epoch: ReturnType<typeof runningEpoch>;
  #validationSeconds = 0;
  #isStopped = false;
  /** Skipped before the run was resumed, or by other ranks. */
  #skippedBefore: SkippedImages | undefined;

  constructor(plan: TrainingPlan, identity: TrainingIdentity, step: TrainingStep, hooks: TrainingHooks) {
    const { checkpoints, resume } = hooks;
    this.#plan = plan;
    this.#identity = identity;
    this.#step = step;
    this.#hooks = hooks;
    this.#history = [...(resume?.history ?? [])];
    this.#best = resume?.best;
    this.#skippedBefore = resume;
    this.#validation = new Validation(plan);
    const { communicator } = plan;
    const { batchesPerEpoch: stepsPerEpoch } = plan.batches;
    this.#epoch = runningEpoch(resume?.epoch ?? { stepsPerEpoch }, this.#samplesPerStep, communicator.rank);
    const start = { epoch: this.#epoch.state(), state: step.state() };
    this.#keeper = checkpoints && checkpointKeeper(checkpoints, start, () => this.#checkpoint(), communicator);
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
      this.#exchangeSkipped();
      await this.#keeper?.save();
      await this.#step.fetch();
      return this.result(true);
    }
    return this.result(false);
  }

  /** True after the last epoch, or after too many without an improvement. */
  #isOver(): boolean {
    const { epochs, patience } = this.#plan.settings;
    const done = this.#epoch.index;
    return done >= epochs || (this.#best !== undefined && done - this.#best.epoch >= (patience ?? Infinity));
  }

  get #samplesPerStep(): number {
    return this.#plan.batchSize * this.#plan.communicator.size;
  }

  /** Weights to validate and return are averaged, if an average is kept. */
  get #isAveraged() {
    return { averaged: this.#plan.step.averageDecay !== undefined };
  }

  async #trainEpoch(): Promise<void> {
    const { batches, dataset, learningRate, schedule, settings, communicator } = this.#plan;
    const { epochs, seed } = settings;
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
        views: batch.views,
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
      epoch.countStep();
      epoch.position = batch.nextPosition;
      epoch.learningRate = rate;
      await this.#report(step, result);
      await nextTurn();
      this.#stopIfAborted();
      await this.#keeper?.saveIfDue(this.#step.steps, false);
    }
  }

  /** Validates the weights, records the epoch and starts the next one. */
  async #endEpoch(): Promise<void> {
    const { index, stepsBefore, tally, learningRate } = this.#epoch;
    const { steps } = this.#step;
    await this.#step.fetch();
    const tensors = this.#step.tensors(this.#isAveraged);
    // No later loss would reveal that the last step broke the weights.
    assertFiniteWeights(tensors, `end of epoch ${index + 1}`, this.#plan);
    const trainingSeconds = this.#epoch.seconds;
    const validated = await this.#validate(tensors);
    const { imagesPerSecond, seconds } = this.#epoch;
    const precision = validated?.evaluation.meanAveragePrecision;
    if (validated) this.#validationSeconds = seconds - trainingSeconds;
    if (
      validated &&
      (this.#plan.settings.keep === "last" || !this.#best || isBetter(validated.evaluation, this.#best.test.evaluation))
    ) {
      this.#best = { weights: this.#step.weights(this.#isAveraged), epoch: index + 1, steps, test: validated };
    }
    this.#exchangeSkipped();
    this.#history.push({
      epoch: index + 1,
      loss: tally.loss,
      accuracy: tally.accuracy,
      ...(validated && { validationLoss: validated.evaluation.loss, validationAccuracy: validated.evaluation.top1 }),
      ...(precision !== undefined && { validationPrecision: precision }),
      learningRate,
      imagesPerSecond,
      seconds,
    });
    await this.#hooks.onEpoch?.(this.result(false));
    // An epoch without its validation is incomplete: a resumed run starts with it.
    if (this.#plan.validation && !validated) this.#stopIfAborted();
    const next = { index: index + 1, stepsBefore: steps, stepsPerEpoch: steps - stepsBefore };
    this.#epoch = runningEpoch(next, this.#samplesPerStep);
  }

  /** Returns undefined without validation images, or if stopped meanwhile. */
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
    const { epochs } = this.#plan.settings;
    const epoch = this.#epoch;
    const { index, stepsPerEpoch, tally, learningRate } = epoch;
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
      imagesPerSecond: epoch.imagesPerSecond,
      secondsLeft: epoch.secondsFor(stepsLeft) + (epochsAfter + 1) * this.#validationSeconds,
      ...(health && { health }),
    });
  }

  /** The result so far. */
  result(aborted: boolean): TrainingResult {
    const { network, architecture, labels, preprocessing, settings } = this.#plan;
    const reached: Omit<BestWeights, "test"> & Partial<BestWeights> = this.#best ?? {
      weights: this.#step.weights(this.#isAveraged),
      epoch: this.#history.length,
      steps: this.#step.steps,
    };
    const { epoch, steps: stepsOfWeights, test: validated } = reached;
    const calibration = settings.temperature && validated ? calibrationOf(validated.evaluation) : undefined;
    const weights = calibration ? withTemperature(network, reached.weights, calibration.temperature) : reached.weights;
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
      ...(validated && { evaluation: validated.evaluation, predictions: validated.predictions }),
      ...(calibration && { calibration }),
      ...this.#skipped,
      aborted,
    };
  }

  async #checkpoint(): Promise<Checkpoint> {
    await this.#step.fetch();
    const { communicator, step } = this.#plan;
    const { quantization } = step;
    this.#exchangeSkipped();
    const positions = gatherRanks(communicator, this.#epoch.position);
    const epoch = { ...this.#epoch.state(), ...(communicator.size > 1 && { positions }) };
    const state = this.#step.state();
    assertFiniteWeights(state.tensors, `epoch ${epoch.index + 1}, step ${epoch.tally.steps}`, this.#plan);
    return {
      identity: this.#identity,
      phase: "network",
      isOver: this.#isOver(),
      epoch,
      activations: quantization && Object.fromEntries(quantization.activations),
      state,
      history: this.#history.slice(0, epoch.index),
      best: this.#best,
      ...this.#skipped,
    };
  }

  /** Unusable images found so far, by this and earlier processes. */
  get #skipped(): SkippedImages {
    const { dataset, batches, validation } = this.#plan;
    const { skipped = [], validationSkipped = [] } = this.#skippedBefore ?? {};
    return {
      skipped: filesOnce(dataset, skipped, batches.skipped),
      validationSkipped: validation ? filesOnce(validation.dataset, validationSkipped, validation.batches.skipped) : [],
    };
  }

  /** Shares the skipped images of each rank with all. */
  #exchangeSkipped(): void {
    const { dataset, validation, communicator } = this.#plan;
    if (communicator.size === 1) return;
    const { skipped, validationSkipped } = this.#skipped;
    this.#skippedBefore = {
      skipped: skippedByRanks(communicator, dataset, skipped),
      validationSkipped: skippedByRanks(communicator, (validation ?? this.#plan).dataset, validationSkipped),
    };
  }

  /** All ranks stop if one does. */
  #stopIfAborted(): void {
    const { signal } = this.#hooks;
    this.#isStopped = onAnyRank(this.#plan.communicator, signal?.aborted === true);
    if (!this.#isStopped) return;
    throw new AbortedError({ where: "training", what: "it was stopped by the caller", cause: signal?.reason });
  }
}

function isBetter(a: Evaluation, b: Evaluation): boolean {
  if (a.meanAveragePrecision !== b.meanAveragePrecision) {
    return (a.meanAveragePrecision ?? 0) > (b.meanAveragePrecision ?? 0);
  }
  return a.top1 > b.top1 || (a.top1 === b.top1 && a.loss < b.loss);
}

/** Returns true if a step of an epoch, from 1, ends one of `count` equal parts of it. */
function isHealthStep(step: number, stepsPerEpoch: number, count: number): boolean {
  const partsAfter = (steps: number) => Math.floor((steps * count) / stepsPerEpoch);
  return partsAfter(step) > partsAfter(step - 1);
}
