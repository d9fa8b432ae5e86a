import { expect, it } from "vitest";
import { splitBatch } from "../../src/compiler/split-batch.ts";
import { separateStatistics } from "../../src/compiler/training-batch-norm.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";
import type { OpGraph } from "../../src/graph/ops.ts";
import { interpret } from "../oracles/interpreter.ts";
import { feedsOf, smallTraining } from "./small-training.ts";

/** Of an image, the stem's output `[4, 5, 4]` has 320 bytes, the pooling's input `[8, 5, 4]` 640, its output 192. */
const wholeBytes = 5 * 192;

function batchSizes({ operations }: OpGraph, name: string): readonly number[] {
  const outputs = operations.flatMap((each) => each.outputs).filter((each) => each.name.startsWith(name));
  return outputs.filter(({ shape }) => shape.length === 4).map(({ shape }) => shape[0]!);
}

it.each([
  { partBytes: 1, sizes: [1, 1, 1, 1, 1] },
  { partBytes: 1280, sizes: [2, 1, 2] },
  { partBytes: 2000, sizes: [3, 2] },
])(
  "splitBatch computes large batches in parts of $sizes images, and changes no sum by more than rounding",
  ({ partBytes, sizes }) => {
    const graph = separateStatistics(smallTraining(5).graph);
    const split = splitBatch(graph, { wholeBytes, partBytes });
    expect(batchSizes(split, "stem_act/")).toEqual(sizes);
    expect(batchSizes(split, "entry_bn/part")).toEqual(sizes);
    // What is small stays whole; what the pooling has made in parts is brought together for it.
    expect(batchSizes(split, "middle_bn")).toEqual([5]);
    const concatenated = split.operations.filter(({ config }) => config.kind === "concatenate");
    const batches = concatenated.flatMap(({ outputs }) => outputs).filter(({ shape }) => shape.length === 4);
    expect(batches.map(({ name }) => name)).toEqual(["pool"]);

    const feeds = feedsOf(graph);
    const [expected, received] = [interpret(graph, feeds), interpret(split, feeds)];
    expect([...received.keys()]).toEqual([...expected.keys()]);
    for (const [name, values] of expected) {
      for (const [index, value] of values.entries()) expect(received.get(name)![index], name).toBeCloseTo(value, 11);
    }
  },
);

it("splitBatch leaves a graph as it is where all batches are small, or a part would hold them", () => {
  const { graph } = smallTraining(5);
  expect(splitBatch(graph, { wholeBytes: 5 * 640, partBytes: 1 })).toBe(graph);
  expect(splitBatch(graph, { wholeBytes, partBytes: 5 * 640 })).toBe(graph);
});

it("splitBatch leaves alone what no parameter that is fed has changed", () => {
  const { graph } = smallTraining(5);
  const names = graph.parameters.map(({ name }) => name);
  expect(splitBatch(graph, { wholeBytes, partBytes: 1 }, names)).toBe(graph);
  const stem = names.filter((name) => name.startsWith("stem"));
  const split = splitBatch(graph, { wholeBytes, partBytes: 1 }, stem);
  expect(batchSizes(split, "stem_act")).toContain(5);
  expect(batchSizes(split, "entry/part")).toEqual([1, 1, 1, 1, 1]);
});

