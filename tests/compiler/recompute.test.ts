import { expect, it } from "vitest";
import { recompute } from "../../src/compiler/recompute.ts";
import type { OpGraph } from "../../src/graph/ops.ts";
import { interpret } from "../oracles/interpreter.ts";
import { feedsOf, smallTraining } from "./small-training.ts";

/** Forward images that operators after the forward part read. */
function kept({ operations }: OpGraph, forwardCount: number): readonly string[] {
  const forward = new Set(operations.slice(0, forwardCount).flatMap(({ outputs }) => outputs.map(({ name }) => name)));
  const read = operations.slice(forwardCount).flatMap(({ inputs }) => inputs);
  const images = read.filter(({ name, shape }) => forward.has(name) && shape.length === 4);
  return [...new Set(images.map(({ name }) => name))].toSorted();
}

it("recompute keeps one value of each separable convolution, and changes no number", () => {
  const { graph, forwardCount } = smallTraining(2);
  const frugal = recompute(graph, forwardCount);
  // What a gradient reads: images and depthwise outputs for kernels, inputs of normalizations, outputs of ReLUs.
  expect(kept(graph, forwardCount)).toEqual(
    ["transpose", "stem", "stem_act", "entry/depthwise", "entry", "entry_bn", "pool"]
      .concat(["middle_act", "middle/depthwise", "middle"])
      .toSorted(),
  );
  // Left: what products of matrices computed, and what the residual path carries.
  expect(kept(frugal, forwardCount)).toEqual(["entry", "middle", "middle_act", "pool", "stem", "transpose"]);
  const feeds = feedsOf(graph);
  const [expected, received] = [interpret(graph, feeds), interpret(frugal, feeds)];
  expect([...received.keys()]).toEqual([...expected.keys()]);
  for (const [name, values] of expected) expect(received.get(name), name).toEqual(values);
});

it("recompute leaves a graph as it is where nothing is read again", () => {
  const { graph, forwardCount } = smallTraining(2);
  const forward = { ...graph, operations: graph.operations.slice(0, forwardCount), outputs: new Map() };
  expect(recompute(forward, forwardCount)).toBe(forward);
});
