import { expect, test } from "vitest";
import { accuracyInterval, mcNemarTest, meanWithInterval } from "../../src/base/significance.ts";

test("the interval of an accuracy is Wilson's", () => {
  // p = 0.9, n = 100, z = 1.96: center (0.9 + 0.0192) / 1.0384 = 0.8852, half 0.0596.
  expect(accuracyInterval(0.9, 100).low).toBeCloseTo(0.8256, 4);
  expect(accuracyInterval(0.9, 100).high).toBeCloseTo(0.9448, 4);
  // All correct: z² / (n + z²) below 1, never above it.
  expect(accuracyInterval(1, 20)).toEqual({ low: expect.closeTo(20 / (20 + 1.959964 ** 2), 6), high: 1 });
  expect(accuracyInterval(0, 0)).toEqual({ low: 0, high: 1 });
});

test("the interval of a mean follows Student's t distribution", () => {
  // Mean 2, standard deviation 1, t(2) = 4.303: 2 ± 4.303 / √3.
  const { mean, interval } = meanWithInterval([1, 2, 3]);
  expect(mean).toBe(2);
  expect(interval!.low).toBeCloseTo(2 - 4.303 / Math.sqrt(3), 6);
  expect(interval!.high).toBeCloseTo(2 + 4.303 / Math.sqrt(3), 6);
  expect(meanWithInterval([5])).toEqual({ mean: 5, interval: undefined });
});

test("McNemar's test counts the images that only one classifier gets right", () => {
  const first = [true, true, true, true, true, true, false, true, false];
  const second = [false, false, false, false, false, true, true, true, false];
  // 5 against 1 of 6 tosses: 2 (1 + 6) / 64.
  expect(mcNemarTest(first, second)).toEqual({ onlyFirst: 5, onlySecond: 1, pValue: expect.closeTo(14 / 64, 12) });
  expect(mcNemarTest(second, first).pValue).toBeCloseTo(14 / 64, 12);
  expect(mcNemarTest(first, first)).toEqual({ onlyFirst: 0, onlySecond: 0, pValue: 1 });
  // Equal counts are no evidence, and many of them do not underflow.
  const many = Array.from({ length: 4000 }, (_, index) => index % 2 === 0);
  expect(
    mcNemarTest(
      many,
      many.map((right) => !right),
    ).pValue,
  ).toBe(1);
});
