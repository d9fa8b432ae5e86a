import { describe, expect, it } from "vitest";
import { goldenBatch, parseGolden } from "../../src/tasks/verify/golden.ts";

const tap = { shape: [2, 1, 1, 4], std: 1, at: [0, 7], values: [0.5, 0.25] };

function refusalOf(content: unknown): string {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  try {
    parseGolden(text, "g.json");
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return "accepted";
}

describe("a golden file", () => {
  it("may have taps, probabilities, or both, and fields that nobody reads", () => {
    const probabilities = [[0.5, 0.5]];
    expect(goldenBatch(parseGolden(JSON.stringify({ taps: { a: tap }, made: "today" }), "g.json"))).toBe(2);
    expect(parseGolden(JSON.stringify({ probabilities }), "g.json")).toEqual({ taps: {}, probabilities });
    expect(goldenBatch(parseGolden(JSON.stringify({ top5: [[[3, 0.9]], [[1, 0.9]], [[1, 0.9]]] }), "g.json"))).toBe(3);
  });

  it.each([
    ["no JSON", '{"taps": ', 'golden file "g.json", character 9: this is no JSON.'],
    ["no object", [], 'golden file "g.json": Invalid input: expected object, received array.'],
    [
      "nothing to compare",
      { classes: 10 },
      'golden file "g.json": there is nothing to compare: no taps, no probabilities.',
    ],
    [
      "a field of the wrong type",
      { taps: { a: { ...tap, std: "1" } } },
      'golden file "g.json", field taps.a.std: Invalid input: expected number, received string.',
    ],
    [
      "a missing field",
      { taps: { a: { shape: [2, 4], std: 1, at: [0] } } },
      'golden file "g.json", field taps.a.values: Invalid input: expected array, received undefined.',
    ],
    [
      "fewer values than indices",
      { taps: { a: { ...tap, values: [1] } } },
      'golden file "g.json", field taps.a.values: there are 1 values for 2 indices in "at".',
    ],
    [
      "an index out of range",
      { taps: { a: { ...tap, at: [0, 8] } } },
      'golden file "g.json", field taps.a.at.1: index 8 is beyond the last of the 8 values of 2×1×1×4.',
    ],
    [
      "two numbers of images",
      { taps: { a: tap }, probabilities: [[1]] },
      'golden file "g.json", field probabilities: this is of 1 images; the others are of 2.',
    ],
    [
      "too many images",
      { taps: { a: { ...tap, shape: [1000, 1, 1, 4] } } },
      'golden file "g.json", field taps.a.shape: this is of 1000 images; at most 256 are allowed.',
    ],
  ])("is refused with %s", (_, content, message) => {
    expect(refusalOf(content)).toBe(`FormatError: ${message}`);
  });
});
