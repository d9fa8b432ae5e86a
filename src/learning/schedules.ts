import { UsageError } from "../errors.ts";

/** Where training stands when a schedule is asked. */
export interface SchedulePosition {
  /** Steps done before this one: 0 for the first. */
  readonly step: number;
  /** Steps of the whole training, as far as is known by now: damaged pictures, once found, make it fewer. */
  readonly totalSteps: number;
  /** Epochs done before this one: 0 in the first. */
  readonly epoch: number;
}

/** How the learning rate changes over the training: the share of its highest value at a step, from 0 to 1. */
export type Schedule = (position: SchedulePosition) => number;

export type ScheduleName = "constant" | "cosine" | "one-cycle" | "exponential";

/** The schedule of a name, with its defaults. @throws {UsageError} an unknown name. */
export function createSchedule(name: ScheduleName): Schedule {
  const create = schedules[name];
  if (create) return create();
  throw refusal("name", name, Object.keys(schedules).join(", "));
}

const schedules: Readonly<Record<ScheduleName, () => Schedule>> = {
  constant: () => constantRate,
  cosine: cosineDecay,
  "one-cycle": oneCycle,
  exponential: exponentialDecay,
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
  if (!(warmup >= 0 && warmup < 1)) throw refusal("warmup", warmup, "a number from 0 up to, not including, 1");
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
  if (!(warmup >= 0 && warmup < 1)) throw refusal("warmup", warmup, "a number from 0 up to, not including, 1");
  for (const [name, value] of Object.entries({ initialDivisor, finalDivisor })) {
    if (!(value >= 1)) throw refusal(name, value, "a number of at least 1");
  }
  const first = 1 / initialDivisor;
  return ({ step, totalSteps }) => {
    // A training of few steps has no room for a rise and starts at the top.
    const top = Math.max(0, warmup * totalSteps - 1);
    if (step < top) return between(first, 1, step / top);
    return step === top ? 1 : between(1, first / finalDivisor, (step - top) / (totalSteps - 1 - top));
  };
}

export interface ExponentialOptions {
  /** What the rate is multiplied by, 0 < factor ≤ 1; default 0.94, the paper's. */
  readonly factor?: number;
  /** After how many epochs each time; default 2, the paper's. */
  readonly everyEpochs?: number;
}

/**
 * Falls by a factor every few epochs, as when the paper trained on ImageNet.
 * @throws {UsageError} an option is out of its range.
 * @see https://arxiv.org/abs/1610.02357 section 4.3
 */
export function exponentialDecay({ factor = 0.94, everyEpochs = 2 }: ExponentialOptions = {}): Schedule {
  if (!(factor > 0 && factor <= 1)) throw refusal("factor", factor, "a number above 0, at most 1");
  if (!(Number.isInteger(everyEpochs) && everyEpochs >= 1)) {
    throw refusal("everyEpochs", everyEpochs, "a whole number from 1");
  }
  return ({ epoch }) => factor ** Math.floor(epoch / everyEpochs);
}

/** Along half a cosine from `start` to `end`, at `progress` 0 … 1, where it stays. */
function between(start: number, end: number, progress: number): number {
  return end + ((start - end) * (1 + Math.cos(Math.PI * Math.min(progress, 1)))) / 2;
}

function refusal(option: string, received: unknown, expected: string): UsageError {
  return new UsageError({
    where: `schedule option "${option}"`,
    what: "this value is not allowed",
    received,
    expected,
  });
}
