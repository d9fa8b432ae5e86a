import { describe, expect, it } from "vitest";
import type { OpConfig } from "../../src/graph/ops.ts";
import { applyOp, type Operand } from "./apply-op.ts";

function result(config: OpConfig, ...operands: readonly Operand[]): Operand {
  const { shape, data } = applyOp(config, ...operands)[0]!;
  return [shape, [...data]];
}

describe("average pooling, zeros around images and the leaky ReLU, worked by hand", () => {
  const x: Operand = [
    [1, 1, 2, 3],
    [1, 2, 3, 4, 5, 6],
  ];

  it("divides by the number of pixels inside the image", () => {
    const config = { kind: "averagePool", kernel: [2, 3], strides: [1, 1], pads: [1, 1, 0, 1] } as const;
    // The first row of windows sees one row of pixels, and the outer columns two of three.
    expect(result(config, x)).toEqual([
      [1, 1, 2, 3],
      [3 / 2, 6 / 3, 5 / 2, 12 / 4, 21 / 6, 16 / 4],
    ]);
  });

  it("puts zeros above, left, below and right", () => {
    expect(result({ kind: "pad", pads: [1, 0, 0, 2] }, x)).toEqual([
      [1, 1, 3, 5],
      [0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 4, 5, 6, 0, 0],
    ]);
  });

  it("has another slope below 0, and at 0", () => {
    const kink: Operand = [[3], [-2, 0, 2]];
    expect(result({ kind: "leakyRelu", slope: 0.25 }, kink)).toEqual([[3], [-0.5, 0, 2]]);
    const dy: Operand = [[3], [8, 8, 8]];
    expect(result({ kind: "leakyReluGradient", slope: 0.25 }, dy, kink)).toEqual([[3], [2, 2, 8]]);
  });
});
