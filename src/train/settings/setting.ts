import type { Choice, Kind } from "../../base/kinds.ts";
import type { OptimizerName } from "../../learning/optimizers.ts";
import type { ScheduleName } from "../../learning/schedules.ts";
import type { ArchitectureName } from "../../models/registry.ts";

/** The settings that others' defaults depend on. */
export interface KeySettings {
  readonly architecture: ArchitectureName;
  readonly optimizer: OptimizerName;
  readonly schedule: ScheduleName;
  readonly epochs: number;
  readonly seed: number;
  readonly average: "none" | "ema" | "polyak";
}

/** One knob of the training: all that flags, files and documents know about it. */
export interface Setting<T> extends Omit<Choice<T>, "default"> {
  readonly default: T | ((key: KeySettings) => T);
  /** The choice that it refines: with another one of these, what a recipe says about it has no meaning. */
  readonly follows?: "architecture" | "optimizer" | "schedule" | "average";
  /** The names of that choice that it goes with; default all. */
  readonly only?: readonly string[];
  /** Another setting that says the same in another way. */
  readonly insteadOf?: string;
}

/** A setting with values of a kind. */
export function setting<T>(kind: Kind<T>, rest: NoInfer<Omit<Setting<T>, keyof Kind<T>>>): Setting<T> {
  return { ...kind, ...rest };
}
