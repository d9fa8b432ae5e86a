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

/** Draws the scale of the colors as SVG. */
export function heatLegend(): string {
  const stops = anchors.map(
    (color, index) => `<stop offset="${index / (anchors.length - 1)}" stop-color="rgb(${color})"/>`,
  );
  return `<svg width="320pt" height="40pt" viewBox="0 0 320 40" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="from no evidence to the strongest" font-family="system-ui, sans-serif" font-size="12">
<defs><linearGradient id="heat">${stops.join("")}</linearGradient></defs>
<rect width="320" height="14" rx="4" fill="url(#heat)"/>
<text x="0" y="32" fill="currentColor">no evidence</text><text x="320" y="32" text-anchor="end" fill="currentColor">strongest</text>
</svg>`;
}
