import { describe, expect, it } from "vitest";
import { dense, input } from "../../src/graph/builder.ts";
import { network as buildNetwork } from "../../src/graph/network.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { parseGolden } from "../../src/tasks/verify/golden.ts";
import { checkGolden, compareWithGolden, featuresLayer } from "../../src/tasks/verify/reference.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const where = 'golden file "g.json"';
const output = floatTensor([2, 2], Float32Array.of(1, 2, 3, 6));
/** Mean 3, standard deviation √3.5. */
const std = Math.sqrt(3.5);
const tap = { shape: [2, 2], std, mean: 3, min: 1, max: 6, at: [0, 3], values: [1, 6] };

const architecture = { family: "xception", options: {} };
/** Ends in probabilities of two classes. */
const network = buildNetwork("n", dense(input([2]), { units: 2, activation: "softmax", name: "p" }));

function goldenOf(fields: object) {
  return parseGolden(JSON.stringify({ architecture, ...fields }), "g.json");
}

function compare(fields: object, outputs: object = {}) {
  const p = floatTensor([2, 2], Float32Array.of(0.25, 0.75, 0.5, 0.5));
  return compareWithGolden(network, goldenOf(fields), { a: output, p, ...outputs }, where);
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
    expect(compare({ taps: { a: constant } }, zeros).taps[0]!.difference).toBe(1);
  });

  it("that is not a number differs by NaN", () => {
    const broken = { a: floatTensor([2, 2], Float32Array.of(Number.NaN, 2, 3, 6)) };
    const { difference, statisticsDifference } = compare({ taps: { a: tap } }, broken).taps[0]!;
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

  it("are refused without a classifier", () => {
    const logits = buildNetwork("n", dense(input([2]), { units: 2, name: "p" }));
    expect(() => checkGolden(logits, goldenOf({ probabilities: [[1], [1]] }), where)).toThrow(
      `${where}, field probabilities: network "n" has no probabilities to compare with. Is it of a network with its top?`,
    );
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

describe("features", () => {
  it("are the network's output, or what its classifier reads", () => {
    expect(featuresLayer(network)).toBe("p");
    const options = { inputShape: [71, 71, 3], classes: 4, width: 0.1 } as const;
    expect(featuresLayer(xception(options))).toBe("avg_pool");
    expect(featuresLayer(xception({ ...options, includeTop: false }))).toBe("block14_sepconv2_act");
  });

  it("differ by the farthest of them, in standard deviations", () => {
    const features = [[0.25, 0.75], [0.5]];
    expect(compare({ features }).taps).toMatchObject([{ layer: "p", samples: 3, difference: 0 }]);
    // Mean 0.5, standard deviation 0.5.
    const far = compare({ features: [[0, 1], [0.5]] }).taps[0]!;
    expect(far.difference).toBeCloseTo(0.25 / Math.sqrt(1 / 6), 6);
  });

  it("of more numbers are refused", () => {
    expect(() => compare({ features: [[0.25, 0.75, 1], [0.5]] })).toThrow(
      `${where}, field features: it has more features than the network; received 3; expected at most 2.`,
    );
  });
});

describe("a golden file is refused", () => {
  const paper = xception({ inputShape: [96, 133, 3], classes: 10 });
  const shape = [1, 23, 32, 128];
  const weight = [0, "block1_conv1/kernel", [3, 3, 3, 32]];
  it.each([
    [
      "with a layer that is not there",
      { taps: { block2_pool2: { ...tap, shape, at: [0], values: [0] } } },
      `${where}, tap "block2_pool2": network "xception" has no layer of this name. Is it of another variant, or without its top?`,
    ],
    [
      "with another shape",
      { taps: { block2_pool: { ...tap, shape: [1, 36, 36, 128], at: [0], values: [0] } } },
      `${where}, tap "block2_pool": the layer's output has another shape; received [36, 36, 128]; expected [23, 32, 128]. Is it of another input shape?`,
    ],
    [
      "with another weight",
      { weights: [weight, [1, "block1_conv1_bn/beta", [32]]], features: [[1]] },
      `${where}, weight 1: the network has another weight there; received "block1_conv1_bn/beta [32]"; expected block1_conv1_bn/gamma [32], trainable: true.`,
    ],
    [
      "with a weight too many",
      { weights: [[236, "x", [1]]], features: [[1]] },
      `${where}, weight 236: the network has another weight there; received "x [1]"; expected no weight.`,
    ],
  ])("%s", (_, fields, message) => {
    expect(() => checkGolden(paper, goldenOf(fields), where)).toThrow(message);
  });
});
