import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { checkedOptions } from "../../src/models/options.ts";
import { xceptionOptions } from "../../src/models/xception/options.ts";
import { xception } from "../../src/models/xception/paper.ts";

/** The message of a refusal. Options come as any value: callers in JavaScript and from files have no types. */
function refusal(options: Readonly<Record<string, unknown>>): string {
  try {
    xception(options);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as UsageError).message;
  }
  return expect.fail(`accepted ${JSON.stringify(options)}`);
}

describe("a wrong option is refused by name, with its value and the allowed ones", () => {
  it("unknown", () => {
    expect(refusal({ alpha: 0.5 })).toMatchInlineSnapshot(
      `"xception option "alpha": there is no such option; expected variant, inputShape, classes, includeTop, pooling, classifierActivation, width, dropout, fcUnits, residual, intermediateActivation, segments, middleFlowRepeats, batchNormEpsilon, poolPadding or seed."`,
    );
  });

  it("variant", () => {
    expect(refusal({ variant: "keras" })).toMatchInlineSnapshot(
      `"xception option "variant": this value is not allowed; received "keras"; expected one of paper, tutorial."`,
    );
  });

  it("inputShape", () => {
    expect(refusal({ inputShape: [299, 299] })).toMatchInlineSnapshot(
      `"xception option "inputShape": this value is not allowed; received [299, 299]; expected height, width (both up to 8192) and channels as whole numbers, e.g. 299x299x3."`,
    );
    expect(refusal({ inputShape: "299x299x3" })).toContain('received "299x299x3"; expected height, width');
    expect(refusal({ inputShape: [70, 299, 3] })).toMatchInlineSnapshot(
      `"xception option "inputShape": this value is not allowed; received [70, 299, 3]; expected height and width of at least 71×71."`,
    );
    expect(refusal({ inputShape: [299, 70, 3] })).toContain("at least 71×71");
    expect(refusal({ inputShape: [299, 299.5, 3] })).toMatchInlineSnapshot(
      `"xception option "inputShape": this value is not allowed; received [299, 299.5, 3]; expected height, width (both up to 8192) and channels as whole numbers, e.g. 299x299x3."`,
    );
    expect(refusal({ inputShape: [299, 299, Number.NaN] })).toContain("whole numbers");
    expect(refusal({ inputShape: [299, 299, 0] })).toMatchInlineSnapshot(
      `"xception option "inputShape": this value is not allowed; received [299, 299, 0]; expected height, width (both up to 8192) and channels as whole numbers, e.g. 299x299x3."`,
    );
  });

  it("classes", () => {
    expect(refusal({ classes: 0 })).toMatchInlineSnapshot(
      `"xception option "classes": this value is not allowed; received 0; expected a whole number from 1."`,
    );
    expect(refusal({ classes: "10" })).toContain('received "10"');
  });

  it("includeTop", () => {
    expect(refusal({ includeTop: "no" })).toMatchInlineSnapshot(
      `"xception option "includeTop": this value is not allowed; received "no"; expected true or false."`,
    );
  });

  it("pooling", () => {
    expect(refusal({ includeTop: false, pooling: "mean" })).toMatchInlineSnapshot(
      `"xception option "pooling": this value is not allowed; received "mean"; expected one of none, avg, max."`,
    );
    expect(refusal({ pooling: "avg" })).toMatchInlineSnapshot(
      `"xception option "pooling": this applies only without the top (includeTop: false, or --no-top); received "avg"."`,
    );
  });

  it("classifierActivation", () => {
    expect(refusal({ classifierActivation: "linear" })).toMatchInlineSnapshot(
      `"xception option "classifierActivation": this value is not allowed; received "linear"; expected one of softmax, sigmoid, none."`,
    );
  });

  it("an input too large, too many blocks and an inexact seed", () => {
    expect(refusal({ inputShape: [71, 8193, 3] })).toContain(
      "received [71, 8193, 3]; expected height, width (both up to 8192)",
    );
    expect(refusal({ middleFlowRepeats: 101 })).toContain("received 101; expected a whole number from 0 to 100");
    expect(refusal({ seed: 2 ** 53 })).toContain("expected a whole number from 0");
    expect(refusal({ width: 17 })).toContain("received 17; expected a number above 0, up to 16");
  });

  it("width", () => {
    expect(refusal({ width: 0 })).toMatchInlineSnapshot(
      `"xception option "width": this value is not allowed; received 0; expected a number above 0, up to 16."`,
    );
    expect(refusal({ width: Infinity })).toContain("received Infinity");
    expect(refusal({ width: "1" })).toContain('received "1"');
  });

  it("dropout", () => {
    expect(refusal({ dropout: 1 })).toMatchInlineSnapshot(
      `"xception option "dropout": this value is not allowed; received 1; expected a number from 0, below 1."`,
    );
    expect(refusal({ dropout: -0.1 })).toContain("received -0.1");
    expect(refusal({ dropout: "0.5" })).toContain('received "0.5"');
    expect(refusal({ dropout: 0.5, includeTop: false })).toMatchInlineSnapshot(
      `"xception option "dropout": this applies only with the top, which is left out; received 0.5."`,
    );
  });

  it("fcUnits", () => {
    expect(refusal({ fcUnits: [4096, 0] })).toMatchInlineSnapshot(
      `"xception option "fcUnits": this value is not allowed; received [4096, 0]; expected a list, each a whole number from 1 to 65536."`,
    );
    expect(refusal({ fcUnits: 4096 })).toContain("received 4096");
    expect(refusal({ fcUnits: [4096], includeTop: false })).toMatchInlineSnapshot(
      `"xception option "fcUnits": this applies only with the top, which is left out; received [4096]."`,
    );
  });

  it("residual", () => {
    expect(refusal({ residual: 0 })).toMatchInlineSnapshot(
      `"xception option "residual": this value is not allowed; received 0; expected true or false."`,
    );
  });

  it("intermediateActivation", () => {
    expect(refusal({ intermediateActivation: "gelu" })).toMatchInlineSnapshot(
      `"xception option "intermediateActivation": this value is not allowed; received "gelu"; expected one of none, relu, elu."`,
    );
  });

  it("middleFlowRepeats", () => {
    expect(refusal({ middleFlowRepeats: -1 })).toMatchInlineSnapshot(
      `"xception option "middleFlowRepeats": this value is not allowed; received -1; expected a whole number from 0 to 100."`,
    );
    expect(refusal({ middleFlowRepeats: 1.5 })).toContain("received 1.5");
  });

  it("seed", () => {
    expect(refusal({ seed: -1 })).toMatchInlineSnapshot(
      `"xception option "seed": this value is not allowed; received -1; expected a whole number from 0."`,
    );
  });
});

describe("options at the edge of what is allowed", () => {
  it("are accepted", () => {
    const options = { inputShape: [71, 71, 1], classes: 1, dropout: 0.99, middleFlowRepeats: 0, width: 0.01 } as const;
    expect(checkedOptions(xceptionOptions, options)).toMatchObject({
      inputShape: [71, 71, 1],
      classes: 1,
      dropout: 0.99,
    });
  });

  it("undefined means the default, as from an unset flag", () => {
    // biome-ignore lint/suspicious/noExplicitAny: what a caller without `exactOptionalPropertyTypes` may pass
    const unset = { variant: undefined, classes: undefined, width: undefined } as any;
    expect(checkedOptions(xceptionOptions, unset)).toMatchObject({ variant: "paper", classes: 1000 });
  });
});
