import { expect, it } from "vitest";
import type { Prediction } from "../../src/base/records.ts";
import { mostConfused, selectGallery } from "../../src/report/evaluation.ts";

type Answer = Pick<Prediction, "file" | "truth" | "predicted" | "probability">;

const predictions: Answer[] = [
  { file: "a", truth: "cat", predicted: "cat", probability: 0.9 },
  { file: "b", truth: "cat", predicted: "cat", probability: 0.8 },
  { file: "c", truth: "dog", predicted: "dog", probability: 0.6 },
  { file: "d", truth: "dog", predicted: "cat", probability: 0.55 },
  { file: "e", truth: "cat", predicted: "dog", probability: 0.75 },
  { file: "f", truth: "dog", predicted: "cat", probability: 0.51 },
];

const files = (chosen: readonly Answer[]) => chosen.map(({ file }) => file).join("");

it("chooses the most certain mistakes, and right answers of every class in turn", () => {
  const { wrong, right } = selectGallery(predictions, { wrong: 2, right: 2 });
  expect(files(wrong)).toBe("ed");
  expect(files(right)).toBe("ac");
});

it("shows what there is when there is less than asked for, and does not reorder its input", () => {
  const { wrong, right } = selectGallery(predictions, { wrong: 10, right: 10 });
  expect(files(wrong)).toBe("edf");
  expect(files(right)).toBe("acb");
  expect(files(predictions)).toBe("abcdef");
});

it("lists the most frequent mistakes, equally frequent ones in the order of the classes", () => {
  const evaluation = {
    perClass: ["a", "b", "c"].map((label, index) => ({
      label,
      precision: 1,
      recall: 1,
      f1: 1,
      support: [10, 10, 0][index]!,
    })),
    confusion: [
      [8, 1, 1],
      [6, 4, 0],
      [0, 0, 0],
    ],
  };
  expect(mostConfused(evaluation, 2)).toEqual([
    { truth: "b", predicted: "a", count: 6, share: 0.6 },
    { truth: "a", predicted: "b", count: 1, share: 0.1 },
  ]);
  expect(mostConfused(evaluation, 9)).toHaveLength(3);
});
