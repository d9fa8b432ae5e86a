import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ReliabilityTally, TemperatureTally } from "../../src/learning/calibration.ts";
import { averageScores } from "../../src/learning/class-scores.ts";

describe("ReliabilityTally", () => {
  it("puts each answer into its fifteenth, whose upper border it has", () => {
    const tally = new ReliabilityTally();
    for (const confidence of [0, 1 / 15, 0.07, 1, 1.0000001]) tally.add(confidence, confidence > 0.5);
    expect(tally.bins().map(({ from, to, images }) => [from, to, images])).toEqual([
      [0, 1 / 15, 2],
      [1 / 15, 2 / 15, 1],
      [14 / 15, 1, 2],
    ]);
  });

  it("measures how far confidence is from accuracy", () => {
    const tally = new ReliabilityTally();
    // Ten answers at 0.9, seven of them right; ten at 0.5, five of them right: ½ · 0.2 + ½ · 0.
    for (let index = 0; index < 10; index++) {
      tally.add(0.9, index < 7);
      tally.add(0.5, index < 5);
    }
    expect(tally.expectedError()).toBeCloseTo(0.1, 12);
    expect(new ReliabilityTally().expectedError()).toBe(0);
  });
});

describe("TemperatureTally", () => {
  const fitted = (answers: readonly (readonly [probabilities: readonly number[], truth: number])[]) => {
    const tally = new TemperatureTally();
    for (const [probabilities, truth] of answers) tally.add(Float32Array.from(probabilities), truth);
    return tally.fit();
  };

  it("finds the temperature at which a network that is too sure says what is so", () => {
    // Log odds of ln 9 are right in three of four cases, whose log odds are ln 3: T = ln 9 / ln 3 = 2.
    const sure = [0.9, 0.1];
    const { temperature, loss, expectedCalibrationError } = fitted([
      [sure, 0],
      [sure, 0],
      [sure, 0],
      [sure, 1],
    ]);
    expect(temperature).toBeCloseTo(2, 6);
    expect(loss).toBeCloseTo(-(0.75 * Math.log(0.75) + 0.25 * Math.log(0.25)), 8);
    expect(expectedCalibrationError).toBeCloseTo(0, 6);
  });

  it("stays within its range where no mistake, or nothing but chance, calls for more", () => {
    expect(fitted([[[0.9, 0.1], 0]]).temperature).toBe(0.01);
    const chance = fitted([
      [[0.9, 0.1], 0],
      [[0.9, 0.1], 1],
    ]);
    expect(chance.temperature).toBe(100);
    expect(fitted([[[1, 0], 1]]).temperature).toBe(100);
  });

  it("is better than any temperature beside it", () => {
    const row = fc.array(fc.double({ min: -8, max: 8, noNaN: true }), { minLength: 4, maxLength: 4 });
    const answers = fc.array(fc.tuple(row, fc.nat(3)), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(answers, (drawn) => {
        const softmax = (logits: readonly number[]) => {
          const powers = logits.map(Math.exp);
          return powers.map((power) => power / powers.reduce((a, b) => a + b));
        };
        const { temperature, loss } = fitted(drawn.map(([logits, truth]) => [softmax(logits), truth]));
        const lossAt = (t: number) =>
          drawn.reduce((sum, [logits, truth]) => sum - Math.log(softmax(logits.map((z) => z / t))[truth]!), 0) /
          drawn.length;
        if (temperature > 0.02) expect(loss).toBeCloseTo(lossAt(temperature), 4);
        for (const other of [temperature * 1.05, temperature / 1.05]) {
          if (other >= 0.02 && other <= 100) expect(loss).toBeLessThanOrEqual(lossAt(other) + 1e-5);
        }
      }),
    );
  });
});

describe("averageScores", () => {
  it("counts images with several labels by their answers", () => {
    // Hand-worked: class a 1 of 2 predicted correctly, of 1; class b 1 of 1 predicted correctly, of 4; class c neither occurs nor was predicted.
    const averages = averageScores([
      { right: 1, predicted: 2, support: 1 },
      { right: 1, predicted: 1, support: 4 },
      { right: 0, predicted: 0, support: 0 },
    ]);
    expect(averages.macro).toEqual({ precision: 0.75, recall: 0.625, f1: (2 / 3 + 0.4) / 2 });
    expect(averages.micro).toEqual({ precision: 2 / 3, recall: 0.4, f1: 0.5 });
    expect(averages.weighted.precision).toBeCloseTo((0.5 + 4) / 5, 12);
    expect(averages.weighted.recall).toBeCloseTo((1 + 4 * 0.25) / 5, 12);
    expect(averages.weighted.f1).toBeCloseTo((2 / 3 + 4 * 0.4) / 5, 12);
  });

  it("is 0 of nothing", () => {
    const zero = { precision: 0, recall: 0, f1: 0 };
    expect(averageScores([])).toEqual({ macro: zero, micro: zero, weighted: zero });
  });
});
