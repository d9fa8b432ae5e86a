import { describe, expect, it } from "vitest";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import type { OpConfig } from "../../src/graph/ops.ts";
import { applyOp, type Operand } from "./apply-op.ts";
import { evaluate, interpret } from "./interpreter.ts";

/** The first output's shape and numbers, rounded to 12 digits so that worked numbers can be compared exactly. */
function result(config: OpConfig, ...operands: readonly Operand[]): Operand {
  const { shape, data } = applyOp(config, ...operands)[0]!;
  return [shape, rounded(data)];
}

function rounded(data: Float64Array): number[] {
  return Array.from(data, (value) => Number(value.toPrecision(12)));
}

describe("convolution, worked by hand", () => {
  // "same" over 4 pixels with 3 taps and stride 2 needs one pixel of padding: SAME_UPPER puts it at the end.
  const window = { strides: [1, 2], pads: [0, 0, 0, 1], groups: 1 } as const;
  const x: Operand = [
    [1, 1, 1, 4],
    [1, 2, 3, 4],
  ];
  const w: Operand = [
    [1, 1, 1, 3],
    [1, 10, 100],
  ];

  it("puts the odd padding pixel at the end", () => {
    expect(result({ kind: "conv", ...window }, x, w)).toEqual([
      [1, 1, 1, 2],
      [321, 43],
    ]);
  });

  it("hands the gradient back through the taps", () => {
    const dy: Operand = [
      [1, 1, 1, 2],
      [1, 2],
    ];
    expect(result({ kind: "convInputGradient", ...window, inputShape: x[0] }, dy, w)).toEqual([
      [1, 1, 1, 4],
      [1, 10, 102, 20],
    ]);
    expect(result({ kind: "convFilterGradient", ...window, kernelShape: w[0] }, x, dy)).toEqual([
      [1, 1, 1, 3],
      [7, 10, 3],
    ]);
  });

  const twoChannels: Operand = [
    [1, 2, 2, 2],
    [1, 2, 3, 4, 5, 6, 7, 8],
  ];
  const still = { strides: [1, 1], pads: [0, 0, 0, 0] } as const;

  it("keeps groups apart, does not flip the kernel and adds the bias", () => {
    const perChannel: Operand = [
      [2, 1, 2, 2],
      [1, 0, 0, 10, 0, 1, 10, 0],
    ];
    const bias: Operand = [[2], [0.5, -1]];
    expect(result({ kind: "conv", ...still, groups: 2 }, twoChannels, perChannel, bias)).toEqual([
      [1, 2, 1, 1],
      [1 + 40 + 0.5, 6 + 70 - 1],
    ]);
  });

  it("sums over the channels of a group and over the batch of a gradient", () => {
    const mix: Operand = [
      [1, 2, 1, 1],
      [10, 1],
    ];
    expect(result({ kind: "conv", ...still, groups: 1 }, twoChannels, mix)).toEqual([
      [1, 1, 2, 2],
      [15, 26, 37, 48],
    ]);

    const batch: Operand = [
      [2, 1, 1, 1],
      [3, 5],
    ];
    const dy: Operand = [
      [2, 1, 1, 1],
      [10, 100],
    ];
    const config = { kind: "convFilterGradient", ...still, groups: 1, kernelShape: [1, 1, 1, 1] } as const;
    expect(result(config, batch, dy)).toEqual([[1, 1, 1, 1], [530]]);
  });
});

