import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classScores, EvaluationTally } from "../../src/learning/metrics.ts";
import { rankOf, topIndices } from "../../src/learning/ranking.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const rows = (...values: number[][]) =>
  floatTensor([values.length, values[0]!.length], Float32Array.from(values.flat()));

describe("EvaluationTally", () => {
  // Four images worked by hand: cat→cat (0.5), cat→dog (0.25), dog→dog (0.5), bird→dog (0.125).
  const batches = [
    { probabilities: rows([0.5, 0.25, 0.25], [0.25, 0.5, 0.25]), truths: [0, 0] },
    { probabilities: rows([0.25, 0.5, 0.25], [0.25, 0.625, 0.125]), truths: [1, 2] },
  ];

  it("scores images added in batches", () => {
    const tally = new EvaluationTally(["cat", "dog", "bird"]);
    for (const { probabilities, truths } of batches) tally.add(probabilities, truths);
    const { loss, ...rest } = tally.evaluation();
    expect(rest).toEqual({
      images: 4,
      top1: 0.5,
      // Wilson: ½ ± z √(¼/4 + z²/64) / (1 + z²/4), z = 1.96.
      top1Interval: { low: expect.closeTo(0.15004, 5), high: expect.closeTo(0.84996, 5) },
      top5: 1,
      averages: {
        macro: { precision: expect.closeTo(4 / 9, 12), recall: 0.5, f1: expect.closeTo(7 / 18, 12) },
        micro: { precision: 0.5, recall: 0.5, f1: 0.5 },
        weighted: { precision: expect.closeTo(7 / 12, 12), recall: 0.5, f1: expect.closeTo(11 / 24, 12) },
      },
      calibration: {
        // ¾ · |⅔ − 0.5| + ¼ · |0 − 0.625|
        expectedCalibrationError: expect.closeTo(0.28125, 12),
        bins: [
          { from: 7 / 15, to: 8 / 15, images: 3, confidence: 0.5, accuracy: 2 / 3 },
          { from: 9 / 15, to: 10 / 15, images: 1, confidence: 0.625, accuracy: 0 },
        ],
      },
      perClass: [
        { label: "cat", precision: 1, recall: 0.5, f1: 2 / 3, support: 2 },
        { label: "dog", precision: 1 / 3, recall: 1, f1: 0.5, support: 1 },
        { label: "bird", precision: 0, recall: 0, f1: 0, support: 1 },
      ],
      confusion: [
        [1, 1, 0],
        [0, 1, 0],
        [0, 1, 0],
      ],
    });
    // −(ln ½ + ln ¼ + ln ½ + ln ⅛) / 4 = (1 + 2 + 1 + 3)/4 · ln 2
    expect(loss).toBeCloseTo((7 / 4) * Math.LN2, 14);
  });

  it("can be read between batches without being disturbed", () => {
    const tally = new EvaluationTally(["cat", "dog", "bird"]);
    tally.add(batches[0]!.probabilities, batches[0]!.truths);
    const first = tally.evaluation();
    tally.add(batches[1]!.probabilities, batches[1]!.truths);
    expect(first.images).toBe(2);
    expect(first.confusion[1]).toEqual([0, 0, 0]);
    expect(tally.evaluation().images).toBe(4);
  });

  it("counts the true class among the five highest of seven", () => {
    const tally = new EvaluationTally(["a", "b", "c", "d", "e", "f", "g"]);
    const scores = [0.3, 0.2, 0.16, 0.13, 0.1, 0.07, 0.04];
    tally.add(rows(scores, scores, scores), [0, 4, 5]);
    expect(tally.evaluation()).toMatchObject({ images: 3, top1: 1 / 3, top5: 2 / 3 });
    expect(tally.evaluation()).not.toHaveProperty("topK");
  });

  it("counts the true class among as many of the highest as asked for", () => {
    const tally = new EvaluationTally(["a", "b", "c"], { top: [2, 1, 9] });
    const scores = [0.5, 0.3, 0.2];
    tally.add(rows(scores, scores, scores, scores), [0, 1, 1, 2]);
    expect(tally.evaluation().topK).toEqual([
      { k: 2, accuracy: 0.75 },
      { k: 1, accuracy: 0.25 },
      { k: 9, accuracy: 1 },
    ]);
  });

  it("fits a temperature where asked", () => {
    const tally = new EvaluationTally(["a", "b"], { temperature: true });
    tally.add(rows([0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]), [0, 0, 0, 1]);
    expect(tally.evaluation().calibration!.temperature!.temperature).toBeCloseTo(2, 6);
  });

  it("gives a tie to the class that comes first", () => {
    const tally = new EvaluationTally(["a", "b"]);
    tally.add(rows([0.5, 0.5], [0.5, 0.5]), [0, 1]);
    expect(tally.evaluation().confusion).toEqual([
      [1, 0],
      [1, 0],
    ]);
  });

  it("ignores the rows that pad the last batch", () => {
    const tally = new EvaluationTally(["a", "b"]);
    tally.add(rows([0, 1], [1, 0], [1, 0]), [1]);
    expect(tally.evaluation()).toMatchObject({ images: 1, top1: 1, loss: 0 });
  });

  it("bounds the loss of a probability of 0 as Keras does", () => {
    const tally = new EvaluationTally(["a", "b"]);
    tally.add(rows([1, 0]), [1]);
    expect(tally.evaluation().loss).toBe(-Math.log(1e-7));
  });

  it("names what does not fit", () => {
    const tally = new EvaluationTally(["a", "b"]);
    expect(() => tally.evaluation()).toThrow("EvaluationTally.evaluation: there are no images to evaluate.");
    expect(() => tally.add(rows([1, 0, 0]), [0])).toThrow(
      'EvaluationTally.add: the probabilities do not fit the labels; received "1×3"; expected at least 1×2.',
    );
    expect(() => tally.add(rows([1, 0]), [0, 1])).toThrow('received "1×2"; expected at least 2×2.');
    expect(() => tally.add(rows([1, 0]), [2])).toThrow(
      "EvaluationTally.add: the true class is not one of the network's; received 2; expected 0 to 1.",
    );
    expect(() => tally.add(rows([Number.NaN, 0]), [0])).toThrow(
      'EvaluationTally.add: the network\'s probabilities are NaN or infinite; received "[NaN, 0]". ' +
        "Its weights have probably diverged: train again with a lower learning rate.",
    );
  });
});

