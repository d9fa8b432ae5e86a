import { UsageError } from "../../src/errors.ts";
import { type Kind, listOf, number, wholeNumber } from "../../src/kinds.ts";

/**
 * A reader of an option's value for commander's `argParser`.
 * @throws {UsageError} from the reader: the value is none of the kind.
 */
export function valueReader<T>(flag: string, { read, accept, expected }: Kind<T>): (text: string) => T {
  return (text) => {
    const value = accept(read(text));
    if (value !== undefined) return value;
    throw new UsageError({ where: `option ${flag}`, what: "this value is not allowed", received: text, expected });
  };
}

/** A reader of a number above 0. */
export function positiveNumberOf(flag: string, limits: { readonly to?: number } = {}): (text: string) => number {
  return valueReader(flag, number({ above: 0, ...limits }));
}

/** A reader of a whole number from 1, or from `from`. */
export function countOf(flag: string, limits: { readonly from?: number; readonly to?: number } = {}) {
  return valueReader(flag, wholeNumber({ from: 1, ...limits }));
}

/** A reader of whole numbers from 1, separated by commas. */
export function countsOf(flag: string): (text: string) => readonly number[] {
  return valueReader(flag, listOf(wholeNumber({ from: 1 })));
}