describe("batch normalization, worked by hand", () => {
  it("uses the statistics it is given", () => {
    const vectors: Operand[] = [
      [[1], [3]],
      [[1], [1]],
      [[1], [1]],
      [[1], [3]],
    ];
    const y = result({ kind: "batchNormalization", epsilon: 1 }, [[1, 1, 1, 1], [2]], ...vectors);
    expect(y).toEqual([[1, 1, 1, 1], [3 * ((2 - 1) / 2) + 1]]);
  });

  // Mean 4, biased variance (9 + 1 + 1 + 9)/4 = 5; with epsilon 4 the deviation is 3.
  const x: Operand = [
    [2, 1, 1, 2],
    [1, 3, 5, 7],
  ];

  it("takes mean and biased variance of batch and image while training", () => {
    const outputs = applyOp({ kind: "batchNormalizationTraining", epsilon: 4 }, x, [[1], [3]], [[1], [1]]);
    expect(outputs.map(({ data }) => rounded(data))).toEqual([[-2, 0, 2, 4], [4], [5]]);
  });

  it("keeps channels apart", () => {
    const channels: Operand = [
      [1, 2, 1, 2],
      [1, 3, 10, 30],
    ];
    const outputs = applyOp({ kind: "batchNormalizationTraining", epsilon: 0 }, channels, [[2], [1, 1]], [[2], [0, 5]]);
    expect(outputs.map(({ data }) => rounded(data))).toEqual([
      [-1, 1, 4, 6],
      [2, 20],
      [1, 100],
    ]);
  });

  it("lets the gradient see that the statistics depend on x", () => {
    // x̂ = −1, −1/3, 1/3, 1; mean of dy 1/4; mean of dy·x̂ −1/4; gamma/deviation 1.
    const dy: Operand = [
      [2, 1, 1, 2],
      [1, 0, 0, 0],
    ];
    const config = { kind: "batchNormalizationGradient", epsilon: 4 } as const;
    const [dx, dgamma, dbeta] = applyOp(config, dy, x, [[1], [3]], [[1], [4]], [[1], [5]]);
    expect(rounded(dx!.data)).toEqual(rounded(Float64Array.of(1 / 2, -1 / 3, -1 / 6, 0)));
    expect(rounded(dgamma!.data)).toEqual([-1]);
    expect(rounded(dbeta!.data)).toEqual([1]);
  });
});

describe("max pooling, worked by hand", () => {
  const pool = { kind: "maxPool", kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } as const;

  it("never lets padding win, even when all values are negative", () => {
    expect(
      result(pool, [
        [1, 1, 2, 2],
        [-4, -3, -2, -1],
      ]),
    ).toEqual([[1, 1, 1, 1], [-1]]);
  });

  it("pads at the end for `same` with an even size", () => {
    const upper = { ...pool, kernel: [1, 3], strides: [1, 2], pads: [0, 0, 0, 1] } as const;
    expect(
      result(upper, [
        [1, 1, 1, 4],
        [9, 1, 2, 5],
      ]),
    ).toEqual([
      [1, 1, 1, 2],
      [9, 5],
    ]);
  });

  it("gives the gradient to the first of several maxima, row by row", () => {
    const gradient = { kind: "maxPoolGradient", kernel: [2, 2], strides: [1, 1], pads: [0, 0, 0, 0] } as const;
    const x: Operand = [
      [1, 1, 2, 3],
      [1, 5, 5, 5, 1, 5],
    ];
    expect(
      result(
        gradient,
        [
          [1, 1, 1, 2],
          [10, 100],
        ],
        x,
        [
          [1, 1, 1, 2],
          [5, 5],
        ],
      ),
    ).toEqual([
      [1, 1, 2, 3],
      [0, 110, 0, 0, 0, 0],
    ]);
  });
});

