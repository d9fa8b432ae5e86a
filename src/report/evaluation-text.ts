import type { Calibration, Evaluation, Prediction } from "../records.ts";
import { mostConfused } from "./confusion.ts";
import { selectGallery } from "./gallery.ts";
import { withCommas } from "./number-text.ts";
import { type TextColumn, textTable } from "./text-table.ts";

/** With more classes a matrix is too wide to be read, and the most frequent mistakes say more. */
const largestMatrix = 15;
/** Images that are named. */
const namedMistakes = 5;

export interface EvaluationTextOptions {
  /** Of the tables, in characters; long labels are wrapped. Default 100. */
  readonly width?: number;
  /** To name the worst mistakes. */
  readonly predictions?: readonly Prediction[];
}

/**
 * The result of testing a network, for people: the accuracy, how well each class was recognized, and what was taken for
 * what.
 */
export function describeEvaluation(evaluation: Evaluation, options: EvaluationTextOptions = {}): string {
  const { images, top1, top5, topK, loss, perClass, meanAveragePrecision, calibration } = evaluation;
  const { width = 100, predictions = [] } = options;
  return [
    `${withCommas(images)} images of ${perClass.length} classes`,
    ` Accuracy (top 1): ${percent(top1)} %`,
    ...(topK
      ? topK
          .filter(({ k }) => k > 1)
          .map(({ k, accuracy }) => ` True class among the ${k} likeliest: ${percent(accuracy)} %`)
      : perClass.length > 5
        ? [` True class among the five likeliest (top 5): ${percent(top5)} %`]
        : []),
    ...(meanAveragePrecision === undefined
      ? []
      : [` Mean average precision (MAP@100): ${percent(meanAveragePrecision)} %`]),
    ` Loss: ${loss.toFixed(4)}`,
    ...(calibration ? calibrationLines(calibration) : []),
    classTable(evaluation, width),
    ...(perClass.length <= largestMatrix ? confusionMatrix(evaluation, width) : mistakes(evaluation, width)),
    ...(calibration ? reliabilityTable(calibration, width) : []),
    ...worstMistakes(predictions, width),
  ].join("\n");
}

function calibrationLines({ expectedCalibrationError, temperature }: Calibration): string[] {
  const lines = [` Calibration error (ECE, 15 bins): ${percent(expectedCalibrationError)} %`];
  if (!temperature) return lines;
  const { loss, expectedCalibrationError: error } = temperature;
  const fitted = `loss ${loss.toFixed(4)}, calibration error ${percent(error)} %`;
  return [...lines, ` With temperature ${temperature.temperature.toFixed(3)}, fitted to these same images: ${fitted}`];
}

function classTable({ perClass, averages }: Evaluation, width: number): string {
  const averageRows = (["macro", "micro", "weighted"] as const).map((name) => ({ name, ...averages[name] }));
  return textTable(
    [{ header: "Class" }, number("Images"), number("Recall %"), number("Precision %"), number("F1 %")],
    [
      ...perClass.map(({ label, support, recall, precision, f1 }) => [
        label,
        withCommas(support),
        percent(recall),
        percent(precision),
        percent(f1),
      ]),
      ...averageRows.map(({ name, recall, precision, f1 }) => [
        `(${name} average)`,
        "",
        percent(recall),
        percent(precision),
        percent(f1),
      ]),
    ],
    width,
  );
}

function reliabilityTable({ bins }: Calibration, width: number): string[] {
  return [
    "How sure it is, and how often it is right then",
    textTable(
      [number("Probability %"), number("Images"), number("Mean %"), number("Accuracy %")],
      bins.map(({ from, to, images, confidence, accuracy }) => [
        `${percent(from)}–${percent(to)}`,
        withCommas(images),
        percent(confidence),
        percent(accuracy),
      ]),
      width,
    ),
  ];
}

function worstMistakes(predictions: readonly Prediction[], width: number): string[] {
  const { wrong } = selectGallery(predictions, { wrong: namedMistakes, right: 0 });
  if (wrong.length === 0) return [];
  return [
    "Worst mistakes, the most certain first",
    textTable(
      [{ header: "File" }, { header: "Class" }, { header: "Taken for" }, number("Probability %"), number("Own %")],
      wrong.map(({ file, truth, predicted, probability, truthProbability }) => [
        file,
        truth,
        predicted,
        percent(probability),
        percent(truthProbability),
      ]),
      width,
    ),
  ];
}

/** Columns are numbered, since labels would be too wide; a dot is a zero. */
function confusionMatrix({ perClass, confusion }: Evaluation, width: number): string[] {
  return [
    "What was taken for what: a row for each true class, a column for each answer",
    textTable(
      [number(""), { header: "Class" }, ...perClass.map((_, index) => number(`${index + 1}`))],
      confusion.map((row, index) => [
        `${index + 1}`,
        perClass[index]!.label,
        ...row.map((count) => (count === 0 ? "·" : `${count}`)),
      ]),
      width,
    ),
  ];
}

function mistakes(evaluation: Evaluation, width: number): string[] {
  const pairs = mostConfused(evaluation, 10);
  if (pairs.length === 0) return [];
  return [
    "Most frequent mistakes",
    textTable(
      [{ header: "Class" }, { header: "Taken for" }, number("Images"), number("% of class")],
      pairs.map(({ truth, predicted, count, share }) => [truth, predicted, withCommas(count), percent(share)]),
      width,
    ),
  ];
}

function number(header: string): TextColumn {
  return { header, align: "right", whole: true };
}

function percent(fraction: number): string {
  return (100 * fraction).toFixed(1);
}
