import { describe, expect, it } from "vitest";
import { DataError, ShapeError, TrainingError } from "../../src/base/errors.ts";
import { MultiLabelTally } from "../../src/learning/metrics-multi-label.ts";
import { AveragePrecisionTally, meanAveragePrecision } from "../../src/learning/ranking.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

/** Four images, three classes. */
const scores = [
  [0.9, 0.5, 0.1],
  [0.8, 0.1, 0.3],
  [0.25, 0.75, 0.125],
  [0.7, 0.2, 0.6],
];
const truths = [[0], [1], [0, 1], [2, 0]];

describe("average precision", () => {
  it("by hand, with two guesses for each image", () => {
    const tally = new AveragePrecisionTally(3, 2);
    for (const [index, row] of scores.entries()) tally.add(row, truths[index]!);
    // Guesses: {0, 1}, {0, 2}, {1, 0}, {0, 2}.
    // Class 0, of images 1, 3, 4: 0.9 right, 0.8 wrong, 0.7 right, 0.25 right: (1/1 + 2/3 + 3/4)/3.
    // Class 1, of images 2 and 3: 0.75 right, 0.5 wrong; image 2 does not guess it: (1/1)/2.
    // Class 2, of image 4: 0.6 right, 0.3 wrong: 1.
    const [first, second, third] = tally.averagePrecisions();
    expect(first).toBeCloseTo((1 + 2 / 3 + 3 / 4) / 3, 12);
    expect([second, third]).toEqual([0.5, 1]);
    // Weighted 3 : 2 : 1.
    const map = (3 * ((1 + 2 / 3 + 3 / 4) / 3) + 2 * 0.5 + 1 * 1) / 6;
    expect(meanAveragePrecision([first, second, third], [3, 2, 1])).toBeCloseTo(map, 12);
  });

  it("with a guess for every class, a wrong guess first halves what follows", () => {
    const tally = new AveragePrecisionTally(2);
    tally.add([0.9, 0.2], [1]);
    tally.add([0.4, 0.1], [0]);
    // Class 0: 0.9 wrong, 0.4 right: 1/2. Class 1: 0.2 right: 1.
    expect(tally.averagePrecisions()).toEqual([0.5, 1]);
  });

  it("keeps equal scores in the order of the images", () => {
    const inOrder = new AveragePrecisionTally(1);
    inOrder.add([0.5], [0]);
    inOrder.add([0.5], []);
    const reversed = new AveragePrecisionTally(1);
    reversed.add([0.5], []);
    reversed.add([0.5], [0]);
    expect([inOrder, reversed].map((tally) => tally.averagePrecisions())).toEqual([[1], [0.5]]);
  });

  it("leaves out classes that no image has", () => {
    const tally = new AveragePrecisionTally(2);
    tally.add([0.9, 0.8], [0]);
    expect(tally.averagePrecisions()).toEqual([1, undefined]);
    expect(meanAveragePrecision([1, undefined], [1, 99])).toBe(1);
    expect(meanAveragePrecision([undefined])).toBe(0);
    expect(meanAveragePrecision([1, 0.5])).toBe(0.75);
  });
});

function add(
  tally: MultiLabelTally,
  rows: readonly (readonly number[])[],
  labels: readonly (readonly number[])[],
): void {
  tally.add(floatTensor([rows.length, rows[0]!.length], Float32Array.from(rows.flat())), labels);
}

describe("the scores of images with several labels", () => {
  it("by hand", () => {
    const tally = new MultiLabelTally(["cat", "dog", "tree"], [3, 2, 1]);
    add(tally, scores.slice(0, 3), truths.slice(0, 3));
    add(tally, scores.slice(3), truths.slice(3));
    const evaluation = tally.evaluation();
    expect(evaluation).toMatchObject({ images: 4, top1: 3 / 4, top5: 1 });
    // With all three classes guessed: class 0 as above; class 1: 0.75 right, 0.5, 0.2 wrong, 0.1 right: (1 + 2/4)/2.
    const map = (3 * ((1 + 2 / 3 + 3 / 4) / 3) + 2 * 0.75 + 1 * 1) / 6;
    expect(evaluation.meanAveragePrecision).toBeCloseTo(map, 6);
    // Said with ½ or more: cat for 1, 2, 4; dog for 1, 3; tree for 4.
    expect(evaluation.perClass).toMatchObject([
      { label: "cat", precision: 2 / 3, recall: 2 / 3, f1: 2 / 3, support: 3 },
      { label: "dog", precision: 1 / 2, recall: 1 / 2, f1: 1 / 2, support: 2, averagePrecision: 0.75 },
      { label: "tree", precision: 1, recall: 1, f1: 1, support: 1, averagePrecision: 1 },
    ]);
    // Image 3 is a cat with 0.25: of what it is not, tree is the likeliest. Image 2 is a dog with 0.1: taken for a cat.
    expect(evaluation.confusion).toEqual([
      [2, 0, 1],
      [1, 1, 0],
      [0, 0, 1],
    ]);
    const costs = [0.9, 0.5, 0.9, 0.2, 0.1, 0.7, 0.25, 0.75, 0.875, 0.7, 0.8, 0.6].map((p) => -Math.log(p));
    expect(evaluation.loss).toBeCloseTo(costs.reduce((sum, cost) => sum + cost, 0) / 12, 6);
  });

  it("a certain mistake costs −ln 1e-7, not infinity", () => {
    const tally = new MultiLabelTally(["cat"]);
    add(tally, [[0]], [[0]]);
    expect(tally.evaluation().loss).toBeCloseTo(-Math.log(1e-7), 6);
    expect(tally.evaluation().confusion).toEqual([[1]]);
  });

  it("refuses what does not fit", () => {
    const tally = new MultiLabelTally(["cat", "dog"]);
    expect(() => tally.evaluation()).toThrow(DataError);
    expect(() => tally.evaluation()).toThrow("EvaluationTally.evaluation: there are no images to evaluate.");
    expect(() => add(tally, [[1, 2, 3]], [[0]])).toThrow(ShapeError);
    expect(() => add(tally, [[0.1, 0.2]], [[2]])).toThrow(
      "the true class is not one of the network's; received 2; expected 0 to 1.",
    );
    expect(() => add(tally, [[0.1, Number.NaN]], [[0]])).toThrow(TrainingError);
  });
});
