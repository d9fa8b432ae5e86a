import { assertOption, choice, type Kind, number, wholeNumber } from "../base/kinds.ts";

/** Where training stands when a schedule is asked. */
export interface SchedulePosition {
  /** Steps done before this one: 0 for the first. */
  readonly step: number;
  /** Steps of the whole training, as far as is known by now: damaged images, once found, make it fewer. */
  readonly totalSteps: number;
  /** Epochs done before this one: 0 in the first. */
  readonly epoch: number;
  /** Images seen in the steps before this one, repeated ones counted again. */
  readonly samples: number;
  /** Loss on the validation images after each epoch done; empty where there are no such images. */
  readonly validationLosses: readonly number[];
}

/**
 * How the learning rate changes over the training: the share of its highest value at a step, from 0 to 1. A schedule
 * remembers nothing: the same position gives the same rate, so a resumed training needs only its history.
 */
export type Schedule = (position: SchedulePosition) => number;

/** Checks an option of a schedule. @throws {UsageError} it is not one of the values allowed. */
function assertScheduleOption(option: string, value: unknown, allowed: Pick<Kind<unknown>, "accept" | "expected">) {
  assertOption(`schedule option "${option}"`, value, allowed);
}

const factors = number({ above: 0, to: 1 });
const counts = wholeNumber({ from: 1 });

export interface ExponentialOptions {
  /** What the rate is multiplied by, 0 < factor ≤ 1; default 0.94, the paper's on ImageNet. */
  readonly factor?: number;
  /** After how many epochs each time; default 2, the paper's on ImageNet. */
  readonly everyEpochs?: number;
  /** After how many images each time, instead of epochs; the paper's 3,000,000 on JFT. */
  readonly everySamples?: number;
}

/**
 * Falls by a factor every few epochs, as when the paper trained on ImageNet, or every so many samples, as on JFT; between
 * two falls it stays.
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

export interface StepOptions {
  /** What the rate is multiplied by, 0 < factor ≤ 1; default 0.1. */
  readonly factor?: number;
  /** After which epochs, counted from 1; default none. */
  readonly afterEpochs?: readonly number[];
}

/**
 * Falls by a factor after each of the epochs named. Equals PyTorch's MultiStepLR.
 * @throws {UsageError} an option is out of its range.
 */
export function stepDecay({ factor = 0.1, afterEpochs = [] }: StepOptions = {}): Schedule {
  assertScheduleOption("factor", factor, factors);
  for (const after of afterEpochs) assertScheduleOption("afterEpochs", after, counts);
  return ({ epoch }) => factor ** afterEpochs.filter((after) => epoch >= after).length;
}

export interface PlateauOptions {
  /** What the rate is multiplied by, 0 < factor ≤ 1; default 0.1. */
  readonly factor?: number;
  /** After how many epochs in a row without a loss lower than all before, from 1; default 5. */
  readonly patience?: number;
}

/**
 * Falls by a factor whenever the validation loss has found no new lowest value for some epochs, and then waits as long
 * again. Equals Keras's ReduceLROnPlateau with `min_delta=0`.
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

/** How the learning rate can change, by name. */
export type ScheduleName = "constant" | "exponential" | "step" | "cosine" | "one-cycle" | "plateau";

/** What the schedules can be told; each takes what it knows and leaves the rest. */
export interface ScheduleOptions extends OneCycleOptions {
  /** What exponential, step and plateau multiply the rate by. */
  readonly factor?: number;
  /** Exponential: after how many epochs each time. */
  readonly everyEpochs?: number;
  /** Exponential: after how many samples each time, instead of epochs. */
  readonly everySamples?: number;
  /** Step: after which epochs. */
  readonly afterEpochs?: readonly number[];
  /** Plateau: after how many epochs without a lower validation loss. */
  readonly patience?: number;
}

/**
 * The schedule of a name.
 * @throws {UsageError} an unknown name, or an option out of its range.
 */
export function createSchedule(name: ScheduleName, options: ScheduleOptions = {}): Schedule {
  assertScheduleOption("name", name, choice(...(Object.keys(schedules) as [string, ...string[]])));
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

/** The same rate from beginning to end. */
export const constantRate: Schedule = () => 1;

/**
 * Rises in a straight line, then falls along half a cosine towards 0, which the step after the last would reach.
 * @param options.warmup share of the steps that the rise takes, 0 ≤ warmup < 1; default 0.05.
 * @throws {UsageError} the share is out of its range.
 * @see https://arxiv.org/abs/1608.03983 without its restarts
 */
export function cosineDecay({ warmup = 0.05 }: { readonly warmup?: number } = {}): Schedule {
  assertScheduleOption("warmup", warmup, number({ from: 0, below: 1 }));
  return ({ step, totalSteps }) => {
    const rise = Math.floor(warmup * totalSteps);
    // The first step is one of the rise, not a wasted one at 0.
    return step < rise ? (step + 1) / rise : between(1, 0, (step - rise) / (totalSteps - rise));
  };
}

export interface OneCycleOptions {
  /** Share of the steps that the rise takes, 0 ≤ warmup < 1; default 0.3. */
  readonly warmup?: number;
  /** The highest rate divided by the first; default 25. */
  readonly initialDivisor?: number;
  /** The first rate divided by the last; default 10,000. */
  readonly finalDivisor?: number;
}

/**
 * Rises along half a cosine to the highest rate and falls along another to nearly 0 at the last step. Equals PyTorch's
 * OneCycleLR with its defaults, but for the momentum, which stays as it is.
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
    // A training of few steps has no room for a rise and starts at the top.
    const top = Math.max(0, warmup * totalSteps - 1);
    if (step < top) return between(first, 1, step / top);
    return step === top ? 1 : between(1, first / finalDivisor, (step - top) / (totalSteps - 1 - top));
  };
}

/** Along half a cosine from `start` to `end`, at `progress` 0 … 1, where it stays. */
function between(start: number, end: number, progress: number): number {
  return end + ((start - end) * (1 + Math.cos(Math.PI * Math.min(progress, 1)))) / 2;
}
