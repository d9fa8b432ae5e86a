import { describe, expect, it } from "vitest";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";

function small() {
  const build = new OpGraphBuilder();
  const pixels = build.input("pixels", [2, 1, 3, 3], "uint8");
  const x = build.op({ kind: "cast", to: "float32" }, [pixels], "x");
  const kernel = build.parameter("kernel", [4, 1, 3, 3]);
  const features = build.op({ kind: "conv", strides: [1, 1], pads: [1, 1, 1, 1], groups: 1 }, [x, kernel], "features");
  const scaled = build.op({ kind: "multiply" }, [features, build.constant(0.1)]);
  const outputs = build.ops(
    { kind: "batchNormalizationTraining", epsilon: 1e-3 },
    [scaled, build.parameter("gamma", [4]), build.constant([1, 2, 3, 4])],
    ["y", "mean", "variance"],
  );
  build.output("result", outputs[0]!);
  return { build, kernel, features };
}

describe("printOpGraph", () => {
  it("is one readable line for each value", () => {
    const { build } = small();
    build.constant(Float32Array.from({ length: 10 }, (_, index) => index / 3));
    expect(printOpGraph(build.finish())).toMatchInlineSnapshot(`
      "input pixels: uint8 2×1×3×3
      parameter kernel: 4×1×3×3
      parameter gamma: 4
      constant constant: scalar = 0.1
      constant constant.1: 4 = 1 2 3 4
      constant constant.2: 10 = 0 0.3333333 0.6666667 1 1.333333 1.666667 2 2.333333 …
      x: 2×1×3×3 = cast(pixels) {to: float32}
      features: 2×4×3×3 = conv(x, kernel) {strides: 1 1, pads: 1 1 1 1, groups: 1}
      multiply: 2×4×3×3 = multiply(features, constant)
      y: 2×4×3×3, mean: 4, variance: 4 = batchNormalizationTraining(multiply, gamma, constant.1) {epsilon: 0.001}
      output result = y
      "
    `);
  });
});

describe("OpGraphBuilder", () => {
  it("gives constants the shape of their data, or the one asked for", () => {
    const build = new OpGraphBuilder();
    expect(build.constant(2)).toMatchObject({ shape: [], data: Float32Array.of(2) });
    expect(build.constant([1, 2])).toMatchObject({ shape: [2], data: Float32Array.of(1, 2) });
    expect(build.constant([1, 2], [2, 1]).shape).toEqual([2, 1]);
    expect(() => build.constant([1, 2], [3])).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: constant: the data does not fill the shape; received 2; expected 3 values.]`,
    );
  });

  it("names values after their hint, numbered when the name is taken", () => {
    const build = new OpGraphBuilder();
    const x = build.input("x", [2]);
    const names = [1, 2, 3].map(() => build.op({ kind: "relu" }, [x], "act").name);
    expect(names).toEqual(["act", "act.1", "act.2"]);
    expect(build.op({ kind: "relu" }, [x]).name).toBe("relu");
  });

  it("gives the results of a cast the new type and all others the type of their first input", () => {
    const build = new OpGraphBuilder();
    const x = build.input("x", [2], "uint8");
    const floats = build.op({ kind: "cast", to: "float32" }, [x]);
    expect(floats.type).toBe("float32");
    expect(build.op({ kind: "reshape", shape: [2, 1] }, [x]).type).toBe("uint8");
  });

  it("continues a graph without changing it", () => {
    const graph = small().build.finish();
    const before = printOpGraph(graph);
    const build = new OpGraphBuilder(graph);
    const kernel = graph.parameters[0]!;
    build.output("positive", build.op({ kind: "relu" }, [kernel], "features"));
    expect(printOpGraph(graph)).toBe(before);
    expect(printOpGraph(build.finish()).split("\n")).toEqual(
      expect.arrayContaining(["features.1: 4×1×3×3 = relu(kernel)", "output positive = features.1"]),
    );
  });

  it("does not change a graph it has finished", () => {
    const { build, features } = small();
    const graph = build.finish();
    const before = printOpGraph(graph);
    build.output("more", build.op({ kind: "relu" }, [features, build.constant(1)]));
    build.parameter("beta", [4]);
    expect(printOpGraph(graph)).toBe(before);
  });

  it("refuses names that are taken", () => {
    const { build, features } = small();
    expect(() => build.input("pixels", [1])).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: value "pixels": another value of this graph has the same name.]`,
    );
    expect(() => build.parameter("features", [1])).toThrow('value "features": another value of this graph');
    expect(() => build.output("result", features)).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: output "result": another output of this graph has the same name.]`,
    );
  });

  it("refuses values of another graph", () => {
    const { features } = small();
    const other = new OpGraphBuilder();
    expect(() => other.op({ kind: "relu" }, [features])).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: operator relu: an input is not of this graph; received "features".]`,
    );
    expect(() => other.output("result", features)).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: output "result": its value is not of this graph; received "features".]`,
    );
  });
});
