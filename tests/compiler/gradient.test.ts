import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gradient } from "../../src/compiler/gradient.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { opOutputShapes } from "../../src/graph/op-shapes.ts";
import type { OpConfig, OpKind, Pads } from "../../src/graph/ops.ts";
import { mulberry32, type Random, shuffledIndices } from "../../src/tensor/random.ts";
import { type Shape, sizeOf } from "../../src/tensor/shape.ts";
import { type GradientDifference, worstGradient } from "../oracles/finite-difference.ts";
import { interpret } from "../oracles/interpreter.ts";
import { type OpCase, opCases } from "../oracles/op-cases.ts";

/** Central differences in float64 are right to about 1e-9 here; a wrong rule is off by 1e-3 and more. */
const tolerance = 1e-7;

/**
 * Which operators have a gradient; total, so that a new operator has to take a side. One that is straight through is not that of
 * the steps that central differences see.
 */
const differentiable: Readonly<Record<OpKind, boolean | "straight through">> = {
  conv: true,
  convInputGradient: false,
  convFilterGradient: false,
  batchNormalization: true,
  batchNormalizationTraining: true,
  batchNormalizationGradient: false,
  batchNormalizationAffineGradient: false,
  channelMoments: false,
  scaledSum: false,
  maxPool: true,
  maxPoolGradient: false,
  averagePool: true,
  pad: true,
  relu: true,
  reluGradient: false,
  elu: true,
  eluGradient: false,
  leakyRelu: true,
  leakyReluGradient: false,
  sigmoid: true,
  exp: true,
  log: true,
  sqrt: true,
  softplus: true,
  add: true,
  subtract: true,
  multiply: true,
  divide: true,
  minimum: false,
  maximum: false,
  softmax: true,
  logSoftmax: true,
  reduceSum: true,
  reduceMean: true,
  matMul: true,
  transpose: true,
  reshape: true,
  expand: true,
  slice: false,
  everyNth: false,
  concatenate: true,
  cast: false,
  quantizeLinear: false,
  dequantizeLinear: false,
  fakeQuantize: "straight through",
  fakeQuantizeGradient: false,
  fakeQuantizeKernel: "straight through",
  allReduceMean: true,
};
const kinds = Object.keys(differentiable) as OpKind[];

/** An operator between parameters `x0`, `x1`, … and the scalar output `loss`: its first output times random weights. */
function lossOf({ config, inputs }: OpCase) {
  const random = mulberry32(11);
  const build = new OpGraphBuilder();
  const parameters = inputs.map((shape, index) => build.parameter(`x${index}`, shape));
  const y = build.ops(config, parameters, [])[0]!;
  const weights = Float32Array.from({ length: sizeOf(y.shape) }, () => 2 * random() - 1);
  const weighted = build.op({ kind: "multiply" }, [y, build.constant(weights, y.shape)]);
  const flat = build.op({ kind: "reshape", shape: [weights.length] }, [weighted]);
  build.output("loss", build.op({ kind: "reduceSum", axes: [0], keepDims: false }, [flat]));
  return {
    graph: build.finish(),
    feeds: new Map(parameters.map(({ name, shape }, index) => [name, numbers(config.kind, index, shape, random)])),
  };
}

/** Numbers away from kinks, poles and ties: magnitudes from 0.5 to 2, no two alike where a maximum is sought. */
function numbers(kind: OpKind, input: number, shape: Shape, random: Random): Float64Array {
  const count = sizeOf(shape);
  if (kind === "maxPool") return Float64Array.from(shuffledIndices(count, random), (rank) => 0.1 * rank - 2);
  const isVariance = kind === "batchNormalization" && input === 4;
  const isPositive = isVariance || kind === "log" || kind === "sqrt";
  return Float64Array.from({ length: count }, () => (isPositive || random() < 0.5 ? 1 : -1) * (0.5 + 1.5 * random()));
}

