import { describe, expect, it } from "vitest";
import { EvaluationTally } from "../../src/learning/metrics.ts";
import { describeEvaluation } from "../../src/report/evaluation.ts";
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
      "Evaluation
       Accuracy: 66.7 %
       95 % confidence interval: 30.0 to 90.3 %
       Loss: 5.373 nats per image
       Images: 6 in 3 classes
      Confusion matrix: a row for each true class, a column for each predicted one
      ┏━━━┳━━━━━━━┳━━━┳━━━┳━━━┓
      ┃   ┃ Class ┃ 1 ┃ 2 ┃ 3 ┃
      ┡━━━╇━━━━━━━╇━━━╇━━━╇━━━┩
      │ 1 │ cat   │ 2 │ 1 │ · │
      │ 2 │ dog   │ · │ 1 │ · │
      │ 3 │ owl   │ 1 │ · │ 1 │
      └───┴───────┴───┴───┴───┘
      Precision, recall and F1 of each class. Macro: every class counts the same; micro: every prediction
        does; weighted: every class by its images.
      ┏━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━┳━━━━━━━━┓
      ┃ Class            ┃ Precision ┃  Recall ┃     F1 ┃ Images ┃
      ┡━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━╇━━━━━━━━┩
      │ cat              │    66.7 % │  66.7 % │ 66.7 % │      3 │
      │ dog              │    50.0 % │ 100.0 % │ 66.7 % │      1 │
      │ owl              │   100.0 % │  50.0 % │ 66.7 % │      2 │
      │ Macro average    │    72.2 % │  72.2 % │ 66.7 % │        │
      │ Micro average    │    66.7 % │  66.7 % │ 66.7 % │        │
      │ Weighted average │    75.0 % │  66.7 % │ 66.7 % │        │
      └──────────────────┴───────────┴─────────┴────────┴────────┘
      Most confused classes
      ┏━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━━┓
      ┃ True class ┃ Predicted as ┃ Images ┃ Share of class ┃
      ┡━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━━┩
      │ cat        │ dog          │      1 │         33.3 % │
      │ owl        │ cat          │      1 │         50.0 % │
      └────────────┴──────────────┴────────┴────────────────┘
      Calibration
       Expected calibration error (ECE, 15 bins): 33.3 %
      Accuracy by predicted probability
      ┏━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━┓
      ┃ Probability ┃ Confidence ┃ Accuracy ┃ Images ┃
      ┡━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━┩
      │ 93 – 100 %  │    100.0 % │   66.7 % │      6 │
      └─────────────┴────────────┴──────────┴────────┘"
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
      "Evaluation
       Accuracy: 40.0 %
       95 % confidence interval: 11.8 to 76.9 %
       Top-5 accuracy: 80.0 %
       Loss: 9.671 nats per image
       Images: 5 in 3 of 16 classes
      Precision, recall and F1 of each class. Macro: every class counts the same; micro: every prediction
        does; weighted: every class by its images.
      "
    `);
    expect(text.slice(text.indexOf("Most confused"))).toMatchInlineSnapshot(`
      "Most confused classes
      ┏━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━━┓
      ┃ True class ┃ Predicted as ┃ Images ┃ Share of class ┃
      ┡━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━━┩
      │ class 2    │ class 6      │      2 │         66.7 % │
      │ class 10   │ class 1      │      1 │        100.0 % │
      └────────────┴──────────────┴────────┴────────────────┘
      Calibration
       Expected calibration error (ECE, 15 bins): 60.0 %
      Accuracy by predicted probability
      ┏━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━┓
      ┃ Probability ┃ Confidence ┃ Accuracy ┃ Images ┃
      ┡━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━┩
      │ 93 – 100 %  │    100.0 % │   40.0 % │      5 │
      └─────────────┴────────────┴──────────┴────────┘"
    `);
  });

  it("counts the classes that have images", () => {
    expect(describeEvaluation(evaluation(["cat", "dog", "owl"], [[0, 0]]))).toContain("Images: 1 in 1 of 3 classes");
  });

  it("has what was asked for: other places, the temperature, the worst mistakes", () => {
    const tally = new EvaluationTally(["cat", "dog"], { top: [1, 2], temperature: true });
    tally.add(floatTensor([4, 2], Float32Array.of(0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1)), [0, 0, 0, 1]);
    const mistake = { truth: "dog", predicted: "cat", probability: 0.9, truthProbability: 0.1, truthRank: 2 };
    const predictions = [{ ...mistake, file: "dog/1.png" }];
    const text = describeEvaluation(tally.evaluation(), { predictions });
    expect(text.slice(0, text.indexOf("┏"))).toMatchInlineSnapshot(`
      "Evaluation
       Accuracy: 75.0 %
       95 % confidence interval: 30.1 to 95.4 %
       Top-2 accuracy: 100.0 %
       Loss: 0.6547 nats per image
       Images: 4 in 2 classes
      Confusion matrix: a row for each true class, a column for each predicted one
      "
    `);
    expect(text.slice(text.indexOf("Calibration"))).toMatchInlineSnapshot(`
      "Calibration
       Expected calibration error (ECE, 15 bins): 15.0 %
       Temperature, fitted to these images: 2
       Calibration error at that temperature: 0.0 %
       Loss at that temperature: 0.5623 nats per image
      Accuracy by predicted probability
      ┏━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━┓
      ┃ Probability ┃ Confidence ┃ Accuracy ┃ Images ┃
      ┡━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━┩
      │ 87 – 93 %   │     90.0 % │   75.0 % │      4 │
      └─────────────┴────────────┴──────────┴────────┘
      Misclassified, most confident first
      ┏━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━┓
      ┃ File      ┃ Predicted as ┃ True class      ┃ Probability ┃
      ┡━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━┩
      │ dog/1.png │ ✗ cat        │ is dog (10.0 %) │      90.0 % │
      └───────────┴──────────────┴─────────────────┴─────────────┘"
    `);
  });

  it("says nothing of mistakes where there are none", () => {
    const labels = Array.from({ length: 16 }, (_, index) => `class ${index + 1}`);
    expect(describeEvaluation(evaluation(labels, [[3, 3]]))).not.toContain("Most confused");
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