it("splitBatch adds parts in alternating order and finds single images in them", () => {
  const build = new OpGraphBuilder();
  const x = build.input("x", [4, 2, 1, 1]);
  const y = build.op({ kind: "relu" }, [x], "y");
  const moments = build.ops({ kind: "channelMoments" }, [y], ["mean", "square"]);
  build.output("mean", moments[0]!);
  const again = build.ops({ kind: "channelMoments" }, [y], ["mean2", "square2"]);
  build.output("square", again[1]!);
  build.output("last", build.op({ kind: "slice", axis: 0, start: 3, end: 4 }, [y], "last"));
  build.output("middle", build.op({ kind: "slice", axis: 0, start: 1, end: 3 }, [y], "middle"));
  expect(printOpGraph(splitBatch(build.finish(), { wholeBytes: 1, partBytes: 16 }))).toMatchInlineSnapshot(`
    "input x: 4×2×1×1
    constant constant: scalar = 2
    constant constant.1: scalar = 2
    constant constant.2: scalar = 4
    constant constant.3: scalar = 2
    constant constant.4: scalar = 2
    constant constant.5: scalar = 4
    x/part0: 2×2×1×1 = slice(x) {axis: 0, start: 0, end: 2}
    x/part1: 2×2×1×1 = slice(x) {axis: 0, start: 2, end: 4}
    y/part0: 2×2×1×1 = relu(x/part0)
    y/part1: 2×2×1×1 = relu(x/part1)
    mean/part0: 2, square/part0: 2 = channelMoments(y/part0)
    mean/part1: 2, square/part1: 2 = channelMoments(y/part1)
    mean/joined0: 4 = concatenate(mean/part0, square/part0) {axis: 0}
    mean/joined0.1: 4 = multiply(mean/joined0, constant)
    mean/joined1: 4 = concatenate(mean/part1, square/part1) {axis: 0}
    mean/joined1.1: 4 = multiply(mean/joined1, constant.1)
    mean/sum: 4 = add(mean/joined1.1, mean/joined0.1)
    mean/mean: 4 = divide(mean/sum, constant.2)
    mean: 2 = slice(mean/mean) {axis: 0, start: 0, end: 2}
    square: 2 = slice(mean/mean) {axis: 0, start: 2, end: 4}
    mean2/part0: 2, square2/part0: 2 = channelMoments(y/part0)
    mean2/part1: 2, square2/part1: 2 = channelMoments(y/part1)
    mean2/joined0: 4 = concatenate(mean2/part0, square2/part0) {axis: 0}
    mean2/joined0.1: 4 = multiply(mean2/joined0, constant.3)
    mean2/joined1: 4 = concatenate(mean2/part1, square2/part1) {axis: 0}
    mean2/joined1.1: 4 = multiply(mean2/joined1, constant.4)
    mean2/sum: 4 = add(mean2/joined0.1, mean2/joined1.1)
    mean2/mean: 4 = divide(mean2/sum, constant.5)
    mean2: 2 = slice(mean2/mean) {axis: 0, start: 0, end: 2}
    square2: 2 = slice(mean2/mean) {axis: 0, start: 2, end: 4}
    slice: 1×2×1×1 = slice(y/part1) {axis: 0, start: 1, end: 2}
    y: 4×2×1×1 = concatenate(y/part0, y/part1) {axis: 0}
    middle: 2×2×1×1 = slice(y) {axis: 0, start: 1, end: 3}
    output mean = mean
    output square = square2
    output last = slice
    output middle = middle
    "
  `);
});

it("splitBatch does not take large kernels for batches", () => {
  const build = new OpGraphBuilder();
  const [x, w] = [build.input("x", [4, 4, 2, 2]), build.parameter("w", [4, 4, 1, 1])];
  const window = { strides: [1, 1], pads: [0, 0, 0, 0] } as const;
  build.output("y", build.op({ kind: "conv", groups: 1, ...window }, [x, w], "y"));
  build.output("next", build.op({ kind: "multiply" }, [w, build.constant(0.9)], "next"));
  build.output("twice", build.op({ kind: "add" }, [w, w], "twice"));
  const split = splitBatch(build.finish(), { wholeBytes: 1, partBytes: 64 });
  expect(batchSizes(split, "y/part")).toEqual([1, 1, 1, 1]);
  expect(batchSizes(split, "next")).toEqual([4]);
  expect(batchSizes(split, "twice")).toEqual([4]);
});

it("splitBatch leaves single images of a batch whole, whatever their size", () => {
  const build = new OpGraphBuilder();
  const x = build.input("x", [4, 2, 3, 3]);
  const y = build.op({ kind: "relu" }, [x], "y");
  const first = build.op({ kind: "slice", axis: 0, start: 0, end: 1 }, [y], "first");
  const watched = build.op({ kind: "relu" }, [first], "watched");
  build.output("watched", build.op({ kind: "multiply" }, [watched, watched], "square"));
  build.output("mean", build.ops({ kind: "channelMoments" }, [y], ["mean", "meanSquare"])[0]!);
  const graph = build.finish();
  const split = splitBatch(graph, { wholeBytes: 1, partBytes: 144 });
  expect(batchSizes(split, "y/part")).toEqual([2, 2]);
  expect(batchSizes(split, "watched")).toEqual([1]);
  const feeds = new Map([["x", Float64Array.from({ length: 72 }, (_, at) => Math.sin(at))]]);
  const [expected, received] = [interpret(graph, feeds), interpret(split, feeds)];
  for (const [name, values] of expected) {
    for (const [index, value] of values.entries()) expect(received.get(name)![index], name).toBeCloseTo(value, 12);
  }
});
