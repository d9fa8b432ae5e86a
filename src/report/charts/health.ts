import type { BlockHealth, HealthRecord } from "../../records.ts";
import { thinned } from "../thinned.ts";
import { renderChart } from "./charts.ts";
import { type ColorName, color } from "./palette.ts";

/** Columns that can be told apart. */
const mostColumns = 60;

/** What a heat map shows of each block. */
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
