import { assertOption, type Kind } from "../kinds.ts";

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
export function assertScheduleOption(
  option: string,
  value: unknown,
  allowed: Pick<Kind<unknown>, "accept" | "expected">,
) {
  assertOption(`schedule option "${option}"`, value, allowed);
}
