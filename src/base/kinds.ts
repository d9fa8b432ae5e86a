import { UsageError } from "./errors.ts";
import type { Json } from "./json.ts";

/**
 * A kind of value: its allowed values, and how a flag writes it. Network options and training settings share these
 * kinds.
 */
export interface Kind<T> {
  /** Returns an untrusted value as this kind, or undefined if it is not one. */
  readonly accept: (value: unknown) => T | undefined;
  /** Description of the allowed values, for errors and documentation. */
  readonly expected: string;
  /** Placeholder for the value in a flag's help; empty if the flag takes none. */
  readonly placeholder: string;
  /** Parses a flag's text into a value, to be validated by `accept`. */
  readonly read: (text: string) => unknown;
  /** Writes a value as the text that `read` reads. */
  readonly write: (value: T) => string;
  /** The names to choose from, for a choice. */
  readonly choices?: readonly string[];
}

/** A kind of value in files. */
export type ValueKind<T> = Pick<Kind<T>, "accept" | "expected">;

/** The type of a kind's values. */
export type ValueOf<K> = K extends { readonly accept: (value: unknown) => infer T } ? Exclude<T, undefined> : never;

/** An option: its kind, description and default. */
export interface Choice<T> extends Kind<T> {
  /** Description, as a phrase. */
  readonly about: string;
  readonly default: T;
  /** Description of the default, if the value itself is not clear enough. */
  readonly defaultText?: string;
}

/** A number in a range: `from` and `to` are inclusive, `above` and `below` exclusive. */
export function number(
  limits: { readonly from?: number; readonly above?: number; readonly to?: number; readonly below?: number } = {},
): Kind<number> {
  const { from = -Infinity, above = -Infinity, to = Infinity, below = Infinity } = limits;
  const words = Object.entries(limits).map(([limit, value]) => `${limit === "to" ? "up to" : limit} ${value}`);
  return {
    accept: accepting(
      (value): value is number => isNumber(value) && value >= from && value > above && value <= to && value < below,
    ),
    expected: `a number ${words.join(", ")}`.trimEnd(),
    placeholder: "<x>",
    read: readNumber,
    write: String,
  };
}

/** An integer from `from` to `to`, inclusive. */
export function wholeNumber({ from, to }: { readonly from: number; readonly to?: number }): Kind<number> {
  return {
    accept: accepting((value): value is number => isWhole(value) && value >= from && value <= (to ?? Infinity)),
    expected: `a whole number from ${from}${to === undefined ? "" : ` to ${to}`}`,
    placeholder: "<n>",
    read: readNumber,
    write: String,
  };
}

/** One of several names. */
export function choice<const T extends readonly [string, ...string[]]>(...choices: T): Kind<T[number]> {
  return {
    accept: (value) => choices.find((each) => each === value),
    expected: `one of ${choices.join(", ")}`,
    placeholder: "<name>",
    read: (text) => text,
    write: String,
    choices,
  };
}

/** On or off: a flag without a value; `no-` before its name turns it off. */
export function onOff(): Kind<boolean> {
  return {
    accept: accepting((value): value is boolean => typeof value === "boolean"),
    expected: "true or false",
    placeholder: "",
    read: (text) => text === "true",
    write: String,
  };
}

/** On or off, where a third value is possible; files store true or false. */
export function yesOrNo(): Kind<boolean> {
  return {
    ...onOff(),
    expected: "yes or no (in a file true or false)",
    placeholder: "<yes|no>",
    read: (text) => (text === "yes" ? true : text === "no" ? false : text),
    write: (value) => (value ? "yes" : "no"),
  };
}

/** Any non-empty string. */
export function text(placeholder: string): Kind<string> {
  return {
    accept: accepting((value): value is string => typeof value === "string" && value !== ""),
    expected: "a text",
    placeholder,
    read: (written) => written,
    write: String,
  };
}

/** One of some constants. */
export function literal<const T extends string | number>(...values: readonly T[]): ValueKind<T> {
  return { accept: (value) => values.find((each) => each === value), expected: values.join(" or ") };
}

/** A string that matches a pattern. */
export function matching(pattern: RegExp, expected: string): ValueKind<string> {
  return { accept: (value) => (typeof value === "string" && pattern.test(value) ? value : undefined), expected };
}

/** Any string. */
export const string = matching(/^/, "a text");

/** Any value, to be checked elsewhere. */
export const anyJson: ValueKind<Json> = { accept: (value) => value as Json, expected: "any value" };

/** A list of values of a kind; a flag separates them by commas, and `none` is the empty list. */
export function listOf<T>(kind: Kind<T>): Kind<readonly T[]> {
  return {
    accept: (values) => {
      const accepted = Array.isArray(values) ? values.map(kind.accept) : [undefined];
      return accepted.every((value) => value !== undefined) ? accepted : undefined;
    },
    expected: `a list, each ${kind.expected}`,
    placeholder: kind.placeholder.replace(/<(.*)>/, "<$1,$1>"),
    read: (text) => (text === "none" ? [] : text.split(",").map(kind.read)),
    write: (values) => (values.length === 0 ? "none" : values.map(kind.write).join(",")),
  };
}

/** A value of a kind, or none: `word` in a flag, this word or null in a file. */
export function orNone<T>(kind: Kind<T>, word = "none"): Kind<T | null> {
  return {
    ...kind,
    accept: (value) => (value === word || value === null ? null : kind.accept(value)),
    expected: `${kind.expected}, or ${word}`,
    read: (text) => (text === word ? null : kind.read(text)),
    write: (value) => (value === null ? word : kind.write(value)),
  };
}

/** A tuple of values, each of its own kind; a flag joins them with a separator. */
export function tupleOf<const T extends readonly unknown[]>(
  kinds: { readonly [Index in keyof T]: Kind<T[Index]> },
  how: { readonly separator: string } & Pick<Kind<T>, "expected" | "placeholder">,
): Kind<T> {
  const { separator, expected, placeholder } = how;
  const each: readonly Kind<unknown>[] = kinds;
  return {
    accept: accepting(
      (values): values is T =>
        Array.isArray(values) &&
        values.length === each.length &&
        each.every((kind, index) => kind.accept(values[index]) !== undefined),
    ),
    expected,
    placeholder,
    read: (text) => text.split(separator).map((part, index) => each[index]?.read(part)),
    write: (values) => each.map((kind, index) => kind.write(values[index])).join(separator),
  };
}

/**
 * Checks the value of an option.
 * @param where the function and option, for errors, e.g. `classify option top`.
 * @throws {UsageError} the value is not one of those allowed.
 * @example
 * assertOption("classify option top", top, wholeNumber({ from: 1 }));
 */
export function assertOption(where: string, received: unknown, { accept, expected }: ValueKind<unknown>): void {
  assertAllowed(where, received, accept(received) !== undefined, expected);
}

/**
 * Reports the value of an option unless `isAllowed`, for conditions that need more than the value itself.
 * @throws {UsageError} `isAllowed` is false.
 */
export function assertAllowed(where: string, received: unknown, isAllowed: boolean, expected: string): void {
  if (!isAllowed) throw new UsageError({ where, what: "this value is not allowed", received, expected });
}

/** Lists alternatives as text: `a, b or c`. */
export function oneOf(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

/** Accepts a value unchanged if a condition holds. */
export function accepting<T>(fits: (value: unknown) => value is T): (value: unknown) => T | undefined {
  return (value) => (fits(value) ? value : undefined);
}

/** Parses a number; NaN for an empty string, which `Number` parses as 0. */
export function readNumber(written: string): number {
  return written.trim() === "" ? Number.NaN : Number(written);
}

function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
