import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { broadcastShapes, formatShape, sameShape, sizeOf, stridesOf } from "../../src/tensor/shape.ts";
import { offsetOf } from "../oracles/nd-array.ts";

const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 });

describe("sizeOf", () => {
  it("multiplies the sizes; a scalar has one element", () => {
    expect(sizeOf([2, 3, 4])).toBe(24);
    expect(sizeOf([])).toBe(1);
    expect(sizeOf([3, 0])).toBe(0);
  });
});

describe("sameShape", () => {
  it("compares rank and sizes", () => {
    expect(sameShape([2, 3], [2, 3])).toBe(true);
    expect(sameShape([2, 3], [3, 2])).toBe(false);
    expect(sameShape([2], [2, 1])).toBe(false);
    expect(sameShape([], [])).toBe(true);
  });
});

describe("formatShape", () => {
  it("writes sizes with a cross", () => {
    expect(formatShape([299, 299, 3])).toBe("299×299×3");
    expect(formatShape([7])).toBe("7");
    expect(formatShape([])).toBe("scalar");
  });
});

describe("broadcastShapes", () => {
  it.each([
    [[2, 3], [3], [2, 3]],
    [
      [1, 3, 1, 1],
      [2, 3, 4, 5],
      [2, 3, 4, 5],
    ],
    [
      [4, 1],
      [1, 5],
      [4, 5],
    ],
    [[], [2, 2], [2, 2]],
    [[1], [0], [0]],
  ])("%j with %j gives %j", (a, b, expected) => {
    expect(broadcastShapes(a, b)).toEqual(expected);
  });

  it("does not depend on the order of its operands", () => {
    const stretchable = fc.array(fc.constantFrom(1, 3), { maxLength: 4 });
    fc.assert(
      fc.property(stretchable, stretchable, (a, b) => {
        expect(broadcastShapes(a, b)).toEqual(broadcastShapes(b, a));
      }),
    );
  });

  it("says which axis has two sizes", () => {
    expect(() => broadcastShapes([2, 3], [4, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: broadcast: axis 0 has two sizes; received "2×3 and 4×3"; expected equal sizes, or 1.]`,
    );
  });
});

describe("stridesOf", () => {
  it("is the distance between neighbors in C order", () => {
    expect(stridesOf([2, 3, 4])).toEqual([12, 4, 1]);
    expect(stridesOf([])).toEqual([]);
  });

  it("finds each element where the row-major rule puts it", () => {
    const shapeAndIndex = shapes.chain((shape) =>
      fc.tuple(fc.constant(shape), fc.tuple(...shape.map((size) => fc.nat(size - 1)))),
    );
    fc.assert(
      fc.property(shapeAndIndex, ([shape, index]) => {
        const strides = stridesOf(shape);
        const offset = index.reduce((sum, position, axis) => sum + position * strides[axis]!, 0);
        expect(offset).toBe(offsetOf(shape, index));
      }),
    );
  });
});
