import type { BlockHealth, ClassScore, Evaluation, HealthRecord } from "../../base/records.ts";
import { axisOf, type ColorName, color, renderChart } from "./chart.ts";

/** Most classes that a chart can show legibly; with more, a report lists the weakest and the most confused ones. */
export const mostChartedClasses = 40;

/** Axis of the names of classes. */
const classAxis = { domain: false, labelColor: color("ink"), labelFontSize: 12, labelLimit: 240 } as const;

/** Recall of each class that was tested, best first, as SVG; if they are too many, of the weakest. */
export function recallChart(perClass: readonly ClassScore[]): Promise<string> {
  const bars = perClass
    .filter(({ support }) => support > 0)
    .toSorted((a, b) => b.recall - a.recall)
    .slice(-mostChartedClasses)
    // Copies: the chart library marks every object that it draws.
    .map(({ label, recall }) => ({ label, recall }));
  const step = Math.max(22, Math.min(46, Math.floor(320 / bars.length)));
  return renderChart(`recall of ${bars.length} classes`, {
    width: 280,
    height: { step },
    data: { values: bars },
    encoding: {
      // Stacked bars with round ends use clip paths, whose ids would collide in a page.
      x: { ...axisOf("recall", "recall (% of images)", ".0%"), stack: null, scale: { domain: [0, 1] } },
      y: { field: "label", type: "ordinal", sort: null, title: null, axis: classAxis },
    },
    layer: [
      { mark: { type: "bar", color: color("accent"), height: { band: 0.68 }, cornerRadiusEnd: 3 } },
      {
        mark: { type: "text", align: "left", dx: 5, fontSize: 11, color: color("muted") },
        encoding: { text: { field: "recall", format: ".1%" } },
      },
    ],
  });
}

/**
 * Confusion matrix as SVG: a row for each true class, a column for each predicted one; cells show the number of images,
 * and their share of the row as strength of color.
 */
export function confusionChart({ perClass, confusion }: Pick<Evaluation, "perClass" | "confusion">): Promise<string> {
  const labels = perClass.map(({ label }) => label);
  const cells = confusion.flatMap((row, truth) =>
    row.map((count, predicted) => ({
      truth: labels[truth]!,
      predicted: labels[predicted]!,
      count,
      share: count / Math.max(1, perClass[truth]!.support),
    })),
  );
  const step = Math.max(18, Math.min(64, Math.floor(560 / labels.length)));
  return renderChart(`confusion matrix of ${labels.length} classes: true class by predicted class`, {
    width: { step },
    height: { step },
    data: { values: cells },
    encoding: {
      x: {
        ...{ field: "predicted", type: "ordinal", sort: null, title: "predicted class" },
        axis: { ...classAxis, orient: "bottom", labelAngle: labels.length > 3 ? -40 : 0 },
      },
      y: { field: "truth", type: "ordinal", sort: null, title: "true class", axis: classAxis },
    },
    layer: [
      {
        mark: { type: "rect", color: color("accent"), cornerRadius: 3, stroke: color("surface"), strokeWidth: 2 },
        encoding: {
          fillOpacity: opacity("share", { domain: [0, 1], range: [0.05, 1] }),
        },
      },
      {
        transform: [{ filter: "datum.count > 0" }],
        mark: { type: "text", fontSize: Math.min(13, Math.floor(step / 2.2)) },
        encoding: {
          text: { field: "count", format: "," },
          color: { condition: { test: "datum.share > 0.7", value: color("onAccent") }, value: color("ink") },
        },
      },
    ],
  });
}

/** Draws a value as opacity. */
function opacity(field: string, scale: object) {
  return { field, type: "quantitative", scale, legend: null } as const;
}

/** Most columns of a legible heat map. */
const mostColumns = 60;

/** A quantity that a heat map shows for each block that has it. */
interface Measure {
  readonly name: string;
  readonly color: ColorName;
  readonly value: (block: BlockHealth) => number | undefined;
  /** Values that are drawn palest and strongest; default: the least and the greatest. */
  readonly domain?: [number, number];
}

/** Gradient norm of each block by step on a logarithmic scale, as SVG. */
export function gradientChart(health: readonly HealthRecord[]): Promise<string> {
  const value = ({ gradientNorm = 0 }: BlockHealth) => (gradientNorm > 0 ? Math.log10(gradientNorm) : undefined);
  return heatMap(health, { name: "gradient norm, power of ten", color: "accent", value });
}

/** Share of zeros in each block's activations by step, as SVG. */
export function zerosChart(health: readonly HealthRecord[]): Promise<string> {
  const value = ({ activation }: BlockHealth) => activation?.zeroShare;
  return heatMap(health, { name: "share of zeros", color: "second", value, domain: [0, 1] });
}

function heatMap(health: readonly HealthRecord[], { name, color: hue, value, domain }: Measure): Promise<string> {
  const records = thinned(health, mostColumns);
  const cells = records.flatMap(({ step, blocks }) =>
    blocks.flatMap((block) => {
      const number = value(block);
      return number === undefined ? [] : [{ step, block: block.block, value: number }];
    }),
  );
  const rows = new Set(cells.map((cell) => cell.block)).size;
  const shown = health.at(-1)?.blocks.map(({ block }) => block) ?? [];
  return renderChart(`${name} of each block by step`, {
    width: 420,
    height: Math.max(60, 22 * rows),
    autosize: { type: "fit", contains: "padding" },
    data: { values: cells },
    mark: { type: "rect", color: color(hue) },
    encoding: {
      x: {
        ...{ field: "step", type: "ordinal", title: "step" },
        scale: { paddingInner: records.length > 20 ? 0 : 0.06 },
        axis: { domain: false, labelAngle: 0, labelOverlap: true },
      },
      y: {
        ...{ field: "block", type: "ordinal", sort: shown, title: null },
        scale: { paddingInner: 0.1 },
        axis: { domain: false, labelColor: color("ink"), labelLimit: 160 },
      },
      fillOpacity: opacity("value", { ...(domain && { domain }), zero: false, range: [0.06, 1] }),
    },
  });
}

/** At most `most` elements of a list, evenly spaced, the last one included. */
export function thinned<T>(list: readonly T[], most: number): readonly T[] {
  const stride = Math.ceil(list.length / most);
  const last = list.length - 1;
  return stride <= 1 ? list : list.filter((_, index) => (last - index) % stride === 0);
}
