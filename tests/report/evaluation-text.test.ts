import { describe, expect, it } from "vitest";
import { EvaluationTally } from "../../src/learning/metrics.ts";
import { describeEvaluation } from "../../src/report/evaluation-text.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

/** Images of class `truth` taken for class `answer` with a probability of 1, from `[truth, answer]`. */
function evaluation(labels: readonly string[], answers: readonly (readonly [number, number])[]) {
  const tally = new EvaluationTally(labels);
  for (const [truth, answer] of answers) {
    const scores = Float32Array.from(labels, (_, index) => (index === answer ? 1 : 0));
    tally.add(floatTensor([1, labels.length], scores), [truth]);
  }
  return tally.evaluation();
}

describe("the text of an evaluation", () => {
  it("has accuracy, scores and the confusion matrix", () => {
    const answers = [
      [0, 0],
      [0, 0],
      [0, 1],
      [1, 1],
      [2, 0],
      [2, 2],
    ] as const;
    expect(describeEvaluation(evaluation(["cat", "dog", "owl"], answers))).toMatchInlineSnapshot(`
      "6 images of 3 classes
       Accuracy (top 1): 66.7 %
       Loss: 5.3727
       Calibration error (ECE, 15 bins): 33.3 %
      ┏━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━━━┳━━━━━━┓
      ┃ Class              ┃ Images ┃ Recall % ┃ Precision % ┃ F1 % ┃
      ┡━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━━━━╇━━━━━━┩
      │ cat                │      3 │     66.7 │        66.7 │ 66.7 │
      │ dog                │      1 │    100.0 │        50.0 │ 66.7 │
      │ owl                │      2 │     50.0 │       100.0 │ 66.7 │
      │ (macro average)    │        │     72.2 │        72.2 │ 66.7 │
      │ (micro average)    │        │     66.7 │        66.7 │ 66.7 │
      │ (weighted average) │        │     66.7 │        75.0 │ 66.7 │
      └────────────────────┴────────┴──────────┴─────────────┴──────┘
      What was taken for what: a row for each true class, a column for each answer
      ┏━━━┳━━━━━━━┳━━━┳━━━┳━━━┓
      ┃   ┃ Class ┃ 1 ┃ 2 ┃ 3 ┃
      ┡━━━╇━━━━━━━╇━━━╇━━━╇━━━┩
      │ 1 │ cat   │ 2 │ 1 │ · │
      │ 2 │ dog   │ · │ 1 │ · │
      │ 3 │ owl   │ 1 │ · │ 1 │
      └───┴───────┴───┴───┴───┘
      How sure it is, and how often it is right then
      ┏━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━┓
      ┃ Probability % ┃ Images ┃ Mean % ┃ Accuracy % ┃
      ┡━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━┩
      │    93.3–100.0 │      6 │  100.0 │       66.7 │
      └───────────────┴────────┴────────┴────────────┘"
    `);
  });

  it("has the most frequent mistakes instead of a matrix of many classes", () => {
    const labels = Array.from({ length: 16 }, (_, index) => `class ${index + 1}`);
    const answers = [
      [0, 0],
      [1, 5],
      [1, 5],
      [1, 1],
      [9, 0],
    ] as const;
    const text = describeEvaluation(evaluation(labels, answers));
    expect(text.slice(0, text.indexOf("┏"))).toMatchInlineSnapshot(`
      "5 images of 16 classes
       Accuracy (top 1): 40.0 %
       True class among the five likeliest (top 5): 80.0 %
       Loss: 9.6709
       Calibration error (ECE, 15 bins): 60.0 %
      "
    `);
    expect(text.slice(text.indexOf("Most frequent"))).toMatchInlineSnapshot(`
      "Most frequent mistakes
      ┏━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━┓
      ┃ Class    ┃ Taken for ┃ Images ┃ % of class ┃
      ┡━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━┩
      │ class 2  │ class 6   │      2 │       66.7 │
      │ class 10 │ class 1   │      1 │      100.0 │
      └──────────┴───────────┴────────┴────────────┘
      How sure it is, and how often it is right then
      ┏━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━┓
      ┃ Probability % ┃ Images ┃ Mean % ┃ Accuracy % ┃
      ┡━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━┩
      │    93.3–100.0 │      5 │  100.0 │       40.0 │
      └───────────────┴────────┴────────┴────────────┘"
    `);
  });

  it("has what was asked for: other places, the temperature, the worst mistakes", () => {
    const tally = new EvaluationTally(["cat", "dog"], { top: [1, 2], temperature: true });
    tally.add(floatTensor([4, 2], Float32Array.of(0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1)), [0, 0, 0, 1]);
    const mistake = { truth: "dog", predicted: "cat", probability: 0.9, truthProbability: 0.1, truthRank: 2 };
    const predictions = [{ ...mistake, file: "dog/1.png" }];
    const text = describeEvaluation(tally.evaluation(), { predictions });
    expect(text.slice(0, text.indexOf("┏"))).toMatchInlineSnapshot(`
      "4 images of 2 classes
       Accuracy (top 1): 75.0 %
       True class among the 2 likeliest: 100.0 %
       Loss: 0.6547
       Calibration error (ECE, 15 bins): 15.0 %
       With temperature 2.000, fitted to these same images: loss 0.5623, calibration error 0.0 %
      "
    `);
    expect(text.slice(text.indexOf("How sure"))).toMatchInlineSnapshot(`
      "How sure it is, and how often it is right then
      ┏━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━┓
      ┃ Probability % ┃ Images ┃ Mean % ┃ Accuracy % ┃
      ┡━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━┩
      │     86.7–93.3 │      4 │   90.0 │       75.0 │
      └───────────────┴────────┴────────┴────────────┘
      Worst mistakes, the most certain first
      ┏━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━┓
      ┃ File      ┃ Class ┃ Taken for ┃ Probability % ┃ Own % ┃
      ┡━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━┩
      │ dog/1.png │ dog   │ cat       │          90.0 │  10.0 │
      └───────────┴───────┴───────────┴───────────────┴───────┘"
    `);
  });

  it("says nothing of mistakes where there are none", () => {
    const labels = Array.from({ length: 16 }, (_, index) => `class ${index + 1}`);
    expect(describeEvaluation(evaluation(labels, [[3, 3]]))).not.toContain("Most frequent");
  });

  it("keeps to the width, however long the labels are", () => {
    const labels = ["a very long name of a class of images", "another name that is just as long"];
    const text = describeEvaluation(
      evaluation(labels, [
        [0, 1],
        [1, 1],
      ]),
      { width: 60 },
    );
    expect(
      Math.max(
        ...text
          .split("\n")
          .filter((line) => /^[┏│]/.test(line))
          .map((line) => line.length),
      ),
    ).toBe(60);
  });
});
