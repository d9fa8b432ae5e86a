import type { ReliabilityBin } from "../../records.ts";
import { renderChart } from "./charts.ts";
import { color } from "./palette.ts";

/** How often answers are right by their mean probability, as SVG: a point for each bin, and the line where both agree. */
export function reliabilityChart(bins: readonly ReliabilityBin[]): Promise<string> {
  const points = bins.map(({ confidence, accuracy, images }) => ({ confidence, accuracy, images }));
  const axis = { format: ".0%", tickCount: 5, domain: false } as const;
  const scale = { domain: [0, 1], nice: false };
  return renderChart("accuracy by probability of the answer", {
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
          x: { field: "confidence", type: "quantitative", title: "probability of the answer", scale, axis },
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
