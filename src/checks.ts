import { UsageError } from "./errors.ts";

/** The values an option may have. */
export interface AllowedValues {
  readonly includes: (value: unknown) => boolean;
  /** The same in words, as the end of an error message: `a whole number from 1`. */
  readonly expected: string;
}

/**
 * Checks the value of an option.
 * @param where the function and option that complain, e.g. `classify option top`.
 * @throws {UsageError} the value is not one of those allowed.
 * @example
 * assertOption("classify option top", top, wholeNumberFrom(1));
 */
export function assertOption(where: string, received: unknown, { includes, expected }: AllowedValues): void {
  assertAllowed(where, received, includes(received), expected);
}

/**
 * Reports the value of an option unless `isAllowed`, for conditions that need more than the value itself.
 * @throws {UsageError} `isAllowed` is false.
 */
export function assertAllowed(where: string, received: unknown, isAllowed: boolean, expected: string): void {
  if (!isAllowed) throw new UsageError({ where, what: "this value is not allowed", received, expected });
}

/** Whole numbers from `from` to `to`, both included. */
export function wholeNumberFrom(from: number, to = Number.MAX_SAFE_INTEGER): AllowedValues {
  return {
    includes: (value) => Number.isInteger(value) && Number(value) >= from && Number(value) <= to,
    expected: `a whole number from ${from}${to === Number.MAX_SAFE_INTEGER ? "" : ` to ${to}`}`,
  };
}

/** Limits of a number; `from` and `to` are allowed themselves, `above` and `below` are not. */
export interface NumberLimits {
  readonly from?: number;
  readonly above?: number;
  readonly to?: number;
  readonly below?: number;
}

/** Finite numbers within limits, e.g. `numberIn({ from: 0, below: 1 })`. */
export function numberIn({
  from = -Infinity,
  above = -Infinity,
  to = Infinity,
  below = Infinity,
}: NumberLimits): AllowedValues {
  const words = [
    ...(from > -Infinity ? [`from ${from}`] : []),
    ...(above > -Infinity ? [`above ${above}`] : []),
    ...(to < Infinity ? [`up to ${to}`] : []),
    ...(below < Infinity ? [`below ${below}`] : []),
  ];
  return {
    includes: (value) =>
      Number.isFinite(value) &&
      Number(value) >= from &&
      Number(value) > above &&
      Number(value) <= to &&
      Number(value) < below,
    expected: ["a number", words.join(", ")].join(" ").trimEnd(),
  };
}

/** One of some names. */
export function oneOf(names: readonly string[]): AllowedValues {
  return { includes: (value) => names.includes(value as string), expected: `one of ${names.join(", ")}` };
}

/** True or false. */
export const trueOrFalse: AllowedValues = {
  includes: (value) => typeof value === "boolean",
  expected: "true or false",
};
