import { readFileSync } from "node:fs";
import { axisOf, color, paletteStyle, renderChart } from "../../src/report/charts/chart.ts";

/** What `measure-training.ts` measured. */
export interface TrainingMeasurement {
  /** Losses by step, in the order of the rows. */
  readonly losses: readonly {
    readonly case: string;
    readonly node: readonly number[];
    readonly page: readonly number[];
  }[];
}

export const resultFile = new URL("../../bench/results/browser-training.json", import.meta.url);
export const chartFile = new URL("../../docs/images/browser-training.svg", import.meta.url);

/** The stored measurement. */
export function readMeasurement(): TrainingMeasurement {
  return JSON.parse(readFileSync(resultFile, "utf8"));
}

/** Losses are float32: those that differ at all differ by more. */
const equal = 1e-8;

/** Draws the losses in Node and Chromium, and how far they are apart, as an SVG file that follows the reader's theme. */
export async function trainingChart({ losses }: TrainingMeasurement): Promise<string> {
  const cases = losses.map((each) => each.case);
  const values = losses.flatMap(({ case: name, node, page }) =>
    node.map((loss, index) => ({
      case: name,
      step: index + 1,
      node: loss,
      page: page[index]!,
      difference: Math.max(equal, Math.abs(loss - page[index]!)),
    })),
  );
  const range = [color("accent"), color("second"), color("right")];
  const encoding = {
    x: {
      field: "step",
      type: "quantitative",
      axis: { tickCount: 5, grid: false, format: "d" },
      scale: { domain: [1, 20] as number[], nice: false },
    },
    color: {
      field: "case",
      type: "nominal",
      scale: { domain: cases, range }, // Below 0: the layout leaves a gap of its own.
      legend: { labelLimit: 0, columns: 1, offset: -64 },
    },
  } as const;
  const panel = { width: 330, height: 230 } as const;
  const svg = await renderChart("loss of 20 training steps in Node and in Chromium, and the difference", {
    background: color("surface"),
    padding: 14,
    data: { values },
    spacing: 36,
    hconcat: [
      {
        ...panel,
        layer: [
          {
            mark: { type: "line", strokeWidth: 1.5 },
            encoding: { ...encoding, y: axisOf("node", "loss in Node (lines) and in Chromium (points)", "~g") },
          },
          {
            mark: { type: "point", filled: true, size: 26, opacity: 1 },
            encoding: { ...encoding, y: axisOf("page", "", "~g") },
          },
        ],
      },
      {
        ...panel,
        mark: { type: "line", strokeWidth: 1.5, point: { size: 26 } },
        encoding: {
          ...encoding,
          y: {
            ...axisOf("difference", "difference of the losses", "~e"),
            scale: { type: "log", domain: [equal, 1e-2], clamp: true },
            axis: {
              domain: false,
              values: [equal, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2],
              labelExpr: `datum.value <= ${equal} ? "none" : format(datum.value, "~e")`,
            },
          },
        },
      },
    ],
  });
  return `${svg.replace(/(<svg[^>]*>)/, `$1<style>${paletteStyle()}</style>`)}\n`;
}
