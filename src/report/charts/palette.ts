/** The colors of the report and its charts: for a light and for a dark screen. */
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

/** A reference to a color by name, for CSS and for SVG attributes: the page decides which of the two it is. */
export function color(name: ColorName): string {
  return `var(--${name}, ${colors[name][0]})`;
}

/** The CSS that defines every color, light unless the reader's system asks for dark. Paper is always light. */
export function paletteStyle(): string {
  const declare = (theme: 0 | 1) =>
    Object.entries(colors)
      .map(([name, values]) => `--${name}:${values[theme]}`)
      .join(";");
  return `:root{color-scheme:light dark;${declare(0)}}
@media screen and (prefers-color-scheme:dark){:root{${declare(1)}}}`;
}