describe("classScores", () => {
  it("scores a class that never occurs and is never predicted with 0", () => {
    const confusion = [
      [3, 0],
      [0, 0],
    ];
    expect(classScores(["seen", "unseen"], confusion)).toEqual([
      { label: "seen", precision: 1, recall: 1, f1: 1, support: 3 },
      { label: "unseen", precision: 0, recall: 0, f1: 0, support: 0 },
    ]);
  });

  it("makes F1 the harmonic mean of precision and recall", () => {
    const counts = fc.array(fc.array(fc.nat(50), { minLength: 3, maxLength: 3 }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(counts, (confusion) => {
        for (const { precision, recall, f1 } of classScores(["a", "b", "c"], confusion)) {
          const mean = precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
          expect(f1).toBeCloseTo(mean, 12);
        }
      }),
    );
  });
});

describe("ranking", () => {
  it("lists the highest first, ties in the order of the classes", () => {
    expect(topIndices(Float32Array.of(0.2, 0.4, 0.2, 0.2), 3)).toEqual([1, 0, 2]);
    expect(topIndices([1, 2], 5)).toEqual([1, 0]);
  });

  it("gives each class its place in that list", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 12 }), (scores) => {
        const order = topIndices(scores, scores.length);
        expect(order.map((index) => rankOf(scores, index))).toEqual(order.map((_, place) => place));
      }),
    );
  });
});
