import { csvText } from "../base/csv.ts";
import type { Calibration, EvaluatedImages, Evaluation, Prediction } from "../base/records.ts";
import { reliabilityChart } from "./charts/curves.ts";
import { confusionChart, mostChartedClasses, recallChart } from "./charts/heat-maps.ts";
import {
  type Chart,
  chart,
  factsOf,
  type ImageGallery,
  numberColumn,
  type ReportBlock,
  type Section,
  section,
  type Table,
  table,
} from "./document.ts";
import { counted, formatInterval, formatNumber, formatPercent, withCommas } from "./numbers.ts";
import { toText } from "./text.ts";

/** Number of confused pairs of classes to list, and of misclassified images to name in text. */
const listedPairs = 10;
const namedMistakes = 5;
/** Most classes whose confusion matrix fits in text, and whose charts fit side by side. */
const mostInText = 15;
const mostSideBySide = 12;

/** Options of `describeEvaluation`. */
export interface EvaluationTextOptions {
  /** Width of the text in characters; long labels are wrapped. Default 100. */
  readonly width?: number;
  /** To name the worst mistakes. */
  readonly predictions?: readonly Prediction[];
}

/** Describes the evaluation of a network in plain text: accuracy, the scores of each class, confusion matrix and calibration. */
export function describeEvaluation(evaluation: Evaluation, options: EvaluationTextOptions = {}): string {
  const { predictions = [], ...rest } = options;
  const { wrong } = selectGallery(predictions, { wrong: namedMistakes, right: 0 });
  const section = evaluationSection(evaluation);
  const blocks = [...section.blocks, predictionGallery("wrong", wrong)];
  return toText({ title: "Evaluation", sections: [{ ...section, blocks }] }, rest);
}

/**
 * The evaluation of a network: totals, the scores of each class, confusion matrix and calibration.
 * @param evaluatedOn shown if known.
 */
export function evaluationSection(evaluation: Evaluation, evaluatedOn?: EvaluatedImages): Section {
  const { images, top1, top1Interval, top5, topK, loss, perClass, meanAveragePrecision, calibration } = evaluation;
  const present = perClass.filter(({ support }) => support > 0).length;
  // With five classes or fewer, top-5 accuracy is always 1.
  const places = topK ?? (perClass.length > 5 ? [{ k: 5, accuracy: top5 }] : []);
  const facts = {
    Accuracy: formatPercent(top1),
    ...(top1Interval && { "95\u00a0% confidence interval": formatInterval(top1Interval) }),
    ...Object.fromEntries(
      places.filter(({ k }) => k > 1).map(({ k, accuracy }) => [`Top-${k} accuracy`, formatPercent(accuracy)]),
    ),
    ...(meanAveragePrecision !== undefined && {
      "Mean average precision (MAP@100)": formatPercent(meanAveragePrecision),
    }),
    Loss: `${formatNumber(loss)} nats per image`,
    Images: `${withCommas(images)} in ${present < perClass.length ? `${present} of ` : ""}${counted(perClass.length, "class", "classes")}`,
  };
  return section(
    evaluatedOn ?? "evaluation",
    sectionTitles[evaluatedOn ?? "evaluation"],
    { type: "facts", facts: factsOf(facts) },
    {
      type: "figures",
      layout: perClass.length > mostSideBySide ? "classes many" : "classes",
      blocks: [
        chart(recallCaption(evaluation), () => recallChart(perClass)),
        perClass.length <= mostChartedClasses ? confusionMatrix(evaluation) : undefined,
      ],
    },
    classTable(evaluation),
    confusedTable(evaluation),
    ...(calibration ? calibrationBlocks(calibration) : []),
  );
}

const sectionTitles = { test: "Test result", validation: "Validation result", evaluation: "Evaluation" };

/** Evaluated images with their predictions, undefined if there are none. */
export function predictionGallery(
  style: "wrong" | "right",
  predictions: readonly (Prediction & { readonly url?: string; readonly evidenceUrl?: string | undefined })[],
): ImageGallery | undefined {
  if (predictions.length === 0) return undefined;
  return {
    type: "gallery",
    style,
    title: style === "wrong" ? "Misclassified, most confident first" : "Correctly classified",
    headers: ["Predicted as", "True class", "Probability"],
    images: predictions.map(({ file, truth, predicted, probability, truthProbability, url, evidenceUrl }) => ({
      ...{ file, url, alt: `an image of class ${truth}`, share: probability, score: formatPercent(probability) },
      ...(evidenceUrl !== undefined && { beside: { url: evidenceUrl, alt: `the evidence of ${predicted} in it` } }),
      label: `${style === "right" ? "✓" : "✗"} ${predicted}`,
      ...(style === "wrong" && { note: `is ${truth} (${formatPercent(truthProbability)})` }),
    })),
  };
}

/**
 * Selects the images that a report shows: the misclassified ones with the highest confidence, which are the most instructive, and
 * the correctly classified ones with the highest confidence, alternating between the classes.
 */
export function selectGallery<T extends Pick<Prediction, "truth" | "predicted" | "probability">>(
  predictions: readonly T[],
  size: { readonly wrong: number; readonly right: number },
): { wrong: readonly T[]; right: readonly T[] } {
  const ranked = predictions.toSorted((a, b) => b.probability - a.probability);
  const seen = new Map<string, number>();
  const right = ranked
    .filter(({ truth, predicted }) => truth === predicted)
    .map((prediction) => {
      const place = seen.get(prediction.truth) ?? 0;
      seen.set(prediction.truth, place + 1);
      return { prediction, place };
    })
    .toSorted((a, b) => a.place - b.place)
    .map(({ prediction }) => prediction);
  return {
    wrong: ranked.filter(({ truth, predicted }) => truth !== predicted).slice(0, size.wrong),
    right: right.slice(0, size.right),
  };
}

