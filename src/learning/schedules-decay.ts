import { number, wholeNumber } from "../kinds.ts";
import { assertScheduleOption, type Schedule } from "./schedule.ts";

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
