import { z } from "zod";
import type { OptimizerName } from "../../../learning/optimizers.ts";
import type { ScheduleName } from "../../../learning/schedules.ts";
import type { ArchitectureName } from "../../../models/architecture-names.ts";

/** The settings that others' defaults depend on. */
export interface KeySettings {
  readonly architecture: ArchitectureName;
  readonly optimizer: OptimizerName;
  readonly schedule: ScheduleName;
  readonly epochs: number;
  readonly seed: number;
  readonly average: "none" | "ema" | "polyak";
}

/** What values a setting may have, and how a flag writes them. */
export interface Kind<T> {
  readonly accepts: z.ZodType<T, unknown>;
  /** The same in words, for errors and documents. */
  readonly expected: string;
  /** What stands for the value in a flag's help; empty where the flag takes none. */
  readonly placeholder: string;
  /** The value that a flag's text stands for, still to be checked. */
  readonly read: (text: string) => unknown;
  /** The text that a flag takes for a value: what `read` reads. */
  readonly write: (value: T) => string;
  /** The names to choose from, where it is one of some. */
  readonly choices?: readonly string[];
}

/** One knob of the training: all that flags, files and documents know about it. */
export interface Setting<T> extends Kind<T> {
  /** What it does, as a phrase. */
  readonly about: string;
  readonly default: T | ((key: KeySettings) => T);
  /** The default in words, where it is not one value. */
  readonly defaultText?: string;
  /** The choice that it refines: with another one of these, what a recipe says about it has no meaning. */
  readonly follows?: "architecture" | "optimizer" | "schedule" | "average";
  /** The names of that choice that it goes with; default all. */
  readonly only?: readonly string[];
  /** Another setting that says the same in another way. */
  readonly insteadOf?: string;
}

export type ValueOf<S> = S extends { readonly accepts: z.ZodType<infer T> } ? T : never;

/** A setting with values of a kind. */
export function setting<T>(kind: Kind<T>, rest: NoInfer<Omit<Setting<T>, keyof Kind<T>>>): Setting<T> {
  return { ...kind, ...rest };
}

/** A number between limits; `from` and `to` are allowed themselves, `above` and `below` are not. */
export function number(limits: {
  readonly from?: number;
  readonly above?: number;
  readonly to?: number;
  readonly below?: number;
}): Kind<number> {
  const { from, above, to, below } = limits;
  const words = [
    ...(from === undefined ? [] : [`from ${from}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(to === undefined ? [] : [`up to ${to}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
  ];
  const fits = (value: number) =>
    value >= (from ?? -Infinity) &&
    value > (above ?? -Infinity) &&
    value <= (to ?? Infinity) &&
    value < (below ?? Infinity);
  return {
    accepts: z.number().refine(fits),
    expected: `a number ${words.join(", ")}`,
    placeholder: "<x>",
    read: readNumber,
    write: String,
  };
}

export function wholeNumber({ from, to }: { readonly from: number; readonly to?: number }): Kind<number> {
  return {
    accepts: z
      .int()
      .min(from)
      .max(to ?? Number.MAX_SAFE_INTEGER),
    expected: `a whole number from ${from}${to === undefined ? "" : ` to ${to}`}`,
    placeholder: "<n>",
    read: readNumber,
    write: String,
  };
}

export function choice<const T extends readonly [string, ...string[]]>(...choices: T): Kind<T[number]> {
  return {
    accepts: z.enum(choices),
    expected: `one of ${choices.join(", ")}`,
    placeholder: "<name>",
    read: (text) => text,
    write: String,
    choices,
  };
}

export function onOff(): Kind<boolean> {
  return {
    accepts: z.boolean(),
    expected: "true or false",
    placeholder: "",
    read: (text) => text === "true",
    write: String,
  };
}

/** On or off, where a third value is possible. A file has true and false. */
export function yesOrNo(): Kind<boolean> {
  return {
    accepts: z.boolean(),
    expected: "yes or no (in a file true or false)",
    placeholder: "<yes|no>",
    read: (text) => (text === "yes" ? true : text === "no" ? false : text),
    write: (value) => (value ? "yes" : "no"),
  };
}

export function text(placeholder: string): Kind<string> {
  return { accepts: z.string().min(1), expected: "a text", placeholder, read: (written) => written, write: String };
}

/** Some values of a kind; a flag writes them with commas between, and `none` where there are none. */
export function listOf<T>(kind: Kind<T>): Kind<readonly T[]> {
  return {
    accepts: z.array(kind.accepts),
    expected: `a list, each ${kind.expected}`,
    placeholder: kind.placeholder.replace(/<(.*)>/, "<$1,$1>"),
    read: (text) => (text === "none" ? [] : text.split(",").map(kind.read)),
    write: (values) => (values.length === 0 ? "none" : values.map(kind.write).join(",")),
  };
}

/** A value of a kind, or none, which a flag writes as a `word` and a file as this word or null. */
export function orNone<T>(kind: Kind<T>, word = "none"): Kind<T | null> {
  const none = z.literal([word, null]).transform(() => null);
  return {
    ...kind,
    accepts: z.union([none, kind.accepts]),
    expected: `${kind.expected}, or ${word}`,
    read: (text) => (text === word ? null : kind.read(text)),
    write: (value) => (value === null ? word : kind.write(value)),
  };
}

/** Not a number for an empty text, which `Number` takes for 0. */
function readNumber(written: string): number {
  return written.trim() === "" ? Number.NaN : Number(written);
}
