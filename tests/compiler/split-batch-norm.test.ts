import { expect, it } from "vitest";
import { splitBatchNorm } from "../../src/compiler/training-batch-norm.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";
import { interpret } from "../oracles/interpreter.ts";

function normalization() {
  const build = new OpGraphBuilder();
  const operands = [build.input("x", [2, 3, 2, 2]), build.input("gamma", [3]), build.input("beta", [3])];
  const hints = ["y", "mean", "variance"];
  const outputs = build.ops({ kind: "batchNormalizationTraining", epsilon: 1e-3 }, operands, hints);
  for (const [index, value] of outputs.entries()) build.output(hints[index]!, value);
  return build.finish();
}

it("splitBatchNorm keeps the normalized values and the batch's statistics", () => {
  const feeds = new Map([
    ["x", Float64Array.from({ length: 24 }, (_, index) => 3 + Math.sin(5 * index))],
    ["gamma", Float64Array.of(1, -2, 0.5)],
    ["beta", Float64Array.of(0, 1, 2)],
  ]);
  const [whole, split] = [normalization(), splitBatchNorm(normalization())];
  const [expected, received] = [interpret(whole, feeds), interpret(split, feeds)];
  for (const [name, values] of expected) {
    for (const [index, value] of values.entries()) expect(received.get(name)![index]).toBeCloseTo(value, 12);
  }
  expect([...received.keys()]).toEqual(["y", "mean", "variance"]);
  expect(printOpGraph(split)).not.toContain("batchNormalizationTraining");
});
