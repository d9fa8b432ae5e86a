import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHalf, toHalf } from "../../src/tensor/half.ts";

const bitsOf = (...values: number[]): number[] => [...toHalf(Float32Array.from(values))];

test("worked by hand", () => {
  expect(bitsOf(0, -0, 1, -2, 0.5, 65504)).toEqual([0, 0x8000, 0x3c00, 0xc000, 0x3800, 0x7bff]);
  expect(bitsOf(65519, 65520, Infinity, -Infinity)).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00]);
  // Denormal numbers are multiples of 2^-24; a tie goes to the even one.
  expect(bitsOf(2 ** -24, 2 ** -25, 1.5 * 2 ** -24, 3 * 2 ** -26, 2 ** -14)).toEqual([1, 0, 2, 1, 0x400]);
  // 11 bits: 2049 lies between 2048 and 2050, and 2051 between 2050 and 2052.
  expect(bitsOf(2049, 2051, 2049.01)).toEqual([0x6800, 0x6802, 0x6801]);
  expect(fromHalf(toHalf(Float32Array.of(Number.NaN)))[0]).toBeNaN();
});

test("every half is its own nearest one", () => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits).filter((bits) => (bits & 0x7fff) <= 0x7c00);
  expect(toHalf(fromHalf(all))).toEqual(all);
});

test("no other half is nearer", () => {
  fc.assert(
    fc.property(fc.float({ min: -65000, max: 65000, noNaN: true }), (value) => {
      const [bits] = toHalf(Float32Array.of(value)) as unknown as [number];
      const [own, above, below] = fromHalf(
        Uint16Array.of(bits, bits + 1, (bits & 0x7fff) === 0 ? bits : bits - 1),
      ) as unknown as number[];
      const distance = (other: number) => Math.abs(other - value);
      expect(distance(own!)).toBeLessThanOrEqual(Math.min(distance(above!), distance(below!)));
    }),
  );
});