describe("elementwise operators, worked by hand", () => {
  const ln2 = Math.log(2);
  it.each([
    ["relu", [-2, 0, 3], [0, 0, 3]],
    ["elu", [-ln2, 0, 3], [-0.5, 0, 3]],
    ["sigmoid", [0, Math.log(3), -Math.log(3)], [0.5, 0.75, 0.25]],
    ["exp", [0, ln2, -ln2], [1, 2, 0.5]],
    ["log", [1, Math.E, 0.5], [0, 1, -ln2]],
    ["sqrt", [0, 4, 2.25], [0, 2, 1.5]],
    ["softplus", [0, 800, -800], [ln2, 800, 0]],
    ["allReduceMean", [0, 800, -800], [0, 800, -800]],
  ] as const)("%s", (kind, x, expected) => {
    expect(result({ kind }, [[3], x])).toEqual([[3], rounded(Float64Array.from(expected))]);
  });

  it.each([
    ["add", [5, 3, 5, 7]],
    ["subtract", [-3, -5, 1, 3]],
    ["multiply", [4, -4, 6, 10]],
    ["divide", [0.25, -0.25, 1.5, 2.5]],
    ["minimum", [1, -1, 2, 2]],
  ] as const)("%s stretches axes of size 1", (kind, expected) => {
    expect(
      result(
        { kind },
        [
          [2, 2],
          [1, -1, 3, 5],
        ],
        [
          [2, 1],
          [4, 2],
        ],
      ),
    ).toEqual([[2, 2], expected]);
  });

  it("aligns operands at the last axis", () => {
    const outer = result(
      { kind: "add" },
      [
        [2, 1],
        [10, 20],
      ],
      [[3], [1, 2, 3]],
    );
    expect(outer).toEqual([
      [2, 3],
      [11, 12, 13, 21, 22, 23],
    ]);
    expect(result({ kind: "subtract" }, [[], [1]], [[2], [3, 4]])).toEqual([[2], [-2, -3]]);
  });

  it("gives relu and elu the gradient of their output's side", () => {
    const dy: Operand = [[3], [10, 10, 10]];
    expect(result({ kind: "reluGradient" }, dy, [[3], [0, 2, 0.5]])).toEqual([[3], [0, 10, 10]]);
    expect(result({ kind: "eluGradient" }, dy, [[3], [-0.5, 0, 3]])).toEqual([[3], [5, 10, 10]]);
  });

  it("rounds to the numbers that integers stand for", () => {
    // Bytes from 0 to 255 stand for −1 to 126.5.
    const rounding = { scale: 0.5, zeroPoint: 2 };
    const x: Operand = [[7], [-3, -1.2, -0.3, 0.25, 0.75, 126.7, 200]];
    expect(result({ kind: "fakeQuantize", ...rounding }, x)).toEqual([[7], [-1, -1, -0.5, 0, 1, 126.5, 126.5]]);
    const dy: Operand = [[7], [1, 2, 3, 4, 5, 6, 7]];
    expect(result({ kind: "fakeQuantizeGradient", ...rounding }, dy, x)).toEqual([[7], [0, 2, 3, 4, 5, 6, 0]]);
    const kernel: Operand = [
      [3, 2],
      [3, 1.4, -0.6, 0.29, 0, 0],
    ];
    const rounded = (axes: readonly number[]) => result({ kind: "fakeQuantizeKernel", axes, largest: 3 }, kernel)[1];
    expect(rounded([1])).toEqual([3, 1, -0.6, 0.2, 0, 0]);
    expect(rounded([0, 1])).toEqual([3, 1, -1, 0, 0, 0]);
  });

  it("cuts off fractions in a cast to integers", () => {
    const x: Operand = [[3], [2.7, 0, 255]];
    expect(result({ kind: "cast", to: "uint8" }, x)).toEqual([[3], [2, 0, 255]]);
    expect(result({ kind: "cast", to: "int64" }, [[2], [-2.7, 3]])).toEqual([[2], [-2, 3]]);
    expect(result({ kind: "cast", to: "bool" }, x)).toEqual([[3], [1, 0, 1]]);
    expect(result({ kind: "cast", to: "float32" }, x)).toEqual(x);
  });
});