function worstOf(opCase: OpCase): GradientDifference {
  const { graph, feeds } = lossOf(opCase);
  const names = [...feeds.keys()];
  const outputs = interpret(gradient(graph, "loss", names).graph, feeds);
  return worstGradient(graph, "loss", new Map(names.map((name) => [name, outputs.get(`gradient/${name}`)!])), feeds);
}

describe("every gradient rule agrees with central differences", () => {
  it.each(kinds.filter((kind) => differentiable[kind] === true))("%s, at random geometry", (kind) => {
    fc.assert(
      fc.property(opCases[kind] as fc.Arbitrary<OpCase>, (opCase) => {
        expect(worstOf(opCase).difference).toBeLessThan(tolerance);
      }),
      { numRuns: 25, seed: 1 },
    );
  });
});

describe("an operator without a gradient", () => {
  it.each(kinds.filter((kind) => differentiable[kind] === false))("%s says so", (kind) => {
    const [opCase] = fc.sample(opCases[kind] as fc.Arbitrary<OpCase>, { numRuns: 1, seed: 1 });
    expect(() => worstOf(opCase!)).toThrow(
      `gradient of ${kind}: this operator has no gradient rule. ` +
        "Ask for gradients of values after it, or leave it out of the target.",
    );
  });
});

describe("a gradient straight through rounding", () => {
  const gradientOf = (config: OpConfig, x: readonly number[], shape: Shape = [x.length]) => {
    const build = new OpGraphBuilder();
    const y = build.op(config, [build.parameter("x", shape)]);
    const weights = build.constant(
      x.map((_, index) => index + 1),
      shape,
    );
    const weighted = build.op({ kind: "multiply" }, [y, weights]);
    build.output("loss", build.op({ kind: "reduceSum", axes: [...shape.keys()], keepDims: false }, [weighted]));
    const { graph } = gradient(build.finish(), "loss", ["x"]);
    return [...interpret(graph, new Map([["x", Float64Array.from(x)]])).get("gradient/x")!];
  };

  it("is the identity's where nothing is clipped, and 0 elsewhere", () => {
    // Bytes 0 to 255 stand for −1 to 24.5, and half a step beyond.
    const config = { kind: "fakeQuantize", scale: 0.1, zeroPoint: 10 } as const;
    expect(gradientOf(config, [-3, -1.06, -1.04, 0, 0.33, 24.5, 24.54, 24.56])).toEqual([0, 0, 3, 4, 5, 6, 7, 0]);
  });

  it("is the identity's for kernels, whose largest weight sets the scale", () => {
    const config = { kind: "fakeQuantizeKernel", axes: [1], largest: 127 } as const;
    expect(gradientOf(config, [-3, 0.01, 500, 0], [2, 2])).toEqual([1, 2, 3, 4]);
  });
});

