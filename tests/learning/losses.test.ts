import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gradient } from "../../src/compiler/gradient.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { type Loss, sigmoidCrossEntropy, softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { worstGradient } from "../oracles/finite-difference.ts";
import { interpret } from "../oracles/interpreter.ts";

type Rows = readonly (readonly number[])[];

function graphOf(loss: Loss, shape: readonly [number, number]) {
  const build = new OpGraphBuilder();
  build.output("loss", loss(build, build.parameter("logits", shape), build.input("targets", shape)));
  return build.finish();
}

function feedsOf(logits: Rows, targets: Rows): Map<string, Float64Array> {
  return new Map([
    ["logits", Float64Array.from(logits.flat())],
    ["targets", Float64Array.from(targets.flat())],
  ]);
}

/** The loss and its gradient by the logits. */
function evaluate(loss: Loss, logits: Rows, targets: Rows): { value: number; slope: number[] } {
  const graph = graphOf(loss, [logits.length, logits[0]!.length]);
  const backward = gradient(graph, "loss", ["logits"]);
  const build = new OpGraphBuilder(backward.graph);
  build.output("slope", backward.gradients.get("logits")!);
  const results = interpret(build.finish(), feedsOf(logits, targets));
  return { value: results.get("loss")![0]!, slope: [...results.get("slope")!] };
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [index, value] of expected.entries()) expect(actual[index], `number ${index}`).toBeCloseTo(value, 7);
}

describe("softmax cross-entropy", () => {
  it("is the logarithm of the number of classes for equal logits", () => {
    const { value, slope } = evaluate(softmaxCrossEntropy, [[3, 3, 3, 3]], [[0, 1, 0, 0]]);
    expect(value).toBeCloseTo(Math.log(4), 10);
    // Probability minus target.
    expectClose(slope, [0.25, -0.75, 0.25, 0.25]);
  });

  it("is the mean over the batch", () => {
    // Probabilities 1/4, 3/4 and 1/2, 1/2: −ln ¾ and ln 2, and the gradient divided by two.
    const logits = [
      [0, Math.log(3)],
      [7, 7],
    ];
    const { value, slope } = evaluate(softmaxCrossEntropy, logits, [
      [0, 1],
      [1, 0],
    ]);
    expect(value).toBeCloseTo((Math.log(4 / 3) + Math.log(2)) / 2, 7);
    expectClose(slope, [0.125, -0.125, -0.25, 0.25]);
  });

  it("takes smoothed targets", () => {
    const { value, slope } = evaluate(softmaxCrossEntropy, [[0, Math.log(3)]], [[0.05, 0.95]]);
    expect(value).toBeCloseTo(-0.05 * Math.log(1 / 4) - 0.95 * Math.log(3 / 4), 10);
    expectClose(slope, [0.2, -0.2]);
  });

  it("neither overflows nor loses a hopeless answer", () => {
    expect(evaluate(softmaxCrossEntropy, [[-800, 900]], [[1, 0]]).value).toBe(1700);
  });
});

describe("sigmoid cross-entropy", () => {
  it("is the mean over batch and classes", () => {
    // σ(0) = ½ and σ(ln 3) = ¾: −ln ½ for the first, −ln(1 − ¾) for the second.
    const { value, slope } = evaluate(sigmoidCrossEntropy, [[0, Math.log(3)]], [[1, 0]]);
    expect(value).toBeCloseTo((Math.log(2) + Math.log(4)) / 2, 10);
    expectClose(slope, [-0.25, 0.375]);
  });

  it("neither overflows nor loses a hopeless answer", () => {
    expect(evaluate(sigmoidCrossEntropy, [[-900, 900]], [[1, 0]]).value).toBe(900);
  });
});

describe("gradients agree with central differences", () => {
  const finite = fc.double({ min: -6, max: 6, noNaN: true });
  const share = fc.double({ min: 0, max: 1, noNaN: true });

  it.each([
    ["softmax", softmaxCrossEntropy],
    ["sigmoid", sigmoidCrossEntropy],
  ] as const)("%s", (_, loss) => {
    const row = fc.tuple(finite, finite, finite);
    const target = fc.tuple(share, share, share).map((values) => {
      const total = values.reduce((sum, value) => sum + value, 1e-3);
      return values.map((value) => value / total);
    });
    fc.assert(
      fc.property(fc.tuple(row, row), fc.tuple(target, target), (logits, targets) => {
        const { slope } = evaluate(loss, logits, targets);
        const analytic = new Map([["logits", Float64Array.from(slope)]]);
        const worst = worstGradient(graphOf(loss, [2, 3]), "loss", analytic, feedsOf(logits, targets));
        return worst.difference < 1e-7;
      }),
    );
  });
});
