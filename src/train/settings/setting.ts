import type { Choice, Kind } from "../../base/kinds.ts";
import type { OptimizerName } from "../../learning/optimizers.ts";
import type { ScheduleName } from "../../learning/schedules.ts";
import type { ArchitectureName } from "../../models/registry.ts";

/** Settings that the defaults of others depend on. */
export interface KeySettings {
  readonly architecture: ArchitectureName;
  readonly optimizer: OptimizerName;
  readonly schedule: ScheduleName;
  readonly epochs: number;
  readonly seed: number;
  readonly average: "none" | "ema" | "polyak";
}

/** One setting, as flags, files and documents describe it. */
export interface Setting<T> extends Omit<Choice<T>, "default"> {
  readonly default: T | ((key: KeySettings) => T);
  /** The choice that it refines: a recipe's value applies only with the recipe's own choice. */
  readonly follows?: "architecture" | "optimizer" | "schedule" | "average";
  /** Values of that choice it applies to; default all. */
  readonly only?: readonly string[];
  /** Values of other settings while this one is on, unless they are chosen. */
  readonly brings?: Readonly<Record<string, unknown>>;
  /** Another setting with the same purpose; only one of them can be set. */
  readonly insteadOf?: string;
}

/** A setting with values of a kind. @param about its description, as a phrase. */
export function setting<T>(
  kind: Kind<T>,
  about: string,
  value: NoInfer<Setting<T>["default"]>,
  rest: Omit<Setting<T>, keyof Kind<T> | "about" | "default"> = {},
): Setting<T> {
  return { ...kind, about, default: value, ...rest };
}
