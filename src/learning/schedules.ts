import { choice, number } from "../kinds.ts";
import { assertScheduleOption, type Schedule } from "./schedule.ts";
import { exponentialDecay, plateauDecay, stepDecay } from "./schedules-decay.ts";

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
