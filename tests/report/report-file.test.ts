import { expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { networkCost } from "../../src/graph/cost.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { decodeReport, encodeReport, type TrainingReport } from "../../src/report/training-report.ts";

const answer = { truth: "a", predicted: "b", probability: 0.9, truthProbability: 0.1, truthRank: 2 };
const scores = { precision: 0.5, recall: 0.25, f1: 1 / 3 };

/** With everything that there can be. */
const report: TrainingReport = {
  kind: "Training report",
  title: "Ünïcode",
  summary: "In short",
  network: { parameters: 10, full: { name: "large", parameters: 100 } },
  settings: [{ name: "seed", value: "1" }],
  history: [
    { epoch: 1, loss: 0.1 + 0.2, accuracy: 0.5, learningRate: 1e-3, imagesPerSecond: 10, seconds: 1 },
    {
      ...{ epoch: 2, loss: 0.2, accuracy: 0.5, validationLoss: 1, validationAccuracy: 0.5 },
      ...{ learningRate: 1e-3, imagesPerSecond: 10, seconds: 1 },
    },
  ],
  steps: [{ step: 3, loss: 1.5 }],
  health: [
    {
      step: 3,
      blocks: [
        { block: "top" },
        {
          ...{ block: "block1", gradientNorm: 1, weightNorm: 2, updateRatio: 1e-3 },
          activation: { mean: 0, deviation: 1, zeroShare: 0.5 },
        },
      ],
    },
  ],
  evaluation: {
    ...{ images: 4, top1: 0.5, top5: 1, loss: 0.7, topK: [{ k: 3, accuracy: 1 }], meanAveragePrecision: 0.4 },
    averages: { macro: scores, micro: scores, weighted: scores },
    calibration: {
      expectedCalibrationError: 0.1,
      bins: [{ from: 0, to: 1 / 15, images: 4, confidence: 0.05, accuracy: 0.5 }],
      temperature: { temperature: 2, loss: 0.5, expectedCalibrationError: 0 },
    },
    perClass: [{ label: "a", ...scores, averagePrecision: 0.5, support: 4 }],
    confusion: [[4]],
  },
  gallery: {
    epoch: 2,
    wrong: [{ file: "x.png", ...answer, png: Uint8Array.of(0, 255, 137), evidence: Uint8Array.of(1, 2) }],
    right: [],
  },
  cost: networkCost(xception({ inputShape: [71, 71, 3], width: 0.1 })),
  skipped: [{ file: "broken.png", reason: "empty" }],
  reproduction: { commands: ["xception train"], facts: [{ name: "Node", value: "20" }] },
  live: { epoch: 1, epochs: 2, step: 3, steps: 4, loss: 1, accuracy: 0.5, secondsLeft: 9, time: "now" },
};

it("comes back as it was written, with all or with little in it", () => {
  expect(decodeReport(encodeReport(report), "file")).toEqual(report);
  expect(decodeReport(encodeReport({ title: "" }), "file")).toEqual({ title: "" });
});

it.each([
  ["cut short", encodeReport(report).slice(0, 500), 'file "report.json", character 500: this is not JSON.'],
  [
    "of another version",
    '{"formatVersion":2,"title":""}',
    "field formatVersion: this value is not allowed; received 2; expected 1.",
  ],
  [
    "with another type in it",
    encodeReport({ title: "", steps: [{ step: 1, loss: Number.NaN }] }),
    'file "report.json", field steps.0.loss: this value is not allowed; received null; expected a number.',
  ],
  [
    "with an image that is none",
    encodeReport(report).replace("AP+J", "A*+J"),
    'png: this value is not allowed; received "A*+J"; expected base64.',
  ],
  ["with an image cut short", encodeReport(report).replace("AP+J", "AP+"), "field gallery.wrong.0.png: "],
])("is refused %s", (_, text, message) => {
  expect(() => decodeReport(text, 'file "report.json"')).toThrow(FormatError);
  expect(() => decodeReport(text, 'file "report.json"')).toThrow(message);
});
