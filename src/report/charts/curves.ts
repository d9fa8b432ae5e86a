import type { EpochRecord, ReliabilityBin, StepRecord } from "../../base/records.ts";
import { type ColorName, color, renderChart } from "./chart.ts";

/** One line of a curve chart: a value for each epoch that has one. */
interface Series {
  readonly name: string;
  readonly color: ColorName;
  readonly value: (record: EpochRecord) => number | undefined;
}

interface Curves {
  readonly title: string;
  /** Number format of the vertical axis. @see https://d3js.org/d3-format */
  readonly format: string;
  readonly series: readonly Series[];
}

/** Number of epochs above which the points of a curve would run into each other. */
const mostPoints = 40;

/** Size of a chart in pixels, its axes included. */
const size = { width: 330, height: 250, autosize: { type: "fit", contains: "padding" } } as const;

/** Loss by epoch, training and validation, as SVG. */
export function lossChart(history: readonly EpochRecord[]): Promise<string> {
  return curveChart(history, {
    title: "loss (nats per image)",
    format: "~g",
    series: [
      { name: "training", color: "accent", value: (record) => record.loss },
      { name: "validation", color: "second", value: (record) => record.validationLoss },
    ],
  });
}

/** Accuracy by epoch, training and validation, as SVG. */
export function accuracyChart(history: readonly EpochRecord[]): Promise<string> {
  return curveChart(history, {
    title: "accuracy (% of images)",
    format: ".0%",
    series: [
      { name: "training", color: "accent", value: (record) => record.accuracy },
      { name: "validation", color: "second", value: (record) => record.validationAccuracy },
    ],
  });
}

/** Learning rate by epoch, as SVG. */
export function learningRateChart(history: readonly EpochRecord[]): Promise<string> {
  return curveChart(history, {
    title: "learning rate",
    format: "~g",
    series: [{ name: "learning rate", color: "accent", value: (record) => record.learningRate }],
  });
}

/** Loss of single steps, as SVG: it shows an epoch that is not over, and what happens within one. */
export function stepLossChart(steps: readonly StepRecord[]): Promise<string> {
  return renderChart("loss by step", {
    ...size,
    data: { values: steps.map(({ step, loss }) => ({ step, loss })) },
    mark: { type: "line", strokeWidth: 1.5, color: color("accent") },
    encoding: { x: countAxis("step", steps), y: valueAxis("loss", "loss (nats per image)", "~g") },
  });
}

function curveChart(history: readonly EpochRecord[], { title, format, series }: Curves): Promise<string> {
  const shown = series.filter(({ value }) => history.some((record) => value(record) !== undefined));
  const points = shown.flatMap(({ name, value }) =>
    history.map((record) => ({ series: name, epoch: record.epoch, value: value(record) ?? null })),
  );
  return renderChart(`${title} by epoch: ${shown.map(({ name }) => name).join(" and ")}`, {
    ...size,
    data: { values: points },
    mark: { type: "line", strokeWidth: 2, point: history.length <= mostPoints && { size: 28 } },
    encoding: {
      x: countAxis("epoch", history),
      y: valueAxis("value", title, format),
      color: {
        field: "series",
        type: "nominal",
        scale: { domain: shown.map(({ name }) => name), range: shown.map((line) => color(line.color)) },
        ...(shown.length === 1 && { legend: null }),
      },
    },
  });
}

/** Horizontal axis of epochs or steps, from the first record to the last. */
function countAxis<F extends string>(field: F, records: readonly Readonly<Record<F, number>>[]) {
  return {
    field,
    type: "quantitative" as const,
    title: field,
    scale: { domain: [records[0]?.[field] ?? 0, records.at(-1)?.[field] ?? 1], nice: false },
    axis: { format: "d", tickMinStep: 1, tickCount: 6, grid: false },
  };
}

function valueAxis(field: string, title: string, format: string) {
  return { field, type: "quantitative", title, axis: { format, tickCount: 5, domain: false } } as const;
}

/** Reliability diagram as SVG: accuracy by mean confidence, a point for each bin, and the line of perfect calibration. */
export function reliabilityChart(bins: readonly ReliabilityBin[]): Promise<string> {
  const points = bins.map(({ confidence, accuracy, images }) => ({ confidence, accuracy, images }));
  const axis = { format: ".0%", tickCount: 5, domain: false } as const;
  const scale = { domain: [0, 1], nice: false };
  const place = {
    x: { field: "confidence", type: "quantitative" },
    y: { field: "accuracy", type: "quantitative" },
  } as const;
  return renderChart("reliability diagram: accuracy by confidence", {
    ...size,
    layer: [
      {
        data: { values: [0, 1].map((both) => ({ confidence: both, accuracy: both })) },
        mark: { type: "line", strokeWidth: 1.5, strokeDash: [4, 4], color: color("muted") },
        encoding: {
          x: { field: "confidence", type: "quantitative", title: "confidence", scale, axis },
          y: { field: "accuracy", type: "quantitative", title: "accuracy (% of images)", scale, axis },
        },
      },
      {
        data: { values: points },
        mark: { type: "line", strokeWidth: 2, color: color("accent") },
        encoding: place,
      },
      {
        data: { values: points },
        mark: { type: "circle", color: color("accent"), opacity: 1 },
        encoding: {
          ...place,
          size: { field: "images", type: "quantitative", scale: { range: [20, 220] }, legend: null },
        },
      },
    ],
  });
}