/**
 * The most confused pairs of classes, most frequent first, equally frequent ones in the order of the classes; `share` is the
 * fraction of the true class's images.
 */
export function mostConfused({ perClass, confusion }: Pick<Evaluation, "perClass" | "confusion">, limit: number) {
  const label = (index: number) => perClass[index]!.label;
  const pairs = confusion.flatMap((row, truth) =>
    row.flatMap((count, predicted) => {
      if (truth === predicted || count === 0) return [];
      return [{ truth: label(truth), predicted: label(predicted), count, share: count / perClass[truth]!.support }];
    }),
  );
  return pairs.sort((a, b) => b.count - a.count).slice(0, limit);
}

/** Writes predictions as CSV, one line per image. */
export function predictionsCsv(predictions: readonly Prediction[]): string {
  return csvText([
    ["file", "truth", "predicted", "correct", "probability", "truth_probability", "truth_rank"],
    ...predictions.map(({ file, truth, predicted, probability, truthProbability, truthRank }) => [
      ...[file, truth, predicted, truth === predicted ? 1 : 0],
      ...[probability, truthProbability, truthRank],
    ]),
  ]);
}

function recallCaption(evaluation: Evaluation): string {
  const isAll = evaluation.perClass.length <= mostChartedClasses;
  const recall = isAll ? "Recall of each class" : `The ${mostChartedClasses} classes with the lowest recall`;
  return evaluation.meanAveragePrecision === undefined
    ? `${recall}.`
    : `${recall}: images given a probability of at least 50\u00a0%.`;
}

function confusionMatrix(evaluation: Evaluation): Chart {
  const { perClass, confusion, meanAveragePrecision } = evaluation;
  const caption = "Confusion matrix: a row for each true class; the stronger a cell, the larger its share of the row.";
  const multiLabel =
    " An image counts once for each of its classes; a missed class counts as predicted as the top class that is wrong.";
  // Columns are numbered, since labels would be too wide; a dot is a zero.
  const asTable = table(
    "Confusion matrix: a row for each true class, a column for each predicted one",
    [numberColumn(""), "Class", ...perClass.map((_, index) => numberColumn(`${index + 1}`))],
    confusion.map((row, index) => [
      ...[`${index + 1}`, perClass[index]!.label],
      ...row.map((count) => (count === 0 ? "·" : `${count}`)),
    ]),
  );
  const drawn = chart(meanAveragePrecision === undefined ? caption : caption + multiLabel, () =>
    confusionChart(evaluation),
  );
  return { ...drawn, asTable: perClass.length > mostInText ? undefined : asTable };
}

function classTable({ perClass, averages, meanAveragePrecision }: Evaluation): Table {
  const ranked = meanAveragePrecision !== undefined;
  const scores = ({ precision, recall, f1 }: Evaluation["averages"]["macro"]) =>
    [precision, recall, f1].map(formatPercent);
  const rankedCell = (value: number | undefined) => (ranked ? [value === undefined ? "–" : formatPercent(value)] : []);
  const headers = [...(ranked ? ["Average precision"] : []), "Precision", "Recall", "F1", "Images"];
  const rows = perClass.map(({ label, averagePrecision, support, ...rest }) => [
    ...[label, ...rankedCell(averagePrecision)],
    ...[...scores(rest), withCommas(support)],
  ]);
  const summary = (["macro", "micro", "weighted"] as const).map((name) => [
    `${name[0]!.toUpperCase()}${name.slice(1)} average`,
    ...(ranked ? [""] : []),
    ...[...scores(averages[name]), ""],
  ]);
  return table(
    `${ranked ? "Average precision, precision" : "Precision"}, recall and F1 of each class. Macro: every class counts the same; micro: every prediction does; weighted: every class by its images.`,
    ["Class", ...headers.map(numberColumn)],
    rows,
    { summary },
  );
}

function confusedTable(evaluation: Evaluation): Table | undefined {
  const pairs = mostConfused(evaluation, listedPairs);
  if (pairs.length === 0) return undefined;
  const rows = pairs.map(({ truth, predicted, count, share }) => [
    ...[truth, predicted, withCommas(count)],
    { text: formatPercent(share), share },
  ]);
  const numbers = ["Images", "Share of class"].map(numberColumn);
  return table("Most confused classes", ["True class", "Predicted as", ...numbers], rows);
}

function calibrationBlocks({ bins, expectedCalibrationError, temperature }: Calibration): ReportBlock[] {
  const facts = {
    "Expected calibration error (ECE, 15 bins)": formatPercent(expectedCalibrationError),
    ...(temperature && {
      "Temperature, fitted to these images": formatNumber(temperature.temperature),
      "Calibration error at that temperature": formatPercent(temperature.expectedCalibrationError),
      "Loss at that temperature": `${formatNumber(temperature.loss)} nats per image`,
    }),
  };
  return [
    { type: "heading", text: "Calibration" },
    { type: "facts", facts: factsOf(facts) },
    {
      type: "figures",
      layout: "curves",
      blocks: [
        chart(
          "Reliability diagram: a point for each bin, larger for more images; on the dashed line, confidence equals accuracy.",
          () => reliabilityChart(bins),
        ),
        table(
          "Accuracy by predicted probability",
          [{ header: "Probability", whole: true }, ...["Confidence", "Accuracy", "Images"].map(numberColumn)],
          bins.map(({ from, to, images, confidence, accuracy }) => [
            `${(100 * from).toFixed(0)} – ${(100 * to).toFixed(0)}\u00a0%`,
            ...[formatPercent(confidence), formatPercent(accuracy), withCommas(images)],
          ]),
        ),
      ],
    },
  ];
}
