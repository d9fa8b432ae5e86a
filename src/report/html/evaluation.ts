import type { Calibration, Evaluation, TemperatureFit } from "../../records.ts";
import { reliabilityChart } from "../charts/calibration.ts";
import { confusionChart, mostChartedClasses, recallChart } from "../charts/classes.ts";
import { mostConfused } from "../confusion.ts";
import { withCommas } from "../number-text.ts";
import type { Fact, TrainingReport } from "../training-report.ts";
import { formatNumber, formatPercent } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { bar, factList, figure, type Section, table } from "./parts.ts";

/** Mistakes that are listed by name. */
const listedMistakes = 10;
/** Classes that fit into a chart of half the page's width. */
const mostSideBySide = 12;

const averageNames = { macro: "Macro average", micro: "Micro average", weighted: "Weighted average" } as const;
const averageCaption =
  "Macro: every class counts the same; micro: every answer does; weighted: every class by its images.";

/** The test on images the network did not learn from: totals, each class, what is taken for what. */
export async function evaluationSection({ evaluation }: TrainingReport): Promise<Section | undefined> {
  if (evaluation === undefined) return undefined;
  const { images, top1, top5, topK, loss, perClass, meanAveragePrecision, calibration } = evaluation;
  const totals = [
    { name: "Accuracy", value: formatPercent(top1) },
    // With five classes or fewer the right one is always among the five.
    ...(topK
      ? topK
          .filter(({ k }) => k > 1)
          .map(({ k, accuracy }) => ({ name: `Right class among the first ${k}`, value: formatPercent(accuracy) }))
      : perClass.length > 5
        ? [{ name: "Right class among the first five", value: formatPercent(top5) }]
        : []),
    ...(meanAveragePrecision === undefined ? [] : [{ name: "MAP@100", value: formatPercent(meanAveragePrecision) }]),
    { name: "Loss", value: `${formatNumber(loss)} nats per image` },
    { name: "Images", value: `${withCommas(images)} in ${withCommas(perClass.length)} classes` },
  ];
  return {
    id: "test",
    title: "Test result",
    body: html`${factList(totals)}
<div class="figures classes${perClass.length > mostSideBySide ? " many" : ""}">
${figure(await recallChart(perClass), recallCaption(evaluation))}
${
  perClass.length <= mostChartedClasses
    ? figure(await confusionChart(evaluation), confusionCaption(evaluation))
    : undefined
}
</div>
${classTable(evaluation)}
${mistakeTable(evaluation)}
${calibration && (await calibrationPart(calibration))}`,
  };
}

/** Whether images have several labels each. */
function hasSeveralLabels({ meanAveragePrecision }: Evaluation): boolean {
  return meanAveragePrecision !== undefined;
}

function recallCaption(evaluation: Evaluation): string {
  const images =
    evaluation.perClass.length <= mostChartedClasses
      ? "How many images of each class were recognized"
      : `The ${mostChartedClasses} classes that were recognized worst`;
  return `${images}${hasSeveralLabels(evaluation) ? ": given a probability of at least 50\u00a0%" : ""}.`;
}

function confusionCaption(evaluation: Evaluation): string {
  const caption = "Every row is a true class: the stronger a cell, the larger its share.";
  if (!hasSeveralLabels(evaluation)) return caption;
  return `${caption} An image counts once for each of its classes; one that was missed, as the likeliest that is not its own.`;
}

function classTable(evaluation: Evaluation): Markup {
  const { perClass, averages } = evaluation;
  const ranked = hasSeveralLabels(evaluation);
  const rankedCell = (value: number | undefined) => (ranked ? [value === undefined ? "–" : formatPercent(value)] : []);
  return table(
    `${ranked ? "Average precision, precision" : "Precision"}, recall and F1 of each class. ${averageCaption}`,
    [
      { header: "Class" },
      ...(ranked ? [{ header: "Average precision", align: "right" } as const] : []),
      { header: "Precision", align: "right" },
      { header: "Recall", align: "right" },
      { header: "F1", align: "right" },
      { header: "Images", align: "right" },
    ],
    perClass.map(({ label, averagePrecision, precision, recall, f1, support }) => [
      label,
      ...rankedCell(averagePrecision),
      formatPercent(precision),
      formatPercent(recall),
      formatPercent(f1),
      withCommas(support),
    ]),
    [],
    (["macro", "micro", "weighted"] as const).map((name) => {
      const { precision, recall, f1 } = averages[name];
      return [
        averageNames[name],
        ...(ranked ? [""] : []),
        formatPercent(precision),
        formatPercent(recall),
        formatPercent(f1),
        "",
      ];
    }),
  );
}

/** How sure the network is, and how often it is right then. */
async function calibrationPart(calibration: Calibration): Promise<Markup> {
  const { bins, expectedCalibrationError, temperature } = calibration;
  const facts = [
    { name: "Calibration error (ECE, 15 bins)", value: formatPercent(expectedCalibrationError) },
    ...(temperature ? temperatureFacts(temperature) : []),
  ];
  return html`<h3>How far its probabilities can be believed</h3>
${factList(facts)}
<div class="figures curves">
${figure(await reliabilityChart(bins), "Each point is a bin of answers, the larger the more; on the line, probabilities are right.")}
${table(
  "How often answers are right, by their probability",
  [
    { header: "Probability" },
    { header: "Mean", align: "right" },
    { header: "Accuracy", align: "right" },
    { header: "Images", align: "right" },
  ],
  bins.map(({ from, to, images, confidence, accuracy }) => [
    `${(100 * from).toFixed(0)} – ${(100 * to).toFixed(0)}\u00a0%`,
    formatPercent(confidence),
    formatPercent(accuracy),
    withCommas(images),
  ]),
)}
</div>`;
}

function temperatureFacts({ temperature, loss, expectedCalibrationError }: TemperatureFit): readonly Fact[] {
  return [
    { name: "Temperature, fitted to these same images", value: formatNumber(temperature) },
    { name: "Calibration error with it", value: formatPercent(expectedCalibrationError) },
    { name: "Loss with it", value: `${formatNumber(loss)} nats per image` },
  ];
}

function mistakeTable(evaluation: Evaluation): Markup | undefined {
  const pairs = mostConfused(evaluation, listedMistakes);
  if (pairs.length === 0) return undefined;
  return table(
    "The most frequent mistakes",
    [
      { header: "True class" },
      { header: "Taken for" },
      { header: "Images", align: "right" },
      { header: "Share of class", align: "right" },
    ],
    pairs.map(({ truth, predicted, count, share }) => [
      truth,
      predicted,
      withCommas(count),
      html`${formatPercent(share)} ${bar(share)}`,
    ]),
  );
}
