import { describe, expect, it } from "vitest";
import { compareWithGolden } from "../../src/tasks/verify/compare.ts";
import { parseGolden } from "../../src/tasks/verify/golden.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const where = 'golden file "g.json"';
const output = floatTensor([2, 2], Float32Array.of(1, 2, 3, 6));
/** Mean 3, standard deviation √3.5. */
const std = Math.sqrt(3.5);
const tap = { shape: [2, 2], std, mean: 3, min: 1, max: 6, at: [0, 3], values: [1, 6] };

function compare(fields: object, probabilities = floatTensor([2, 2], Float32Array.of(0.25, 0.75, 0.5, 0.5))) {
  return compareWithGolden(parseGolden(JSON.stringify(fields), "g.json"), { a: output }, probabilities, where);
}

function tapOf(changes: object) {
  return compare({ taps: { a: { ...tap, ...changes } } }).taps[0]!;
}

describe("a tap", () => {
  it("does not differ from itself", () => {
    expect(tapOf({})).toEqual({ layer: "a", shape: [2, 2], samples: 2, difference: 0, statisticsDifference: 0 });
  });

  it("differs by its farthest sampled value, in standard deviations", () => {
    expect(tapOf({ values: [1.5, 5] }).difference).toBeCloseTo(1 / std, 12);
    expect(tapOf({ values: [2.5, 6] }).difference).toBeCloseTo(1.5 / std, 12);
  });

  it.each([
    ["mean", { mean: 3.5 }, 0.5 / std],
    ["std", { std: std + 0.5 }, 0.5 / (std + 0.5)],
    ["min", { min: 0.75 }, 0.25 / std],
    ["max", { max: 8 }, 2 / std],
  ])("differs by its %s", (_, changes, expected) => {
    expect(tapOf(changes).statisticsDifference).toBeCloseTo(expected, 12);
  });

  it("may have no statistics but the standard deviation", () => {
    expect(tapOf({ mean: undefined, min: undefined, max: undefined }).statisticsDifference).toBe(0);
  });

  it("without spread is measured in its own unit", () => {
    const constant = { shape: [2, 2], std: 0, at: [0], values: [1] };
    const zeros = { a: floatTensor([2, 2]) };
    const golden = parseGolden(JSON.stringify({ taps: { a: constant } }), "g.json");
    expect(compareWithGolden(golden, zeros, undefined, where).taps[0]!.difference).toBe(1);
  });

  it("that is not a number differs by NaN", () => {
    const broken = { a: floatTensor([2, 2], Float32Array.of(Number.NaN, 2, 3, 6)) };
    const golden = parseGolden(JSON.stringify({ taps: { a: tap } }), "g.json");
    const { difference, statisticsDifference } = compareWithGolden(golden, broken, undefined, where).taps[0]!;
    expect([difference, statisticsDifference]).toEqual([Number.NaN, Number.NaN]);
  });
});

describe("probabilities", () => {
  it("differ by the farthest of all, the first and the best", () => {
    const taps = { a: tap };
    expect(compare({ taps }).probabilities).toBeUndefined();
    const probabilities = [
      [0.25, 0.75],
      [0.5, 0.5],
    ];
    expect(compare({ probabilities }).probabilities).toBe(0);
    expect(compare({ probabilities, probabilities_first_20: [[0.25], [0.375]] }).probabilities).toBe(0.125);
    expect(compare({ probabilities, top5: [[[1, 0.75]], [[1, 0.25]]] }).probabilities).toBe(0.25);
  });

  it("are left out without a classifier", () => {
    const golden = parseGolden(JSON.stringify({ taps: { a: tap }, probabilities: [[1], [1]] }), "g.json");
    expect(compareWithGolden(golden, { a: output }, undefined, where).probabilities).toBeUndefined();
  });

  it.each([
    ["probabilities", { probabilities: [[0, 0, 1], [1]] }, 2],
    ["top5", { top5: [[[9, 0.5]], [[0, 0.5]]] }, 9],
  ])("of more classes are refused: %s", (field, fields, index) => {
    expect(() => compare(fields)).toThrow(
      `${where}, field ${field}: it has a class that the network does not have; received "class ${index}"; expected ` +
        "0 to 1. Is it of another number of classes?",
    );
  });
});
