import type { BlockHealth, ClassScore, Evaluation, HealthRecord } from "../../base/records.ts";
import { type ColorName, color, renderChart } from "./chart.ts";

/** Classes that a chart can show legibly; a report on more names the weakest and the most confused instead. */
export const mostChartedClasses = 40;

/** Recall of each class that was tested, best first, as SVG. Of more classes than fit, the weakest. */
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
      x: {
        field: "recall",
        type: "quantitative",
        title: "recall (% of images)",
        // Stacked bars with round ends are cut out by clips, whose ids would collide in a page.
        stack: null,
        scale: { domain: [0, 1] },
        axis: { format: ".0%", tickCount: 5, domain: false },
      },
      y: {
        field: "label",
        type: "ordinal",
        sort: null,
        title: null,
        axis: { domain: false, labelColor: color("ink"), labelFontSize: 12, labelLimit: 240 },
      },
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
 * The confusion matrix as SVG: a row for each true class, a column for each predicted one, the number of images in
 * each cell and its share of the row as strength of color.
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
  const axis = { domain: false, labelColor: color("ink"), labelFontSize: 12, labelLimit: 240 } as const;
  return renderChart(`confusion matrix of ${labels.length} classes: true class by predicted class`, {
    width: { step },
    height: { step },
    data: { values: cells },
    encoding: {
      x: {
        field: "predicted",
        type: "ordinal",
        sort: null,
        title: "predicted class",
        axis: { ...axis, orient: "bottom", labelAngle: labels.length > 3 ? -40 : 0 },
      },
      y: { field: "truth", type: "ordinal", sort: null, title: "true class", axis },
    },
    layer: [
      {
        mark: { type: "rect", color: color("accent"), cornerRadius: 3, stroke: color("surface"), strokeWidth: 2 },
        encoding: {
          fillOpacity: {
            field: "share",
            type: "quantitative",
            scale: { domain: [0, 1], range: [0.05, 1] },
            legend: null,
          },
        },
      },
      {
        transform: [{ filter: "datum.count > 0" }],
        mark: { type: "text", fontSize: Math.min(13, Math.floor(step / 2.2)) },
        encoding: {
          text: { field: "count", format: "," },
          color: {
            condition: { test: "datum.share > 0.7", value: color("onAccent") },
            value: color("ink"),
          },
        },
      },
    ],
  });
}

/** Columns that can be told apart. */
const mostColumns = 60;

/** A quantity of each block that a heat map shows. */
interface Measure {
  readonly name: string;
  readonly color: ColorName;
  /** Undefined where the block has none. */
  readonly value: (block: BlockHealth) => number | undefined;
  /** Least and greatest strength of color stand for these; default: for the least and greatest value. */
  readonly domain?: [number, number];
}

/** The gradient of each block from step to step, as a heat map on a logarithmic scale, as SVG. */
export function gradientChart(health: readonly HealthRecord[]): Promise<string> {
  const value = ({ gradientNorm = 0 }: BlockHealth) => (gradientNorm > 0 ? Math.log10(gradientNorm) : undefined);
  return heatMap(health, { name: "gradient norm, power of ten", color: "accent", value });
}

/** The share of zeros in each block's activations from step to step, as SVG. */
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
  const shown = health.length > 0 ? health.at(-1)!.blocks.map(({ block }) => block) : [];
  return renderChart(`${name} of each block by step`, {
    width: 420,
    height: Math.max(60, 22 * rows),
    autosize: { type: "fit", contains: "padding" },
    data: { values: cells },
    mark: { type: "rect", color: color(hue) },
    encoding: {
      x: {
        field: "step",
        type: "ordinal",
        title: "step",
        scale: { paddingInner: records.length > 20 ? 0 : 0.06 },
        axis: { domain: false, labelAngle: 0, labelOverlap: true },
      },
      y: {
        field: "block",
        type: "ordinal",
        sort: shown,
        title: null,
        scale: { paddingInner: 0.1 },
        axis: { domain: false, labelColor: color("ink"), labelLimit: 160 },
      },
      fillOpacity: {
        field: "value",
        type: "quantitative",
        scale: { ...(domain && { domain }), zero: false, range: [0.06, 1] },
        legend: null,
      },
    },
  });
}

/** At most so many of a list, evenly spaced, its last one among them. */
export function thinned<T>(list: readonly T[], most: number): readonly T[] {
  const stride = Math.ceil(list.length / most);
  const last = list.length - 1;
  return stride <= 1 ? list : list.filter((_, index) => (last - index) % stride === 0);
}
