import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { opOutputShapes } from "../../src/graph/op-shapes.ts";
import type { OpConfig, OpKind } from "../../src/graph/ops.ts";
import { type Shape, sizeOf } from "../../src/tensor/shape.ts";
import { applyOp } from "../oracles/apply-op.ts";
import { type OpCase, opCases } from "../oracles/op-cases.ts";

describe("the shape rule agrees with the shape that the interpreter computes", () => {
  it.each(Object.keys(opCases) as OpKind[])("%s", (kind) => {
    fc.assert(
      fc.property(opCases[kind] as fc.Arbitrary<OpCase>, ({ config, inputs }) => {
        const ones = inputs.map((shape) => [shape, new Array<number>(sizeOf(shape)).fill(1)] as const);
        const computed = applyOp(config, ...ones);
        expect(opOutputShapes(config, inputs)).toEqual(computed.map(({ shape }) => shape));
        for (const { shape, data } of computed) expect(data).toHaveLength(sizeOf(shape));
      }),
      { numRuns: 50 },
    );
  });
});

describe("inputs that do not fit", () => {
  const window = { strides: [1, 1], pads: [0, 0, 0, 0] } as const;
  const conv = { kind: "conv", groups: 1, ...window } as const;
  const matMul = { kind: "matMul", transposeA: false, transposeB: false } as const;
  const reduce = (axes: readonly number[]) => ({ kind: "reduceSum", axes, keepDims: false }) as const;
  const attempt =
    (config: OpConfig, ...inputs: readonly Shape[]) =>
    () =>
      opOutputShapes(config, inputs);

  it("to a convolution", () => {
    expect(attempt(conv, [2, 3, 5])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: conv: the input is not a batch of images; received "2×3×5"; expected [N, C, H, W].]`,
    );
    expect(attempt(conv, [2, 3, 5, 5], [4, 2, 3, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: conv: the kernel does not fit the channels; received "2×3×5×5, 4×2×3×3"; expected [K, C/groups, kh, kw], K divisible by groups.]`,
    );
    expect(attempt({ ...conv, groups: 3 }, [2, 3, 5, 5], [4, 1, 3, 3])).toThrow("K divisible by groups");
    expect(attempt(conv, [2, 3, 5, 5], [4, 3, 3, 3], [3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: conv: the bias does not fit the kernel; received "3, 4×3×3×3"; expected [4].]`,
    );
    expect(attempt(conv, [2, 3, 2, 5], [4, 3, 3, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: window: the window is larger than the image; received "3×3, 2×3×2×5"; expected an image as large as the window.]`,
    );
  });

  it("to every nth number", () => {
    expect(attempt({ kind: "everyNth", step: 2 }, [2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: everyNth: it is not a row of numbers; received "2×3, 2"; expected one axis, and a step of at least 1.]`,
    );
  });

  it("to a rounding", () => {
    expect(attempt({ kind: "quantizeLinear", zeroPoint: 0 }, [2, 3], [3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: quantizeLinear: the scale is not one number; received "3"; expected a scalar.]`,
    );
    const dequantize = { kind: "dequantizeLinear", zeroPoint: 0, axis: 1 } as const;
    expect(attempt(dequantize, [2, 3], [2])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: dequantizeLinear: the scale does not fit axis 1; received "2×3, 2"; expected a scalar, or a number for each index.]`,
    );
    expect(attempt(dequantize, [2, 3], [3])()).toEqual([[2, 3]]);
    expect(attempt({ kind: "fakeQuantizeKernel", axes: [2], largest: 127 }, [2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: fakeQuantizeKernel: the axes do not fit; received "axes 2 of 2×3"; expected at least one axis of the input, in ascending order.]`,
    );
  });

  it("to the gradient of a window", () => {
    const ofInput = { ...conv, kind: "convInputGradient", inputShape: [2, 3, 5, 5] } as const;
    expect(attempt(ofInput, [2, 4, 5, 5], [4, 3, 3, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: convInputGradient: the gradient does not have the shape of the output; received "2×4×5×5"; expected 2×4×3×3.]`,
    );
    const ofFilter = { ...conv, kind: "convFilterGradient", kernelShape: [4, 3, 3, 3] } as const;
    expect(attempt(ofFilter, [2, 3, 5, 5], [2, 4, 4, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: convFilterGradient: the gradient does not have the shape of the output; received "2×4×4×3"; expected 2×4×3×3.]`,
    );
    const ofPool = { kind: "maxPoolGradient", kernel: [2, 2], ...window } as const;
    expect(attempt(ofPool, [1, 1, 4, 4], [1, 1, 4, 4], [1, 1, 3, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: maxPoolGradient: the gradient does not have the shape of the output; received "1×1×4×4"; expected 1×1×3×3.]`,
    );
  });

  it("to batch normalization", () => {
    const image = [2, 3, 4, 4];
    expect(
      attempt({ kind: "batchNormalization", epsilon: 0.1 }, image, [3], [3], [3]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: batchNormalization: a statistic or scale does not fit; received "3, 3, 3"; expected 4 vectors of 3.]`,
    );
    expect(
      attempt({ kind: "batchNormalizationTraining", epsilon: 0.1 }, image, [3], [4]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: batchNormalizationTraining: a statistic or scale does not fit; received "3, 4"; expected 2 vectors of 3.]`,
    );
    expect(
      attempt({ kind: "batchNormalizationGradient", epsilon: 0.1 }, [2, 3, 4, 5], image, [3], [3], [3]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: batchNormalizationGradient: the gradient does not have the shape of the output; received "2×3×4×5"; expected 2×3×4×4.]`,
    );
  });

  it("to an operator on pairs", () => {
    expect(attempt({ kind: "reluGradient" }, [2, 3], [3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: reluGradient: the inputs differ; received "2×3, 3"; expected equal shapes.]`,
    );
    expect(attempt({ kind: "add" }, [2, 3], [2, 4])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: broadcast: axis 1 has two sizes; received "2×3 and 2×4"; expected equal sizes, or 1.]`,
    );
  });

  it("to a matrix product", () => {
    expect(attempt(matMul, [2, 3], [2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: matMul: the inner sizes differ; received "2×3, 2×3"; expected [M, K] and [K, N].]`,
    );
    expect(attempt(matMul, [2, 3, 1], [3, 2])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: matMul: the inputs are not matrices; received "2×3×1, 3×2"; expected two axes.]`,
    );
  });

  it("to an operator over axes", () => {
    expect(attempt(reduce([2]), [2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: reduceSum: the axes do not fit; received "axes 2 of 2×3"; expected at least one axis of the input, in ascending order.]`,
    );
    expect(attempt(reduce([1, 0]), [2, 3])).toThrow("in ascending order");
    expect(attempt(reduce([]), [2, 3])).toThrow("at least one axis");
    expect(attempt({ kind: "transpose", permutation: [0, 0] }, [2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: transpose: the permutation does not name each axis once; received "0×0, 2×3"; expected a permutation.]`,
    );
    expect(attempt({ kind: "reshape", shape: [7] }, [2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: reshape: the number of elements changes; received "2×3, 7"; expected as many elements as before.]`,
    );
    expect(attempt({ kind: "expand", shape: [2, 1] }, [2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: expand: only axes of size 1 can be stretched; received "2×3, 2×1"; expected sizes of 1 or equal sizes.]`,
    );
  });
});
