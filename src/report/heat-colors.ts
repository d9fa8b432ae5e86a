import { html, type Markup } from "./markup.ts";

/** Colors of evidence from none to the strongest, legible to color-blind readers: anchors of matplotlib's "viridis" (CC0). */
const anchors: readonly (readonly [number, number, number])[] = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
];

/** Returns the color `[red, green, blue]` of a strength from 0 to 1. */
export function heatColor(strength: number): readonly [number, number, number] {
  const place = strength * (anchors.length - 1);
  const index = Math.min(anchors.length - 2, Math.floor(place));
  const [low, high] = [anchors[index]!, anchors[index + 1]!];
  const mixed = (channel: 0 | 1 | 2) => low[channel] + (place - index) * (high[channel] - low[channel]);
  return [mixed(0), mixed(1), mixed(2)];
}

/** Draws the scale of the colors, `width` wide and 34 high, as a part of an SVG. */
export function heatScale(width: number): Markup {
  const stops = anchors.map(
    (color, index) => html`<stop offset="${index / (anchors.length - 1)}" stop-color="rgb(${color.join()})"/>`,
  );
  return html`<defs><linearGradient id="heat">${stops}</linearGradient></defs>
<rect width="${width}" height="14" rx="4" fill="url(#heat)"/>
<g font-size="12" fill="currentColor"><text y="32">no evidence</text><text x="${width}" y="32" text-anchor="end">strongest</text></g>`;
}
