import { describe, expect, it } from "vitest";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { finiteDifference, worstGradient } from "./finite-difference.ts";

// loss = Σ w·x²; its gradients are 2·w·x, x² and, for the square, w.
const build = new OpGraphBuilder();
const x = build.input("x", [3]);
const w = build.parameter("w", [3]);
const square = build.op({ kind: "multiply" }, [x, x], "square");
const weighted = build.op({ kind: "multiply" }, [square, w]);
build.output("loss", build.op({ kind: "reduceSum", axes: [0], keepDims: false }, [weighted]));
const graph = build.finish();
const feeds = new Map([
  ["x", Float64Array.of(1, -2, 3)],
  ["w", Float64Array.of(0.5, 1, -1)],
]);

describe("finiteDifference", () => {
  it.each([
    ["x", [1, -4, -6]],
    ["w", [1, 4, 9]],
    ["square", [0.5, 1, -1]],
  ])("of an input, a parameter and a computed value: %s", (name, expected) => {
    const numeric = finiteDifference(graph, "loss", name, feeds);
    for (const [index, value] of expected.entries()) expect(numeric[index]).toBeCloseTo(value, 8);
  });
});

describe("worstGradient", () => {
  const right = Float64Array.of(1, -4, -6);

  it("is next to nothing for right gradients", () => {
    expect(worstGradient(graph, "loss", new Map([["x", right]]), feeds).difference).toBeLessThan(1e-9);
  });

  it("finds the wrong element, relative to its size", () => {
    const gradients = new Map([
      ["w", Float64Array.of(1, 4, 9)],
      ["x", Float64Array.of(1, -5, -6)],
    ]);
    const worst = worstGradient(graph, "loss", gradients, feeds);
    expect(worst).toMatchObject({ name: "x", index: 1, analytic: -5 });
    expect(worst.difference).toBeCloseTo(0.25, 8);
  });

  it.each([
    ["too few numbers", right.slice(0, 2)],
    ["too many numbers", Float64Array.of(...right, 0)],
    ["not a number", Float64Array.of(1, Number.NaN, -6)],
  ])("is infinite for %s", (_, wrong) => {
    expect(worstGradient(graph, "loss", new Map([["x", wrong]]), feeds).difference).toBe(Infinity);
  });
});
