import { UsageError } from "../../src/errors.ts";

/** A reader of an option's value for commander's `argParser`: any number; the range is checked by who uses it. */
export function numberOf(flag: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || Number.isNaN(value)) {
      throw new UsageError({ where: `option ${flag}`, what: "this is not a number", received: text });
    }
    return value;
  };
}

/** A reader of a number above 0, for options that nobody else checks. */
export function positiveNumberOf(flag: string): (text: string) => number {
  return (text) => {
    const value = numberOf(flag)(text);
    if (value > 0 && value < Infinity) return value;
    throw new UsageError({
      where: `option ${flag}`,
      what: "this is out of range",
      received: text,
      expected: "above 0",
    });
  };
}

/** A reader of a whole number from 1, or from `least`, for options that nobody else checks. */
export function countOf(flag: string, least = 1): (text: string) => number {
  return (text) => {
    const value = numberOf(flag)(text);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new UsageError({
      where: `option ${flag}`,
      what: "this is out of range",
      received: text,
      expected: `a whole number from ${least}`,
    });
  };
}

/** A reader of whole numbers from 1, separated by commas. */
export function countsOf(flag: string): (text: string) => readonly number[] {
  return (text) => text.split(",").map((part) => countOf(flag)(part));
}