describe("the geometries of Xception", () => {
  const odd = [2, 2, 7, 5] as const;
  const even = [2, 2, 6, 8] as const;
  const none: Pads = [0, 0, 0, 0];
  const around: Pads = [1, 1, 1, 1];
  const atTheEnd: Pads = [0, 0, 1, 1];
  const conv = (strides: 1 | 2, pads: Pads, groups: number): OpConfig => ({
    kind: "conv",
    strides: [strides, strides],
    pads,
    groups,
  });
  const pool = (pads: Pads): OpConfig => ({ kind: "maxPool", kernel: [3, 3], strides: [2, 2], pads });

  it.each<[string, OpConfig, readonly Shape[]]>([
    ["stem, valid, stride 2, odd", conv(2, none, 1), [odd, [3, 2, 3, 3]]],
    ["stem, valid, stride 2, even", conv(2, none, 1), [even, [3, 2, 3, 3]]],
    ["stem, same, stride 2, even: SAME_UPPER", conv(2, atTheEnd, 1), [even, [3, 2, 3, 3]]],
    ["stem, valid, stride 1", conv(1, none, 1), [odd, [3, 2, 3, 3]]],
    ["pointwise", conv(1, none, 1), [odd, [3, 2, 1, 1]]],
    ["pointwise with bias", conv(1, none, 1), [odd, [3, 2, 1, 1], [3]]],
    ["shortcut, stride 2, odd", conv(2, none, 1), [odd, [3, 2, 1, 1]]],
    ["shortcut, stride 2, even", conv(2, none, 1), [even, [3, 2, 1, 1]]],
    ["depthwise, same, odd", conv(1, around, 2), [odd, [2, 1, 3, 3]]],
    ["depthwise, same, even", conv(1, around, 2), [even, [2, 1, 3, 3]]],
    ["pooling, same, odd", pool(around), [odd]],
    ["pooling, same, even: SAME_UPPER", pool(atTheEnd), [even]],
    ["average pooling, same, odd", { ...pool(around), kind: "averagePool" } as OpConfig, [odd]],
    ["average pooling, same, even: SAME_UPPER", { ...pool(atTheEnd), kind: "averagePool" } as OpConfig, [even]],
    ["a row of Inception's factorized convolution", { ...conv(1, [0, 3, 0, 3], 1) }, [odd, [3, 2, 1, 7]]],
    ["a column of it", { ...conv(1, [3, 0, 3, 0], 1) }, [odd, [3, 2, 7, 1]]],
    ["batch norm while training", { kind: "batchNormalizationTraining", epsilon: 1e-3 }, [odd, [2], [2]]],
    ["batch norm, frozen", { kind: "batchNormalization", epsilon: 1e-3 }, [even, [2], [2], [2], [2]]],
    ["bias of a dense layer", { kind: "add" }, [[3, 4], [4]]],
    ["scale of a batch", { kind: "multiply" }, [[2, 3, 1, 1], odd.map((size, axis) => (axis === 1 ? 3 : size))]],
  ])("%s", (_, config, inputs) => {
    expect(opOutputShapes(config, inputs)[0]!.every((size) => size > 0)).toBe(true);
    expect(worstOf({ config, inputs }).difference).toBeLessThan(tolerance);
  });
});

