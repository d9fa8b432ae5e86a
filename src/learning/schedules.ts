import { assertOption, choice, type Kind, number, wholeNumber } from "../base/kinds.ts";

/** Position in the training run at which a schedule is evaluated. */
export interface SchedulePosition {
  /** Steps done before this one: 0 for the first. */
  readonly step: number;
  /** Steps of the whole training run, as far as known: damaged images reduce it once found. */
  readonly totalSteps: number;
  /** Epochs done before this one: 0 in the first. */
  readonly epoch: number;
  /** Images seen in the steps before this one, repeated ones counted again. */
  readonly samples: number;
  /** Validation loss after each completed epoch; empty without validation images. */
  readonly validationLosses: readonly number[];
}

/**
 * A learning-rate schedule: the fraction of the highest rate at a step, from 0 to 1. Schedules are stateless: the same
 * position gives the same rate, so a resumed run needs only its history.
 */
export type Schedule = (position: SchedulePosition) => number;

/** Checks an option of a schedule. @throws {UsageError} the value is not allowed. */
function assertScheduleOption(option: string, value: unknown, allowed: Pick<Kind<unknown>, "accept" | "expected">) {
  assertOption(`schedule option "${option}"`, value, allowed);
}

const factors = number({ above: 0, to: 1 });
const counts = wholeNumber({ from: 1 });

/** Options of exponential decay. */
export interface ExponentialOptions {
  /** Decay factor, 0 < factor ≤ 1; default 0.94, the paper's on ImageNet. */
  readonly factor?: number;
  /** Epochs between decays; default 2, the paper's on ImageNet. */
  readonly everyEpochs?: number;
  /** Samples between decays, instead of epochs; the paper's 3,000,000 on JFT. */
  readonly everySamples?: number;
}

/**
 * Exponential decay in steps: multiplies the rate by a factor every few epochs, as in the paper on ImageNet, or every
 * so many samples, as on JFT.
 * @throws {UsageError} an option is out of its range.
 * @see https://arxiv.org/abs/1610.02357 section 4.2
 */
export function exponentialDecay(options: ExponentialOptions = {}): Schedule {
  const { factor = 0.94, everyEpochs = 2, everySamples } = options;
  assertScheduleOption("factor", factor, factors);
  assertScheduleOption("everyEpochs", everyEpochs, counts);
  if (everySamples === undefined) return ({ epoch }) => factor ** Math.floor(epoch / everyEpochs);
  assertScheduleOption("everySamples", everySamples, counts);
  return ({ samples }) => factor ** Math.floor(samples / everySamples);
}

/** Options of stepwise decay. */
export interface StepOptions {
  /** Decay factor, 0 < factor ≤ 1; default 0.1. */
  readonly factor?: number;
  /** Epochs after which the rate decays, counted from 1; default none. */
  readonly afterEpochs?: readonly number[];
}

/**
 * Multiplies the rate by a factor after each of the given epochs. Same as PyTorch's MultiStepLR.
 * @throws {UsageError} an option is out of its range.
 */
export function stepDecay({ factor = 0.1, afterEpochs = [] }: StepOptions = {}): Schedule {
  assertScheduleOption("factor", factor, factors);
  for (const after of afterEpochs) assertScheduleOption("afterEpochs", after, counts);
  return ({ epoch }) => factor ** afterEpochs.filter((after) => epoch >= after).length;
}

/** Options of decay on a plateau. */
export interface PlateauOptions {
  /** Decay factor, 0 < factor ≤ 1; default 0.1. */
  readonly factor?: number;
  /** Epochs without a new lowest validation loss before the rate decays, from 1; default 5. */
  readonly patience?: number;
}

/**
 * Multiplies the rate by a factor whenever the validation loss has not reached a new minimum for some epochs, then
 * waits as long again. Same as Keras's ReduceLROnPlateau with `min_delta=0`.
 * @throws {UsageError} an option is out of its range.
 */
