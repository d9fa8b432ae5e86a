import { axisOf, color, renderChart } from "./chart.ts";

/** A separable convolution: its MACs, and those of the ordinary convolution that it replaces. */
export interface CostBar {
  readonly layer: string;
  readonly separable: number;
  readonly ordinary: number;
}

/** MACs of each layer with a separable and with an ordinary convolution, as SVG. */
export function costChart(layers: readonly CostBar[]): Promise<string> {
  const kinds = ["separable", "ordinary"] as const;
  const values = layers.flatMap((bar) => kinds.map((kind) => ({ layer: bar.layer, kind, macs: bar[kind] })));
  return renderChart("multiply-accumulates of separable against ordinary convolutions", {
    width: 520,
    height: { step: 12 },
    data: { values },
    mark: { type: "bar", cornerRadiusEnd: 2 },
    encoding: {
      x: { ...axisOf("macs", "MACs for one image", "~s"), stack: null },
      y: { field: "layer", type: "nominal", sort: null, title: null, axis: { domain: false, labelLimit: 240 } },
      yOffset: { field: "kind", sort: [...kinds] },
      color: {
        field: "kind",
        type: "nominal",
        scale: { domain: [...kinds], range: [color("accent"), color("second")] },
        legend: { symbolType: "square" },
      },
    },
  });
}
