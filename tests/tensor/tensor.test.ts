import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sizeOf } from "../../src/tensor/shape.ts";
import { allFinite, floatTensor, transpose } from "../../src/tensor/tensor.ts";
import { indicesOf, offsetOf } from "../oracles/nd-array.ts";

describe("floatTensor", () => {
  it("is zero without data and does not copy what it is given", () => {
    expect(floatTensor([2, 2])).toEqual({ type: "float32", shape: [2, 2], data: new Float32Array(4) });
    const data = Float32Array.of(1, 2, 3);
    expect(floatTensor([3], data).data).toBe(data);
    expect(floatTensor([]).data).toHaveLength(1);
  });

  it("refuses data that do not fill the shape", () => {
    expect(() => floatTensor([2, 3], new Float32Array(5))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: floatTensor: the data does not fill the shape; received "5 values for 2×3"; expected 6 values.]`,
    );
  });
});

describe("transpose", () => {
  it("turns rows into columns", () => {
    const turned = transpose(floatTensor([2, 3], Float32Array.of(1, 2, 3, 4, 5, 6)), [1, 0]);
    expect(turned.shape).toEqual([3, 2]);
    expect([...turned.data]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it("moves Keras's kernel layout HWIO to the engine's OIHW", () => {
    // One row of two pixels, two inputs, two outputs; the digits are pixel, input, output.
    const kernel = floatTensor([1, 2, 2, 2], Float32Array.of(0, 1, 10, 11, 100, 101, 110, 111));
    const turned = transpose(kernel, [3, 2, 0, 1]);
    expect(turned.shape).toEqual([2, 2, 1, 2]);
    expect([...turned.data]).toEqual([0, 100, 10, 110, 1, 101, 11, 111]);
  });

  it("puts element i at its permuted index, for any shape and permutation", () => {
    const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });
    const cases = shapes.chain((shape) => {
      const axes = [...shape.keys()];
      return fc.tuple(
        fc.constant(shape),
        fc.shuffledSubarray(axes, { minLength: axes.length, maxLength: axes.length }),
      );
    });
    fc.assert(
      fc.property(cases, ([shape, permutation]) => {
        const tensor = floatTensor(
          shape,
          Float32Array.from({ length: sizeOf(shape) }, (_, offset) => offset),
        );
        const turned = transpose(tensor, permutation);
        for (const [offset, index] of indicesOf(shape).entries()) {
          const moved = permutation.map((axis) => index[axis]!);
          expect(turned.data[offsetOf(turned.shape, moved)]).toBe(offset);
        }
      }),
    );
  });
});

it("finds the first, the last and no number that is not finite", () => {
  const sound = Float32Array.of(-3.4e38, -0, 0, 3.4e38);
  expect(allFinite(sound)).toBe(true);
  expect(allFinite(new Float32Array())).toBe(true);
  for (const strange of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const place of [0, 3]) expect(allFinite(sound.with(place, strange))).toBe(false);
    expect(allFinite(Float32Array.of(strange, 1, 2, strange), 1, 3)).toBe(true);
  }
});
