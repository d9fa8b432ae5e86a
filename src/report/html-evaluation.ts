import type { ClassScore, Evaluation } from "../records.ts";
import { confusionChart, mostChartedClasses, recallChart } from "./charts-classes.ts";
import { mostConfused } from "./confusion.ts";
import { formatCount, formatNumber, formatPercent } from "./html-format.ts";
import { html, type Markup } from "./html-markup.ts";
import { bar, factList, figure, type Section, table } from "./html-parts.ts";
import type { TrainingReport } from "./training-report.ts";

/** Mistakes that are listed by name. */
const listedMistakes = 10;
/** Classes that fit into a chart of half the page's width. */
const mostSideBySide = 12;

/** The test on pictures the network did not learn from: totals, each class, what is taken for what. */
export async function evaluationSection({ evaluation }: TrainingReport): Promise<Section | undefined> {
  if (evaluation === undefined) return undefined;
  const { images, top1, top5, loss, perClass } = evaluation;
  const totals = [
    { name: "Accuracy", value: formatPercent(top1) },
    // With five classes or fewer the right one is always among the five.
    ...(perClass.length > 5 ? [{ name: "Right class among the first five", value: formatPercent(top5) }] : []),
    { name: "Loss", value: `${formatNumber(loss)} nats per picture` },
    { name: "Pictures", value: `${formatCount(images)} in ${formatCount(perClass.length)} classes` },
  ];
  return {
    id: "test",
    title: "Test result",
    body: html`${factList(totals)}
<div class="figures classes${perClass.length > mostSideBySide ? " many" : ""}">
${figure(await recallChart(perClass), recallCaption(perClass))}
${
  perClass.length <= mostChartedClasses
    ? figure(await confusionChart(evaluation), "Every row is a true class: the stronger a cell, the larger its share.")
    : undefined
}
</div>
${classTable(perClass)}
${mistakeTable(evaluation)}`,
  };
}

function recallCaption(perClass: readonly ClassScore[]): string {
  return perClass.length <= mostChartedClasses
    ? "How many pictures of each class were recognised."
    : `The ${mostChartedClasses} classes that were recognised worst.`;
}

function classTable(perClass: readonly ClassScore[]): Markup {
  return table(
    "Precision, recall and F1 of each class",
    [
      { header: "Class" },
      { header: "Precision", align: "right" },
      { header: "Recall", align: "right" },
      { header: "F1", align: "right" },
      { header: "Pictures", align: "right" },
    ],
    perClass.map(({ label, precision, recall, f1, support }) => [
      label,
      formatPercent(precision),
      formatPercent(recall),
      formatPercent(f1),
      formatCount(support),
    ]),
  );
}

function mistakeTable(evaluation: Evaluation): Markup | undefined {
  const pairs = mostConfused(evaluation, listedMistakes);
  if (pairs.length === 0) return undefined;
  return table(
    "The most frequent mistakes",
    [
      { header: "True class" },
      { header: "Taken for" },
      { header: "Pictures", align: "right" },
      { header: "Share of class", align: "right" },
    ],
    pairs.map(({ truth, predicted, count, share }) => [
      truth,
      predicted,
      formatCount(count),
      html`${formatPercent(share)} ${bar(share)}`,
    ]),
  );
}
