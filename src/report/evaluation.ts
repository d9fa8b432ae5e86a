import { csvText } from "../base/csv.ts";
import type { Calibration, Evaluation, Prediction } from "../base/records.ts";
import { reliabilityChart } from "./charts/curves.ts";
import { confusionChart, mostChartedClasses, recallChart } from "./charts/heat-maps.ts";
import { type Chart, type ImageGallery, numberColumn, type ReportBlock, type Section, type Table } from "./document.ts";
import { formatNumber, formatPercent, withCommas } from "./numbers.ts";
import { toText } from "./text.ts";

/** Pairs of classes that are listed. */
const listedPairs = 10;
/** Misclassified images that a text names. */
const namedMistakes = 5;
/** Classes whose confusion matrix fits a text, and whose charts fit half a page. */
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
  return toText(
    {
      title: "Evaluation",
      sections: [{ ...section, blocks: [...section.blocks, predictionGallery("wrong", wrong)] }],
    },
    rest,
  );
}

/** The evaluation of a network: totals, the scores of each class, confusion matrix and calibration. */
export function evaluationSection(evaluation: Evaluation): Section {
  const { images, top1, top5, topK, loss, perClass, meanAveragePrecision, calibration } = evaluation;
  // With five classes or fewer the true one is always among the first five.
  const places = topK ?? (perClass.length > 5 ? [{ k: 5, accuracy: top5 }] : []);
  return {
    id: "test",
    title: "Test result",
    blocks: [
      {
        type: "facts",
        facts: [
          { name: "Accuracy", value: formatPercent(top1) },
          ...places
            .filter(({ k }) => k > 1)
            .map(({ k, accuracy }) => ({ name: `Top-${k} accuracy`, value: formatPercent(accuracy) })),
          ...(meanAveragePrecision === undefined
            ? []
            : [{ name: "Mean average precision (MAP@100)", value: formatPercent(meanAveragePrecision) }]),
          { name: "Loss", value: `${formatNumber(loss)} nats per image` },
          { name: "Images", value: `${withCommas(images)} in ${withCommas(perClass.length)} classes` },
        ],
      },
      {
        type: "figures",
        layout: perClass.length > mostSideBySide ? "classes many" : "classes",
        blocks: [
          { type: "chart", caption: recallCaption(evaluation), draw: () => recallChart(perClass) },
          perClass.length <= mostChartedClasses ? confusionMatrix(evaluation) : undefined,
        ],
      },
      classTable(evaluation),
      confusedTable(evaluation),
      ...(calibration ? calibrationBlocks(calibration) : []),
    ],
  };
}

/** Evaluated images with their predictions, undefined if there are none. */
export function predictionGallery(
  style: "wrong" | "right",
  predictions: readonly (Prediction & { readonly url?: string })[],
): ImageGallery | undefined {
  if (predictions.length === 0) return undefined;
  return {
    type: "gallery",
    style,
    title: style === "wrong" ? "Misclassified, most confident first" : "Correctly classified",
    headers: ["Predicted as", "True class", "Probability"],
    images: predictions.map(({ file, truth, predicted, probability, truthProbability, url }) => ({
      ...{ file, url, alt: `an image of class ${truth}`, share: probability, score: formatPercent(probability) },
      label: `${style === "right" ? "✓" : "✗"} ${predicted}`,
      ...(style === "wrong" && { note: `is ${truth} (${formatPercent(truthProbability)})` }),
    })),
  };
}

/** Number of images of either kind in a gallery. */
export interface GallerySize {
  readonly wrong: number;
  readonly right: number;
}

/**
 * Chooses the evaluated images that a report shows: the misclassified ones with the highest confidence, which teach the most,
 * and the correctly classified ones with the highest confidence, going round the classes so that each is seen.
 */
