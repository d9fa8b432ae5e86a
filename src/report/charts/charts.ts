import type { TopLevelSpec } from "vega-lite";
import { html } from "../html/markup.ts";
import { color } from "./palette.ts";

type Config = NonNullable<TopLevelSpec["config"]>;

/** What all charts share: quiet axes, no frame, one font, colors that follow the page's theme. */
const config: Config = {
  // One name for the whole drawing instead of one for each mark; the numbers themselves stand in a table beside it.
  aria: false,
  background: "transparent",
  font: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  view: { stroke: null },
  axis: {
    domainColor: color("line"),
    gridColor: color("line"),
    labelColor: color("muted"),
    labelFontSize: 11,
    ticks: false,
    labelPadding: 6,
    titleColor: color("muted"),
    titleFontSize: 11,
    titleFontWeight: "normal",
    titlePadding: 10,
  },
  legend: {
    orient: "top",
    title: null,
    labelColor: color("ink"),
    labelFontSize: 12,
    symbolStrokeWidth: 3,
    symbolType: "stroke",
    offset: 8,
  },
};

/**
 * Draws a chart as the text of an SVG element, without a DOM. The same specification gives the same text.
 * @param name what the chart shows, for readers who do not see it.
 * @see https://vega.github.io/vega-lite/docs/spec.html
 */
export async function renderChart(name: string, specification: TopLevelSpec): Promise<string> {
  // Loaded here and not at the top: only a report needs it, and it takes longer to load than most commands run.
  const [{ parse, View }, { compile }] = await Promise.all([import("vega"), import("vega-lite")]);
  const view = new View(parse(compile({ ...specification, config }).spec), { renderer: "none" });
  try {
    const svg = await view.toSVG();
    return svg.replace("<svg", html`<svg role="img" aria-label="${name}"`.text);
  } finally {
    view.finalize();
  }
}
