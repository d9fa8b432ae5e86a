import { expect, it } from "vitest";
import { separateStatistics } from "../../src/compiler/training-batch-norm.ts";
import type { OpGraph } from "../../src/graph/ops.ts";
import { interpret } from "../oracles/interpreter.ts";
import { feedsOf, smallTraining } from "./small-training.ts";

function kinds({ operations }: OpGraph): ReadonlySet<string> {
  return new Set(operations.map(({ config }) => config.kind));
}

it("separateStatistics takes normalization apart, and changes no number by more than rounding", () => {
  const { graph } = smallTraining(2);
  const separate = separateStatistics(graph);
  const feeds = feedsOf(graph);
  const [expected, received] = [interpret(graph, feeds), interpret(separate, feeds)];
  expect([...received.keys()]).toEqual([...expected.keys()]);
  for (const [name, values] of expected) {
    // ε is a float32 constant in the one, a float64 number in the other.
    for (const [index, value] of values.entries()) expect(received.get(name)![index], name).toBeCloseTo(value, 9);
  }
  expect(kinds(graph)).toContain("batchNormalizationTraining");
  expect(kinds(separate)).not.toContain("batchNormalizationTraining");
  expect(kinds(separate)).not.toContain("batchNormalizationGradient");
});

it("separateStatistics leaves normalizations that do not concern it", () => {
  const { graph } = smallTraining(2);
  const separate = separateStatistics(graph, ({ shape }) => shape[1] === 4);
  const left = separate.operations.filter(({ config }) => config.kind.startsWith("batchNormalizationTraining"));
  expect(left.map(({ inputs }) => inputs[0]!.shape[1])).toEqual([8, 8]);
});
