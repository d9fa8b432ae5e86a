import type { EpochRecord } from "../../base/records.ts";
import { mean } from "../../base/significance.ts";
import { axisOf, type ColorName, color, renderChart } from "./chart.ts";

/** The runs of one network, one for each seed. */
export interface ComparedCurves {
  readonly name: string;
  readonly runs: readonly { readonly history: readonly EpochRecord[] }[];
}

/** A metric of the test images, by epoch or by training time. */
export interface ComparedMetric {
  readonly title: string;
  /** Number format of the vertical axis. @see https://d3js.org/d3-format */
  readonly format: string;
  readonly value: (record: EpochRecord) => number | undefined;
  readonly by: "epoch" | "minutes";
}

/** Colors of the networks in their order; dashes tell them apart without color. */
const hues: readonly ColorName[] = ["accent", "second", "right", "ink", "wrong", "muted"];
const dashes = [[], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 6]];

/** Most points that are drawn; more would overlap. */
const mostPoints = 120;

const size = { width: 430, height: 280, autosize: { type: "fit", contains: "padding" } } as const;

/**
 * Mean of a metric over the seeds of each network as a line, and the range of the seeds as a band, as SVG.
 * @see the paper's figures 6 to 8
 */
export function comparisonChart(networks: readonly ComparedCurves[], metric: ComparedMetric): Promise<string> {
  const domain = networks.map(({ name }) => name);
  const values = networks.flatMap((network) => pointsOf(network, metric));
  const range = hues.slice(0, domain.length).map(color);
  const x = axisOf(
    "x",
    metric.by === "epoch" ? "epoch" : "training time (minutes)",
    metric.by === "epoch" ? "d" : "~g",
  );
  const legend = { labelLimit: 400, columns: 1, symbolOpacity: 1 };
  const hue = { field: "network", type: "nominal", scale: { domain, range }, legend } as const;
  return renderChart(`${metric.title} by ${metric.by}: ${domain.join(", ")}`, {
    ...size,
    data: { values },
    encoding: { x: { ...x, scale: { nice: false, zero: false } } },
    layer: [
      {
        mark: { type: "area", opacity: 0.16 },
        encoding: {
          y: { ...axisOf("low", metric.title, metric.format), scale: { zero: false } },
          y2: { field: "high" },
          color: hue,
        },
      },
      {
        mark: { type: "line", strokeWidth: 2, point: values.length <= mostPoints && { size: 24 } },
        encoding: {
          y: { ...axisOf("mean", metric.title, metric.format), scale: { zero: false } },
          color: hue,
          strokeDash: { ...hue, scale: { domain, range: dashes.slice(0, domain.length) } },
        },
      },
    ],
  });
}

/** The metric of all seeds after each epoch that all of them have completed. */
function pointsOf({ name, runs }: ComparedCurves, { value, by }: ComparedMetric) {
  const epochs = Math.min(...runs.map(({ history }) => history.length));
  return [...Array(Math.max(0, epochs)).keys()].flatMap((index) => {
    const values = runs.flatMap(({ history }) => value(history[index]!) ?? []);
    if (values.length === 0) return [];
    const minutes = mean(runs.map(({ history }) => secondsUntil(history, index) / 60));
    const x = by === "epoch" ? index + 1 : minutes;
    return [{ network: name, x, mean: mean(values), low: Math.min(...values), high: Math.max(...values) }];
  });
}

function secondsUntil(history: readonly EpochRecord[], index: number): number {
  return history.slice(0, index + 1).reduce((sum, { seconds }) => sum + seconds, 0);
}