export function selectGallery<T extends Pick<Prediction, "truth" | "predicted" | "probability">>(
  predictions: readonly T[],
  size: GallerySize,
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

/** Images of one class that were predicted as another. */
export interface ConfusedPair {
  readonly truth: string;
  readonly predicted: string;
  readonly count: number;
  /** Fraction of the true class's images. */
  readonly share: number;
}

/** The most confused pairs of classes, most frequent first; equally frequent ones in the order of the classes. */
export function mostConfused(
  { perClass, confusion }: Pick<Evaluation, "perClass" | "confusion">,
  limit: number,
): readonly ConfusedPair[] {
  return confusion
    .flatMap((row, truth) =>
      row.map((count, predicted) => ({
        truth: perClass[truth]!.label,
        predicted: truth === predicted ? undefined : perClass[predicted]!.label,
        count,
        share: count / perClass[truth]!.support,
      })),
    )
    .filter((pair): pair is ConfusedPair => pair.predicted !== undefined && pair.count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, limit);
}

/** Writes the predictions for evaluated images as CSV, a line for each. */
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
  return {
    type: "chart",
    caption:
      meanAveragePrecision === undefined
        ? caption
        : `${caption} An image counts once for each of its classes; a missed class, as the top prediction that is wrong.`,
    draw: () => confusionChart(evaluation),
    // Columns are numbered, since labels would be too wide; a dot is a zero.
    asTable:
      perClass.length > mostInText
        ? undefined
        : {
            type: "table",
            caption: "Confusion matrix: a row for each true class, a column for each predicted one",
            columns: [
              numberColumn(""),
              { header: "Class" },
              ...perClass.map((_, index) => numberColumn(`${index + 1}`)),
            ],
            rows: confusion.map((row, index) => [
              `${index + 1}`,
              perClass[index]!.label,
              ...row.map((count) => (count === 0 ? "·" : `${count}`)),
            ]),
          },
  };
}

function classTable({ perClass, averages, meanAveragePrecision }: Evaluation): Table {
  const ranked = meanAveragePrecision !== undefined;
  const scores = ({ precision, recall, f1 }: Evaluation["averages"]["macro"]) =>
    [precision, recall, f1].map(formatPercent);
  const rankedCell = (value: number | undefined) => (ranked ? [value === undefined ? "–" : formatPercent(value)] : []);
  return {
    type: "table",
    caption: `${ranked ? "Average precision, precision" : "Precision"}, recall and F1 of each class. Macro: every class counts the same; micro: every prediction does; weighted: every class by its images.`,
    columns: [
      { header: "Class" },
      ...(ranked ? [numberColumn("Average precision")] : []),
      ...["Precision", "Recall", "F1", "Images"].map(numberColumn),
    ],
    rows: perClass.map(({ label, averagePrecision, support, ...rest }) => [
      ...[label, ...rankedCell(averagePrecision)],
      ...[...scores(rest), withCommas(support)],
    ]),
    summary: (["macro", "micro", "weighted"] as const).map((name) => [
      `${name[0]!.toUpperCase()}${name.slice(1)} average`,
      ...(ranked ? [""] : []),
      ...[...scores(averages[name]), ""],
    ]),
  };
}

function confusedTable(evaluation: Evaluation): Table | undefined {
  const pairs = mostConfused(evaluation, listedPairs);
  if (pairs.length === 0) return undefined;
  return {
    type: "table",
    caption: "Most confused classes",
    columns: [
      { header: "True class" },
      { header: "Predicted as" },
      numberColumn("Images"),
      numberColumn("Share of class"),
    ],
    rows: pairs.map(({ truth, predicted, count, share }) => [
      ...[truth, predicted, withCommas(count)],
      { text: formatPercent(share), share },
    ]),
  };
}

function calibrationBlocks({ bins, expectedCalibrationError, temperature }: Calibration): ReportBlock[] {
  const fitted = temperature && [
    { name: "Temperature, fitted to these images", value: formatNumber(temperature.temperature) },
    { name: "Calibration error at that temperature", value: formatPercent(temperature.expectedCalibrationError) },
    { name: "Loss at that temperature", value: `${formatNumber(temperature.loss)} nats per image` },
  ];
  return [
    { type: "heading", text: "Calibration" },
    {
      type: "facts",
      facts: [
        { name: "Expected calibration error (ECE, 15 bins)", value: formatPercent(expectedCalibrationError) },
        ...(fitted ?? []),
      ],
    },
    {
      type: "figures",
      layout: "curves",
      blocks: [
        {
          type: "chart",
          caption:
            "Reliability diagram: a point for each bin, larger for more images; on the dashed line, confidence equals accuracy.",
          draw: () => reliabilityChart(bins),
        },
        {
          type: "table",
          caption: "Accuracy by predicted probability",
          columns: [{ header: "Probability", whole: true }, ...["Confidence", "Accuracy", "Images"].map(numberColumn)],
          rows: bins.map(({ from, to, images, confidence, accuracy }) => [
            `${(100 * from).toFixed(0)} – ${(100 * to).toFixed(0)}\u00a0%`,
            ...[formatPercent(confidence), formatPercent(accuracy), withCommas(images)],
          ]),
        },
      ],
    },
  ];
}
