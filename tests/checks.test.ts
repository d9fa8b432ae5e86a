import { describe, expect, it } from "vitest";
import {
  type AllowedValues,
  assertAllowed,
  assertOption,
  numberIn,
  oneOf,
  trueOrFalse,
  wholeNumberFrom,
} from "../src/checks.ts";

describe("assertOption", () => {
  it.each<[AllowedValues, readonly unknown[]]>([
    [wholeNumberFrom(1), [1, 2 ** 40]],
    [wholeNumberFrom(0, 8), [0, 8]],
    [numberIn({ from: 0, below: 1 }), [0, 0.999]],
    [numberIn({ above: 0, to: 16 }), [1e-9, 16]],
    [numberIn({}), [-1, 0]],
    [oneOf(["sgd", "adam"]), ["adam"]],
    [trueOrFalse, [true, false]],
  ])("accepts the values at the limits (%#)", (allowed, values) => {
    for (const value of values) expect(() => assertOption("f option x", value, allowed)).not.toThrow();
  });

  it.each<[unknown, AllowedValues, string]>([
    [0, wholeNumberFrom(1), "received 0; expected a whole number from 1."],
    [1.5, wholeNumberFrom(1), "received 1.5; expected a whole number from 1."],
    ["3", wholeNumberFrom(1), 'received "3"; expected a whole number from 1.'],
    [9, wholeNumberFrom(0, 8), "received 9; expected a whole number from 0 to 8."],
    [1, numberIn({ from: 0, below: 1 }), "received 1; expected a number from 0, below 1."],
    [0, numberIn({ above: 0, to: 16 }), "received 0; expected a number above 0, up to 16."],
    [Number.NaN, numberIn({ from: 0 }), "received NaN; expected a number from 0."],
    [Infinity, numberIn({}), "received Infinity; expected a number."],
    ["lion", oneOf(["sgd", "adam"]), 'received "lion"; expected one of sgd, adam.'],
    ["no", trueOrFalse, 'received "no"; expected true or false.'],
  ])("refuses %s", (value, allowed, message) => {
    const check = () => assertOption("f option x", value, allowed);
    expect(check).toThrow(expect.objectContaining({ code: "USAGE" }));
    expect(check).toThrow(`f option x: this value is not allowed; ${message}`);
  });

  it("takes a condition that needs more than the value", () => {
    expect(() => assertAllowed("f option x", 3, true, "a divisor of 6")).not.toThrow();
    expect(() => assertAllowed("f option x", 4, false, "a divisor of 6")).toThrow(
      "f option x: this value is not allowed; received 4; expected a divisor of 6.",
    );
  });
});