export function plateauDecay({ factor = 0.1, patience = 5 }: PlateauOptions = {}): Schedule {
  assertScheduleOption("factor", factor, factors);
  assertScheduleOption("patience", patience, counts);
  return ({ validationLosses }) => {
    let lowest = Infinity;
    let waited = 0;
    let falls = 0;
    for (const loss of validationLosses) {
      waited = loss < lowest ? 0 : waited + 1;
      lowest = Math.min(lowest, loss);
      if (waited < patience) continue;
      falls++;
      waited = 0;
    }
    return factor ** falls;
  };
}

/** Learning-rate schedules. */
export const scheduleNames = ["constant", "exponential", "step", "cosine", "one-cycle", "plateau"] as const;
/** Name of a learning-rate schedule. */
export type ScheduleName = (typeof scheduleNames)[number];

/** Options of the schedules; each uses its own and ignores the rest. */
export type ScheduleOptions = OneCycleOptions & ExponentialOptions & StepOptions & PlateauOptions;

/**
 * Creates a schedule by name.
 * @throws {UsageError} the name is unknown, or an option is out of range.
 */
export function createSchedule(name: ScheduleName, options: ScheduleOptions = {}): Schedule {
  assertScheduleOption("name", name, choice(...scheduleNames));
  return schedules[name](options);
}

const schedules: Readonly<Record<ScheduleName, (options: ScheduleOptions) => Schedule>> = {
  constant: () => constantRate,
  exponential: exponentialDecay,
  step: stepDecay,
  cosine: cosineDecay,
  "one-cycle": oneCycle,
  plateau: plateauDecay,
};

/** A constant rate. */
export const constantRate: Schedule = () => 1;

/**
 * Linear warm-up, then cosine decay towards 0, which the step after the last would reach.
 * @param options `warmup`: fraction of the steps used for warm-up, 0 ≤ warmup < 1; default 0.05.
 * @throws {UsageError} the fraction is out of range.
 * @see https://arxiv.org/abs/1608.03983 without its restarts
 */
export function cosineDecay({ warmup = 0.05 }: { readonly warmup?: number } = {}): Schedule {
  assertScheduleOption("warmup", warmup, number({ from: 0, below: 1 }));
  return ({ step, totalSteps }) => {
    const rise = Math.floor(warmup * totalSteps);
    // The first step already has a rate above 0, so that none is wasted.
    return step < rise ? (step + 1) / rise : between(1, 0, (step - rise) / (totalSteps - rise));
  };
}

/** Options of the one-cycle schedule. */
export interface OneCycleOptions {
  /** Fraction of the steps used for warm-up, 0 ≤ warmup < 1; default 0.3. */
  readonly warmup?: number;
  /** The highest rate divided by the first; default 25. */
  readonly initialDivisor?: number;
  /** The first rate divided by the last; default 10,000. */
  readonly finalDivisor?: number;
}

/**
 * One-cycle policy: cosine warm-up to the highest rate, then cosine decay to nearly 0 at the last step. Same as
 * PyTorch's OneCycleLR with its defaults, except that momentum is constant.
 * @throws {UsageError} an option is out of its range.
 * @see https://arxiv.org/abs/1803.09820 and https://arxiv.org/abs/1708.07120
 */
export function oneCycle(options: OneCycleOptions = {}): Schedule {
  const { warmup = 0.3, initialDivisor = 25, finalDivisor = 1e4 } = options;
  assertScheduleOption("warmup", warmup, number({ from: 0, below: 1 }));
  assertScheduleOption("initialDivisor", initialDivisor, number({ from: 1 }));
  assertScheduleOption("finalDivisor", finalDivisor, number({ from: 1 }));
  const first = 1 / initialDivisor;
  return ({ step, totalSteps }) => {
    // A run of few steps has no room for a warm-up and starts at the highest rate.
    const top = Math.max(0, warmup * totalSteps - 1);
    if (step < top) return between(first, 1, step / top);
    return step === top ? 1 : between(1, first / finalDivisor, (step - top) / (totalSteps - 1 - top));
  };
}

/** Cosine interpolation from `start` to `end` at `progress` 0 … 1, clamped at the end. */
function between(start: number, end: number, progress: number): number {
  return end + ((start - end) * (1 + Math.cos(Math.PI * Math.min(progress, 1)))) / 2;
}
