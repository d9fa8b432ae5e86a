import type { Layer, Network } from "../../../src/graph/network.ts";
import { plotSections } from "../../../src/report/plot/sections.ts";

/** Size of a layer's box and the distances between boxes, in pixels at 100 %. */
export const boxSize = { width: 184, height: 32, rowHeight: 46, laneWidth: 200, columnGap: 84, top: 52 } as const;

/** Most layers in a column, so that Xception's flows are about equally long. */
const longestColumn = 44;

/** A layer and the upper left corner of its box. */
export interface PlacedLayer {
  readonly layer: Layer;
  readonly column: number;
  readonly x: number;
  readonly y: number;
}

/** A column of the graph: a flow of Xception, or a part of it. */
export interface Column {
  readonly title: string | undefined;
  readonly x: number;
  readonly width: number;
}

/** A network as boxes in columns. */
export interface GraphLayout {
  readonly columns: readonly Column[];
  /** In the order of the network. */
  readonly layers: readonly PlacedLayer[];
  readonly width: number;
  readonly height: number;
}

/**
 * Places the layers of a network: flows side by side, each from top to bottom by depth (the longest way to the output),
 * branches beside each other. A branch stays in its lane.
 */
export function layOut(network: Network): GraphLayout {
  const depths = depthsOf(network);
  const columns: Column[] = [];
  const layers: PlacedLayer[] = [];
  let x = 0;
  let height = 0;
  for (const [column, { title, blocks }] of plotSections(network, longestColumn).entries()) {
    const own = blocks.flatMap((block) => block.layers);
    const deepest = Math.max(...own.map(({ name }) => depths.get(name)!));
    const rowOf = ({ name }: Layer) => deepest - depths.get(name)!;
    const lanes = lanesOf(own, rowOf);
    for (const layer of own) {
      const y = boxSize.top + rowOf(layer) * boxSize.rowHeight;
      layers.push({ layer, column, x: x + lanes.get(layer.name)! * boxSize.laneWidth, y });
      height = Math.max(height, y + boxSize.height);
    }
    const width = Math.max(...lanes.values()) * boxSize.laneWidth + boxSize.width;
    columns.push({ title, x, width });
    x += width + boxSize.columnGap;
  }
  return { columns, layers, width: x - boxSize.columnGap, height };
}

/** Number of steps of the longest way from each layer to the output. */
function depthsOf({ layers }: Network): ReadonlyMap<string, number> {
  const depths = new Map<string, number>();
  for (const { name, inbound } of layers.toReversed()) {
    const own = depths.get(name) ?? 0;
    depths.set(name, own);
    for (const source of inbound) depths.set(source, Math.max(depths.get(source) ?? 0, own + 1));
  }
  return depths;
}

/** A layer keeps the lane of the layer above it if it reads from it; a new branch gets the first free lane. */
function lanesOf(layers: readonly Layer[], rowOf: (layer: Layer) => number): ReadonlyMap<string, number> {
  const rows = new Map<number, Layer[]>();
  for (const layer of layers) rows.set(rowOf(layer), [...(rows.get(rowOf(layer)) ?? []), layer]);
  const lanes = new Map<string, number>();
  for (const [row, found] of [...rows].sort(([a], [b]) => a - b)) {
    const above = new Set(rows.get(row - 1)?.map(({ name }) => name));
    const taken = new Set<number>();
    const place = (layer: Layer, wanted: number) => {
      const lane = taken.has(wanted) ? firstFree(taken) : wanted;
      taken.add(lane);
      lanes.set(layer.name, lane);
    };
    const laneAbove = ({ inbound }: Layer) =>
      Math.min(...inbound.filter((name) => above.has(name)).map((name) => lanes.get(name)!));
    const continuing = found.filter((layer) => Number.isFinite(laneAbove(layer)));
    for (const layer of continuing) place(layer, laneAbove(layer));
    for (const layer of found) if (!lanes.has(layer.name)) place(layer, firstFree(taken));
  }
  return lanes;
}

function firstFree(taken: ReadonlySet<number>): number {
  let lane = 0;
  while (taken.has(lane)) lane++;
  return lane;
}

/** SVG path from one box to another: straight down, or around the boxes between them. */
export function edgePath(from: PlacedLayer, to: PlacedLayer): string {
  const { width, height, rowHeight } = boxSize;
  const middle = width / 2;
  const [startX, startY] = [from.x + middle, from.y + height];
  const [endX, endY] = [to.x + middle, to.y];
  if (from.column !== to.column) {
    // Through the gap before the target's column.
    const gap = to.x - boxSize.columnGap / 2;
    const above = to.y - 18;
    const below = startY + 14;
    return `M${startX} ${startY}V${below}H${gap}V${above}H${endX}V${endY}`;
  }
  if (from.x === to.x && endY - startY < rowHeight) return `M${startX} ${startY}V${endY}`;
  if (from.x === to.x) {
    const [right, bulge] = [from.x + width, from.x + width + 26];
    const [fromY, toY] = [from.y + height / 2, to.y + height / 2];
    return `M${right} ${fromY}C${bulge} ${fromY} ${bulge} ${fromY} ${bulge} ${fromY + 26}V${toY - 26}C${bulge} ${toY} ${bulge} ${toY} ${right} ${toY}`;
  }
  if (to.x > from.x) {
    // To a new branch: right, then down to it.
    const side = from.y + height / 2;
    return `M${from.x + width} ${side}H${endX - 20}Q${endX} ${side} ${endX} ${side + 20}V${endY}`;
  }
  // Back from a branch: down, then left into the side of the box.
  const side = to.y + height / 2;
  return `M${startX} ${startY}V${side - 20}Q${startX} ${side} ${startX - 20} ${side}H${to.x + width}`;
}
