import { describe, expect, it } from "vitest";
import * as errors from "../../src/base/errors.ts";

const { UsageError, XceptionError } = errors;

describe("an error's message", () => {
  it("is where and what, ended as a sentence", () => {
    expect(new UsageError({ where: "option --epochs", what: "the value is missing" }).message).toBe(
      "option --epochs: the value is missing.",
    );
  });

  it("adds what was received, what was expected and the remedy, in this order", () => {
    const error = new UsageError({
      where: "option --epochs",
      what: "the value is not a positive integer",
      received: "many",
      expected: "an integer of at least 1",
      remedy: "Give --epochs a number.",
    });
    expect(error.message).toBe(
      'option --epochs: the value is not a positive integer; received "many"; expected an integer of at least 1. ' +
        "Give --epochs a number.",
    );
  });

  it.each([
    ["a string", "a\nb", '"a\\nb"'],
    ["a number", Number.NaN, "NaN"],
    ["a list", ["x", 1, [2, null]], '["x", 1, [2, null]]'],
    ["an object", { height: 3 }, '{"height":3}'],
    ["null", null, "null"],
    ["false", false, "false"],
    ["a large integer", 2n ** 60n, "1152921504606846976"],
  ])("shows %s as received", (_, received, shown) => {
    expect(new UsageError({ where: "here", what: "wrong", received }).message).toBe(`here: wrong; received ${shown}.`);
  });

  it.each(["really?", "no!", "no."])("does not end %j with another full stop", (what) => {
    expect(new UsageError({ where: "here", what }).message).toBe(`here: ${what}`);
  });
});

describe("an error", () => {
  it("keeps its cause", () => {
    const cause = new Error("disk full");
    expect(new UsageError({ where: "here", what: "wrong", cause }).cause).toBe(cause);
    expect(Object.hasOwn(new UsageError({ where: "here", what: "wrong" }), "cause")).toBe(false);
  });

  const classes = Object.entries(errors).filter(([name]) => name !== "XceptionError" && name.endsWith("Error"));

  it.each(classes as unknown as readonly (readonly [string, typeof UsageError])[])(
    "is told apart by class, name and code: %s",
    (name, of) => {
      const error = new of({ where: "here", what: "wrong" });
      const words = name.replace(/Error$/, "").replace(/(?<=[a-z])(?=[A-Z])/g, "_");
      expect(error).toBeInstanceOf(XceptionError);
      expect(error).toMatchObject({ name, code: words.toUpperCase() });
    },
  );
});