describe("operators over axes, worked by hand", () => {
  const grid: Operand = [
    [2, 3],
    [1, 2, 3, 4, 5, 6],
  ];

  it("softmax and its logarithm work along the last axis, for large numbers too", () => {
    const rows: Operand = [
      [2, 2],
      [0, Math.log(3), 1000, 1000],
    ];
    expect(result({ kind: "softmax" }, rows)).toEqual([
      [2, 2],
      [0.25, 0.75, 0.5, 0.5],
    ]);
    const logarithms = rounded(Float64Array.from([0.25, 0.75, 0.5, 0.5], Math.log));
    expect(result({ kind: "logSoftmax" }, rows)).toEqual([[2, 2], logarithms]);
  });

  it("reduces over the axes it is given", () => {
    const sum = (axes: number[], keepDims: boolean) => result({ kind: "reduceSum", axes, keepDims }, grid);
    expect(sum([0], false)).toEqual([[3], [5, 7, 9]]);
    expect(sum([1], true)).toEqual([
      [2, 1],
      [6, 15],
    ]);
    expect(sum([0, 1], false)).toEqual([[], [21]]);
    expect(result({ kind: "reduceMean", axes: [1], keepDims: false }, grid)).toEqual([[2], [2, 5]]);
  });

  it("multiplies matrices in each of the four transpositions", () => {
    const square: Operand = [
      [2, 2],
      [1, 2, 3, 4],
    ];
    const other: Operand = [
      [2, 2],
      [5, 6, 7, 8],
    ];
    const product = (transposeA: boolean, transposeB: boolean) =>
      result({ kind: "matMul", transposeA, transposeB }, square, other)[1];
    expect(product(false, false)).toEqual([19, 22, 43, 50]);
    expect(product(true, false)).toEqual([26, 30, 38, 44]);
    expect(product(false, true)).toEqual([17, 23, 39, 53]);
    expect(product(true, true)).toEqual([23, 31, 34, 46]);
    const tall = result({ kind: "matMul", transposeA: false, transposeB: false }, grid, [
      [3, 1],
      [1, 10, 100],
    ]);
    expect(tall).toEqual([
      [2, 1],
      [321, 654],
    ]);
  });

  it("transposes, reshapes and expands", () => {
    expect(result({ kind: "transpose", permutation: [1, 0] }, grid)).toEqual([
      [3, 2],
      [1, 4, 2, 5, 3, 6],
    ]);
    const cube: Operand = [
      [1, 2, 3],
      [1, 2, 3, 4, 5, 6],
    ];
    expect(result({ kind: "transpose", permutation: [2, 0, 1] }, cube)).toEqual([
      [3, 1, 2],
      [1, 4, 2, 5, 3, 6],
    ]);
    expect(result({ kind: "reshape", shape: [3, 2] }, grid)).toEqual([
      [3, 2],
      [1, 2, 3, 4, 5, 6],
    ]);
    expect(
      result({ kind: "expand", shape: [2, 3] }, [
        [2, 1],
        [1, 2],
      ]),
    ).toEqual([
      [2, 3],
      [1, 1, 1, 2, 2, 2],
    ]);
  });
});

describe("a graph", () => {
  const build = new OpGraphBuilder();
  const x = build.input("x", [2]);
  const w = build.parameter("w", [2]);
  const product = build.op({ kind: "multiply" }, [x, w], "product");
  build.output("result", build.op({ kind: "add" }, [product, build.constant(0.5)], "sum"));
  const graph = build.finish();
  const feeds = new Map([
    ["x", Float64Array.of(1, 2)],
    ["w", Float64Array.of(10, 100)],
  ]);

  it("gives its outputs by their public names", () => {
    expect(interpret(graph, feeds)).toEqual(new Map([["result", Float64Array.of(10.5, 200.5)]]));
  });

  it("shows every value, and takes a computed one as given when it is fed", () => {
    expect(evaluate(graph, feeds).get("product")!.data).toEqual(Float64Array.of(10, 200));
    const replaced = interpret(graph, new Map([...feeds, ["product", Float64Array.of(1, 1)]]));
    expect(replaced.get("result")).toEqual(Float64Array.of(1.5, 1.5));
  });

  it("says which feed is missing or too short", () => {
    expect(() => interpret(graph, new Map([["x", Float64Array.of(1, 2)]]))).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: interpreter, feed "w": the numbers do not fill the shape; received "nothing"; expected 2 values.]`,
    );
    const short = new Map([...feeds, ["w", Float64Array.of(1)]]);
    expect(() => interpret(graph, short)).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: interpreter, feed "w": the numbers do not fill the shape; received "1 values"; expected 2 values.]`,
    );
  });
});
