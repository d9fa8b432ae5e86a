import type { EpochRecord, ReliabilityBin, StepRecord } from "../../base/records.ts";
import { axisOf, color, renderChart } from "./chart.ts";

/** A metric by epoch. */
interface Curves {
  readonly title: string;
  /** Number format of the vertical axis. @see https://d3js.org/d3-format */
  readonly format: string;
  /** The lines by name: the value of each epoch that has one. */
  readonly series: Readonly<Record<string, (record: EpochRecord) => number | undefined>>;
}

/** Most epochs whose points are drawn; those of more would overlap. */
const mostPoints = 40;

/** Chart size in pixels, axes included. */
const size = { width: 330, height: 250, autosize: { type: "fit", contains: "padding" } } as const;
const lossTitle = "loss (nats per image)";

/** Loss by epoch, training and validation, as SVG. */
export function lossChart(history: readonly EpochRecord[]): Promise<string> {
  const series = {
    training: ({ loss }: EpochRecord) => loss,
    validation: (record: EpochRecord) => record.validationLoss,
  };
  return curveChart(history, { title: lossTitle, format: "~g", series });
}

/** Accuracy by epoch, training and validation, as SVG. */
export function accuracyChart(history: readonly EpochRecord[]): Promise<string> {
  const training = ({ accuracy }: EpochRecord) => accuracy;
  const validation = ({ validationAccuracy }: EpochRecord) => validationAccuracy;
  return curveChart(history, { title: "accuracy (% of images)", format: ".0%", series: { training, validation } });
}

/** Learning rate by epoch, as SVG. */
export function learningRateChart(history: readonly EpochRecord[]): Promise<string> {
  const title = "learning rate";
  return curveChart(history, { title, format: "~g", series: { [title]: ({ learningRate }) => learningRate } });
}

/** Loss of single steps, as SVG: also of an unfinished epoch, and within epochs. */
export function stepLossChart(steps: readonly StepRecord[]): Promise<string> {
  return renderChart("loss by step", {
    ...size,
    data: { values: steps.map(({ step, loss }) => ({ step, loss })) },
    mark: { type: "line", strokeWidth: 1.5, color: color("accent") },
    encoding: { x: countAxis("step", steps), y: axisOf("loss", lossTitle, "~g") },
  });
}

function curveChart(history: readonly EpochRecord[], { title, format, series }: Curves): Promise<string> {
  const shown = Object.entries(series).filter(([, value]) => history.some((record) => value(record) !== undefined));
  const domain = shown.map(([name]) => name);
  return renderChart(`${title} by epoch: ${domain.join(" and ")}`, {
    ...size,
    data: {
      values: shown.flatMap(([name, value]) =>
        history.map((record) => ({ series: name, epoch: record.epoch, value: value(record) ?? null })),
      ),
    },
    mark: { type: "line", strokeWidth: 2, point: history.length <= mostPoints && { size: 28 } },
    encoding: {
      x: countAxis("epoch", history),
      y: axisOf("value", title, format),
      color: {
        field: "series",
        type: "nominal",
        scale: { domain, range: [color("accent"), color("second")].slice(0, domain.length) },
        ...(domain.length === 1 && { legend: null }),
      },
    },
  });
}

/** Horizontal axis of epochs or steps, from the first record to the last. */
function countAxis<F extends string>(field: F, records: readonly Readonly<Record<F, number>>[]) {
  return {
    ...{ field, type: "quantitative" as const, title: field },
    scale: { domain: [records[0]?.[field] ?? 0, records.at(-1)?.[field] ?? 1], nice: false },
    axis: { format: "d", tickMinStep: 1, tickCount: 6, grid: false },
  };
}

/** Reliability diagram as SVG: accuracy by mean confidence, a point for each bin, and the line of perfect calibration. */
export function reliabilityChart(bins: readonly ReliabilityBin[]): Promise<string> {
  const points = { values: bins.map(({ confidence, accuracy, images }) => ({ confidence, accuracy, images })) };
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
          x: { ...axisOf("confidence", "confidence", ".0%"), scale },
          y: { ...axisOf("accuracy", "accuracy (% of images)", ".0%"), scale },
        },
      },
      { data: points, mark: { type: "line", strokeWidth: 2, color: color("accent") }, encoding: place },
      {
        data: points,
        mark: { type: "circle", color: color("accent"), opacity: 1 },
        encoding: {
          ...place,
          size: { field: "images", type: "quantitative", scale: { range: [20, 220] }, legend: null },
        },
      },
    ],
  });
}
