import { describe, expect, it } from "vitest";
import { assertAllowed, assertOption, choice, type Kind, number, onOff, wholeNumber } from "../../src/base/kinds.ts";

type Allowed = Pick<Kind<unknown>, "accept" | "expected">;

describe("assertOption", () => {
  it.each<[Allowed, readonly unknown[]]>([
    [wholeNumber({ from: 1 }), [1, 2 ** 40]],
    [wholeNumber({ from: 0, to: 8 }), [0, 8]],
    [number({ from: 0, below: 1 }), [0, 0.999]],
    [number({ above: 0, to: 16 }), [1e-9, 16]],
    [number(), [-1, 0]],
    [choice("sgd", "adam"), ["adam"]],
    [onOff(), [true, false]],
  ])("accepts the values at the limits (%#)", (allowed, values) => {
    for (const value of values) expect(() => assertOption("f option x", value, allowed)).not.toThrow();
  });

  it.each<[unknown, Allowed, string]>([
    [0, wholeNumber({ from: 1 }), "received 0; expected a whole number from 1."],
    [1.5, wholeNumber({ from: 1 }), "received 1.5; expected a whole number from 1."],
    ["3", wholeNumber({ from: 1 }), 'received "3"; expected a whole number from 1.'],
    [9, wholeNumber({ from: 0, to: 8 }), "received 9; expected a whole number from 0 to 8."],
    [1, number({ from: 0, below: 1 }), "received 1; expected a number from 0, below 1."],
    [0, number({ above: 0, to: 16 }), "received 0; expected a number above 0, up to 16."],
    [Number.NaN, number({ from: 0 }), "received NaN; expected a number from 0."],
    [Infinity, number(), "received Infinity; expected a number."],
    ["lion", choice("sgd", "adam"), 'received "lion"; expected one of sgd, adam.'],
    ["no", onOff(), 'received "no"; expected true or false.'],
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
