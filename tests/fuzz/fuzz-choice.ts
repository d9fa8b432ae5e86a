import { parseArgs } from "node:util";
import { UsageError } from "../../src/base/errors.ts";
import type { FuzzedReader } from "./reader.ts";
import { readers } from "./readers.ts";

/** Which readers are tried, and with which of their cases: from `first` to before `last`. */
export interface FuzzChoice {
  readonly chosen: readonly FuzzedReader[];
  readonly first: number;
  readonly last: number;
}

/** @throws {UsageError} a flag is not known or a value not allowed: a run that tries nothing must not look like one that found nothing. */
export function fuzzChoiceOf(flags: readonly string[]): FuzzChoice {
  const { cases, reader, case: one } = valuesOf(flags);
  const chosen = readers.filter(({ name }) => reader === undefined || name === reader);
  if (chosen.length === 0) {
    const expected = `one of ${readers.map(({ name }) => name).join(", ")}`;
    throw new UsageError({ where: "option --reader", what: "there is no such reader", received: reader, expected });
  }
  if (one === undefined) return { chosen, first: 0, last: numberOf("--cases", cases, 1) };
  const first = numberOf("--case", one, 0);
  return { chosen, first, last: first + 1 };
}

function valuesOf(args: readonly string[]) {
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      args: [...args],
      options: { cases: { ...text, default: "20000" }, reader: text, case: text },
    }).values;
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError({ where: "fuzz", what, expected: "--cases COUNT, --reader NAME or --case INDEX", cause });
  }
}

function numberOf(where: string, text: string, smallest: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= smallest) return value;
  throw new UsageError({
    where: `option ${where}`,
    what: "this value is not allowed",
    received: text,
    expected: `a whole number from ${smallest}`,
  });
}
