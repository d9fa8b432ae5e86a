import { describe, expect, it } from "vitest";
import { goldenBatch, goldenKind, parseGolden, parseTrainingGolden } from "../../src/tasks/verify/golden.ts";

const architecture = { family: "xception", options: { inputShape: [71, 71, 3], classes: 4 } };
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
  it("may have taps, probabilities, features, or several of them", () => {
    const read = (fields: object) => parseGolden(JSON.stringify({ architecture, ...fields }), "g.json");
    const probabilities = [[0.5, 0.5]];
    expect(goldenBatch(read({ taps: { a: tap } }))).toBe(2);
    expect(read({ probabilities })).toEqual({ architecture, taps: {}, probabilities });
    expect(goldenBatch(read({ top5: [[[3, 0.9]], [[1, 0.9]], [[1, 0.9]]] }))).toBe(3);
    expect(goldenBatch(read({ features: [[1, 2, 3]] }))).toBe(1);
  });

  it.each([
    ["no JSON", '{"taps": ', 'golden file "g.json", character 9: this is not JSON.'],
    ["no object", [], 'golden file "g.json": this list is not allowed; expected an object.'],
    [
      "nothing to compare",
      { architecture },
      'golden file "g.json": there is nothing to compare; expected taps, probabilities, probabilities_first_20, top5 or features.',
    ],
    [
      "a field of the wrong type",
      { taps: { a: { ...tap, std: "1" } } },
      'golden file "g.json", field taps.a.std: this value is not allowed; received "1"; expected a number from 0.',
    ],
    [
      "a missing field",
      { taps: { a: { shape: [2, 4], std: 1, at: [0] } } },
      'golden file "g.json", field taps.a.values: it is missing; expected a list, each a number.',
    ],
    [
      "a weight without its shape",
      { weights: [[0, "a/kernel"]], taps: { a: tap } },
      'golden file "g.json", field weights.0.2: it is missing; expected a list, each a whole number from 1.',
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
      'golden file "g.json", field probabilities: this is of 1 image; the others are of 2.',
    ],
    [
      "too many images",
      { taps: { a: { ...tap, shape: [1000, 1, 1, 4] } } },
      'golden file "g.json", field taps.a.shape: this is of 1,000 images; at most 256 are allowed.',
    ],
  ])("is refused with %s", (_, content, message) => {
    const known = typeof content === "string" || Array.isArray(content) ? content : { architecture, ...content };
    expect(refusalOf(known)).toBe(`FormatError: ${message}`);
  });
});

describe("a golden file without", () => {
  it.each([
    ["a network", { taps: { a: tap } }, "field architecture: it is missing; expected an object."],
    [
      "a known family",
      { architecture: { family: "lenet", options: {} }, taps: { a: tap } },
      'field architecture.family: this value is not allowed; received "lenet"; expected one of xception, ',
    ],
    [
      "known keys",
      { architecture, taps: { a: tap }, tops: [[1]] },
      "field tops: this list is not allowed; expected one of the fields architecture, weights, taps, ",
    ],
    [
      "known keys of a tap",
      { architecture, taps: { a: { ...tap, median: 1 } } },
      "field taps.a.median: this value is not allowed; received 1; expected one of the fields shape, std, mean, ",
    ],
  ])("%s is refused", (_, content, message) => {
    expect(refusalOf(content)).toContain(`FormatError: golden file "g.json"`);
    expect(refusalOf(content)).toContain(message);
  });
});

describe("the kind of a golden file", () => {
  it.each([
    ["forward", { architecture, taps: {} }],
    ["training", { architecture, losses: [1] }],
    ["photo", { layers: ["add"], images: {} }],
    ["timm", { xception41: { logits: [[1]] } }],
    ["forward", []],
  ])("is %s", (kind, content) => {
    expect(goldenKind(JSON.stringify(content), "g.json")).toBe(kind);
  });
});

describe("golden values of training", () => {
  const training = {
    architecture,
    input_shape: [71, 71, 3],
    labels: [0, 1],
    classes: 4,
    optimizer: "SGD lr 0.01",
    losses: [1],
  };

  it.each([
    [
      "another batch",
      { batch: 3 },
      "field batch: it contradicts the labels; received 3; expected 2, the number of labels.",
    ],
    [
      "unknown keys",
      { accuracy: [1] },
      "field accuracy: this list is not allowed; expected one of the fields architecture, ",
    ],
    ["no losses", { losses: [] }, "field losses: this list is not allowed; expected a list of 1 to 100 values."],
  ])("are refused with %s", (_, fields, message) => {
    expect(() => parseTrainingGolden(JSON.stringify({ ...training, ...fields }), "g.json")).toThrow(message);
  });
});
