import type { TopLevelSpec } from "vega-lite";
import { html } from "../markup.ts";

/** Colors of reports and charts, for a light and a dark theme. */
const colors = {
  page: ["#f5f7fa", "#0f1318"],
  surface: ["#ffffff", "#181e26"],
  ink: ["#18202b", "#e9edf2"],
  muted: ["#5a6675", "#9ba8b7"],
  line: ["#e1e6ec", "#2c3541"],
  accent: ["#2463d1", "#7aa9ff"],
  onAccent: ["#ffffff", "#0b1730"],
  second: ["#d9601a", "#ff9f5f"],
  right: ["#14804f", "#57cc93"],
  wrong: ["#c4322f", "#ff8078"],
} as const satisfies Record<string, readonly [light: string, dark: string]>;

export type ColorName = keyof typeof colors;

/** A reference to a color by name, for CSS and SVG attributes; the page's theme decides its value. */
export function color(name: ColorName): string {
  return `var(--${name}, ${colors[name][0]})`;
}

/** CSS that defines every color: dark if the reader's system is, else light; always light in print. */
export function paletteStyle(): string {
  const declare = (theme: 0 | 1) =>
    Object.entries(colors)
      .map(([name, values]) => `--${name}:${values[theme]}`)
      .join(";");
  return `:root{color-scheme:light dark;${declare(0)}}
@media screen and (prefers-color-scheme:dark){:root{${declare(1)}}}`;
}

/** Style of all charts: quiet axes, no frame, one font, colors that follow the page's theme. */
const config: NonNullable<TopLevelSpec["config"]> = {
  // The drawing has one name, its marks have none: a table beside it has their numbers.
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

/** A quantitative axis with about five ticks. @param format of its numbers, as in d3-format. */
export function axisOf(field: string, title: string, format: string) {
  return { field, type: "quantitative", title, axis: { format, tickCount: 5, domain: false } } as const;
}

/**
 * Draws a chart as the text of an SVG element, without a DOM. The same specification gives the same text.
 * @param name description of the chart for readers who do not see it.
 * @see https://vega.github.io/vega-lite/docs/spec.html
 */
export async function renderChart(name: string, specification: TopLevelSpec): Promise<string> {
  // Loaded on demand: only reports need it, and loading takes longer than most commands run.
  const [{ parse, View }, { compile }] = await Promise.all([import("vega"), import("vega-lite")]);
  const view = new View(parse(compile({ ...specification, config }).spec), { renderer: "none" });
  try {
    const svg = await view.toSVG();
    return svg.replace("<svg", html`<svg role="img" aria-label="${name}"`.text);
  } finally {
    view.finalize();
  }
}
