import type { Evaluation } from "../records.ts";
import { mostConfused } from "./confusion.ts";
import { withCommas } from "./number-text.ts";
import { type TextColumn, textTable } from "./text-table.ts";

/** With more classes a matrix is too wide to be read, and the most frequent mistakes say more. */
const largestMatrix = 15;

/**
 * The result of testing a network, for people: the accuracy, how well each class was recognised, and what was taken for
 * what.
 * @param options.width of the tables in characters, default 100; long labels are wrapped.
 */
export function describeEvaluation(evaluation: Evaluation, options: { readonly width?: number } = {}): string {
  const { images, top1, top5, loss, perClass, meanAveragePrecision } = evaluation;
  const { width = 100 } = options;
  return [
    `${withCommas(images)} pictures of ${perClass.length} classes`,
    ` Accuracy (top 1): ${percent(top1)} %`,
    ...(perClass.length > 5 ? [` True class among the five likeliest (top 5): ${percent(top5)} %`] : []),
    ...(meanAveragePrecision === undefined
      ? []
      : [` Mean average precision (MAP@100): ${percent(meanAveragePrecision)} %`]),
    ` Loss: ${loss.toFixed(4)}`,
    textTable(
      [{ header: "Class" }, number("Pictures"), number("Recall %"), number("Precision %"), number("F1 %")],
      perClass.map(({ label, support, recall, precision, f1 }) => [
        label,
        withCommas(support),
        percent(recall),
        percent(precision),
        percent(f1),
      ]),
      width,
    ),
    ...(perClass.length <= largestMatrix ? confusionMatrix(evaluation, width) : mistakes(evaluation, width)),
  ].join("\n");
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
      [{ header: "Class" }, { header: "Taken for" }, number("Pictures"), number("% of class")],
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
