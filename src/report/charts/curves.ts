import type { EpochRecord, ReliabilityBin, StepRecord } from "../../records.ts";
import { type ColorName, color, renderChart } from "./chart.ts";

/** One line of a curve chart: a value for each epoch that has one. */
interface Series {
  readonly name: string;
  readonly color: ColorName;
  readonly value: (record: EpochRecord) => number | undefined;
}

interface Curves {
  readonly title: string;
  /** How numbers of the vertical axis are written. @see https://d3js.org/d3-format */
  readonly format: string;
  readonly series: readonly Series[];
}

/** Above this number the points of a curve would run into each other. */
const mostPoints = 40;

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
  const points = steps.map(({ step, loss }) => ({ step, loss }));
  return renderChart("loss by step", {
    width: 330,
    height: 250,
    autosize: { type: "fit", contains: "padding" },
    data: { values: points },
    mark: { type: "line", strokeWidth: 1.5, color: color("accent") },
    encoding: {
      x: {
        field: "step",
        type: "quantitative",
        title: "step",
        scale: { domain: [steps[0]?.step ?? 0, steps.at(-1)?.step ?? 1], nice: false },
        axis: { format: "d", tickMinStep: 1, tickCount: 6, grid: false },
      },
      y: {
        field: "loss",
        type: "quantitative",
        title: "loss (nats per image)",
        axis: { format: "~g", tickCount: 5, domain: false },
      },
    },
  });
}

function curveChart(history: readonly EpochRecord[], { title, format, series }: Curves): Promise<string> {
  const shown = series.filter(({ value }) => history.some((record) => value(record) !== undefined));
  const points = shown.flatMap(({ name, value }) =>
    history.map((record) => ({ series: name, epoch: record.epoch, value: value(record) ?? null })),
  );
  return renderChart(`${title} by epoch: ${shown.map(({ name }) => name).join(" and ")}`, {
    width: 330,
    height: 250,
    autosize: { type: "fit", contains: "padding" },
    data: { values: points },
    mark: { type: "line", strokeWidth: 2, point: history.length <= mostPoints && { size: 28 } },
    encoding: {
      x: {
        field: "epoch",
        type: "quantitative",
        title: "epoch",
        scale: { domain: [history[0]?.epoch ?? 0, history.at(-1)?.epoch ?? 1], nice: false },
        axis: { format: "d", tickMinStep: 1, tickCount: 6, grid: false },
      },
      y: { field: "value", type: "quantitative", title, axis: { format, tickCount: 5, domain: false } },
      color: {
        field: "series",
        type: "nominal",
        scale: { domain: shown.map(({ name }) => name), range: shown.map((line) => color(line.color)) },
        ...(shown.length === 1 && { legend: null }),
      },
    },
  });
}

/** How often answers are right by their mean probability, as SVG: a point for each bin, and the line where both agree. */
export function reliabilityChart(bins: readonly ReliabilityBin[]): Promise<string> {
  const points = bins.map(({ confidence, accuracy, images }) => ({ confidence, accuracy, images }));
  const axis = { format: ".0%", tickCount: 5, domain: false } as const;
  const scale = { domain: [0, 1], nice: false };
  return renderChart("reliability diagram: accuracy by confidence", {
    width: 330,
    height: 250,
    autosize: { type: "fit", contains: "padding" },
    layer: [
      {
        data: {
          values: [
            { confidence: 0, accuracy: 0 },
            { confidence: 1, accuracy: 1 },
          ],
        },
        mark: { type: "line", strokeWidth: 1.5, strokeDash: [4, 4], color: color("muted") },
        encoding: {
          x: { field: "confidence", type: "quantitative", title: "confidence", scale, axis },
          y: { field: "accuracy", type: "quantitative", title: "accuracy (% of images)", scale, axis },
        },
      },
      {
        data: { values: points },
        mark: { type: "line", strokeWidth: 2, color: color("accent") },
        encoding: {
          x: { field: "confidence", type: "quantitative" },
          y: { field: "accuracy", type: "quantitative" },
        },
      },
      {
        data: { values: points },
        mark: { type: "circle", color: color("accent"), opacity: 1 },
        encoding: {
          x: { field: "confidence", type: "quantitative" },
          y: { field: "accuracy", type: "quantitative" },
          size: { field: "images", type: "quantitative", scale: { range: [20, 220] }, legend: null },
        },
      },
    ],
  });
}