describe("a network with a residual connection", () => {
  const random = mulberry32(5);
  const build = new OpGraphBuilder();
  const image = build.input("image", [2, 2, 5, 6]);
  const labels = build.input("labels", [2, 3]);
  const vector = (name: string) => build.parameter(name, [4]);
  const stem = build.op({ kind: "conv", strides: [1, 1], pads: [1, 1, 1, 1], groups: 1 }, [
    image,
    build.parameter("stem", [4, 2, 3, 3]),
  ]);
  const [normal] = build.ops(
    { kind: "batchNormalizationTraining", epsilon: 1e-3 },
    [stem, vector("gamma"), vector("beta")],
    ["normal"],
  );
  const active = build.op({ kind: "elu" }, [normal!], "active");
  const depthwise = build.op({ kind: "conv", strides: [1, 1], pads: [1, 1, 1, 1], groups: 4 }, [
    active,
    build.parameter("depthwise", [4, 1, 3, 3]),
  ]);
  const sum = build.op({ kind: "add" }, [depthwise, active], "sum");
  const features = build.op({ kind: "reduceMean", axes: [2, 3], keepDims: false }, [sum]);
  const logits = build.op({ kind: "matMul", transposeA: false, transposeB: false }, [
    features,
    build.parameter("dense", [4, 3]),
  ]);
  const crossEntropy = build.op({ kind: "multiply" }, [build.op({ kind: "logSoftmax" }, [logits]), labels]);
  const total = build.op({ kind: "reduceSum", axes: [0, 1], keepDims: false }, [crossEntropy]);
  build.output("loss", build.op({ kind: "multiply" }, [total, build.constant(-1 / 2)]));
  build.output("logits", logits);
  const graph = build.finish();
  const feeds = new Map(
    [...graph.inputs, ...graph.parameters].map(({ name, shape }) => [name, numbers("conv", 0, shape, random)]),
  );
  feeds.set("labels", Float64Array.of(0, 1, 0, 1, 0, 0));

  function worst(names: readonly string[]): GradientDifference {
    const outputs = interpret(gradient(graph, "loss", names).graph, feeds);
    return worstGradient(graph, "loss", new Map(names.map((name) => [name, outputs.get(`gradient/${name}`)!])), feeds);
  }

  it("has right gradients for its parameters, through both ways of the connection", () => {
    expect(worst(["stem", "gamma", "beta", "depthwise", "dense"]).difference).toBeLessThan(tolerance);
  });

  it("has right gradients for its input and for values on the way, as Grad-CAM asks", () => {
    expect(worst(["image", "active", "sum"]).difference).toBeLessThan(tolerance);
  });

  it("keeps what the graph had and computes no gradient that nobody asked for", () => {
    const { graph: continued, gradients } = gradient(graph, "loss", ["dense"]);
    expect(continued.operations.slice(0, graph.operations.length)).toEqual(graph.operations);
    expect([...continued.outputs.keys()]).toEqual(["loss", "logits", "gradient/dense"]);
    expect(gradients.get("dense")!.shape).toEqual([4, 3]);
    const added = continued.operations.slice(graph.operations.length).map(({ config }) => config.kind);
    expect(added).not.toContain("convFilterGradient");
    expect(added).not.toContain("reluGradient");
  });

  it("refuses a target or a value that it cannot differentiate", () => {
    expect(() => gradient(graph, "accuracy", ["dense"])).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: gradient of "accuracy": the graph has no such output; expected one of loss, logits.]`,
    );
    expect(() => gradient(graph, "logits", ["dense"])).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: gradient of "logits": the output is not a scalar; received [2, 3]; expected a single element.]`,
    );
    expect(() => gradient(graph, "loss", ["nothing"])).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: gradient of "loss": it does not depend on this value; received "nothing".]`,
    );
  });
});

describe("a value that is used more than once", () => {
  it("gets the sum of its gradients, as operand twice and by two operators", () => {
    const build = new OpGraphBuilder();
    const x = build.parameter("x", [3]);
    const square = build.op({ kind: "multiply" }, [x, x]);
    const sum = build.op({ kind: "subtract" }, [square, x]);
    build.output("loss", build.op({ kind: "reduceSum", axes: [0], keepDims: false }, [sum]));
    const outputs = interpret(
      gradient(build.finish(), "loss", ["x"]).graph,
      new Map([["x", Float64Array.of(1, 2, -3)]]),
    );
    expect(outputs.get("gradient/x")).toEqual(Float64Array.of(1, 3, -7));
  });
});

describe("the batch's statistics", () => {
  it.each([
    ["alone", false],
    ["beside the normalized values", true],
  ])("cannot be differentiated %s", (_, withFirst) => {
    const build = new OpGraphBuilder();
    const x = build.parameter("x", [1, 2, 2, 2]);
    const [y, mean] = build.ops(
      { kind: "batchNormalizationTraining", epsilon: 1e-3 },
      [x, build.parameter("gamma", [2]), build.parameter("beta", [2])],
      ["y", "mean", "variance"],
    );
    const sumOfMeans = build.op({ kind: "reduceSum", axes: [0], keepDims: false }, [mean!]);
    const sumOfY = build.op({ kind: "reduceSum", axes: [0, 1, 2, 3], keepDims: false }, [y!]);
    build.output("loss", withFirst ? build.op({ kind: "add" }, [sumOfMeans, sumOfY]) : sumOfMeans);
    expect(() => gradient(build.finish(), "loss", ["x"])).toThrow(
      'gradient of batchNormalizationTraining: only its first output can be differentiated; received "mean".',
    );
  });
});
