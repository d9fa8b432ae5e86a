import type { IsolatedJob, JobLimits } from "../../base/platform.ts";
import type { Network } from "../../graph/network.ts";
import { edgeLine, edgesOf, graphvizName, type PlotOptions, sectionsDot, sectionsOf } from "./dot.ts";
import type { PlotSection } from "./sections.ts";

/** The layout in Graphviz's JSON output: sizes in inches, positions in points. */
interface GraphvizJson {
  readonly objects: readonly ({ readonly name: string } & Readonly<
    Partial<Record<"pos" | "width" | "height" | "bb", string>>
  >)[];
}

/** Most time and memory that a layout may take; Xception's takes about a second. */
export const layoutLimits: JobLimits = { timeMs: 60_000, memoryBytes: 2 ** 30 };

/** A job that draws a plot, see {@link plotSvg}, since a layout cannot be interrupted. @param where the network in errors. */
export function plotJob(network: Network, options: PlotOptions, where: string): IsolatedJob<string> {
  const work = { name: "laying it out", remedy: "Write a .dot file, which needs no layout." };
  return {
    module: import.meta.url,
    name: "plotSvg",
    input: [network, options],
    where,
    work,
  };
}

/**
 * Draws the layer graph as SVG, laid out by Graphviz compiled to WebAssembly: nothing needs to be installed.
 * @see plotDot for its contents.
 */
export async function plotSvg(network: Network, options: PlotOptions = {}): Promise<string> {
  const { Graphviz } = await import("@hpcc-js/wasm-graphviz");
  const graphviz = await Graphviz.load();
  const isLeftToRight = options.rankdir === "LR";
  // Graphviz stacks rows from bottom to top.
  const sections = isLeftToRight ? sectionsOf(network, options).toReversed() : sectionsOf(network, options);

  // Graphviz would draw connections between sections as wide curves around or across them, so they are added to the
  // finished layout.
  const firstLayout = graphviz.layout(sectionsDot(network, sections, options, []), "dot", "dot");
  // `nop2` keeps all positions but moves the drawing to the origin, so it must run before positions are read.
  const layout = graphviz.layout(firstLayout, "dot", "nop2");
  const { nodes, frames } = placesOf(JSON.parse(graphviz.layout(layout, "json", "nop2")) as GraphvizJson);
  const nodeOf = (name: string): Box => nodes.get(graphvizName(name))!;
  const sectionOf = (name: string): Box => {
    const contains = ({ blocks }: PlotSection): boolean =>
      blocks.some(({ layers }) => layers.some((layer) => layer.name === name));
    return frames.get(`cluster_${sections.findIndex(contains)}`)!;
  };
  const route = isLeftToRight ? routeBetweenRows : routeBetweenColumns;
  const crossing = edgesOf(network, sections, "between").map(({ from, to }) => {
    const ends = { from: nodeOf(from), to: nodeOf(to), fromSection: sectionOf(from), toSection: sectionOf(to) };
    const corners = route({ ...ends, nodes: [...nodes.values()] });
    return edgeLine({ from, to }, `pos="${edgePosition(corners)}"`);
  });
  const complete = layout.replace(/\}\s*$/, `${crossing.join("\n")}\n}\n`);
  const svg = graphviz.layout(complete, "svg", "nop2");
  const named = svg.replaceAll(/font-family="Helvetica[^"]*"/g, 'font-family="Helvetica,Arial,sans-serif"');
  return named.replaceAll(/<g id="[^"]*" class="node">[\s\S]*?<\/g>/g, centered);
}

/** Centers the text of a node in its box: Graphviz places it by the widths of Helvetica, which many computers lack. */
function centered(node: string): string {
  const outline = / (?:d|points)="([^"]*)"/.exec(node)![1]!;
  const places = [...outline.matchAll(/(-?[\d.]+),/g)].map(([, x]) => Number(x));
  const center = (Math.min(...places) + Math.max(...places)) / 2;
  return node.replaceAll(/text-anchor="start" x="[^"]*"/g, `text-anchor="middle" x="${center.toFixed(2)}"`);
}

/** Returns the boxes of the nodes and of the section frames by their names in Graphviz. */
function placesOf({ objects }: GraphvizJson): { nodes: Map<string, Box>; frames: Map<string, Box> } {
  const nodes = new Map<string, Box>();
  const frames = new Map<string, Box>();
  for (const { name, bb, pos, width, height } of objects) {
    if (pos === undefined) {
      const [left, bottom, right, top] = bb!.split(",").map(Number) as [number, number, number, number];
      frames.set(name, { left, right, bottom, top });
    } else {
      const [x, y] = pos.split(",").map(Number) as [number, number];
      const [halfWidth, halfHeight] = [Number(width) * 36, Number(height) * 36];
      nodes.set(name, { left: x - halfWidth, right: x + halfWidth, bottom: y - halfHeight, top: y + halfHeight });
    }
  }
  return { nodes, frames };
}

/** A position in points; y grows upwards, as in Graphviz. */
interface Point {
  readonly x: number;
  readonly y: number;
}

/** A rectangle in points; y grows upwards. */
export interface Box {
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
  readonly top: number;
}

/** A connection between two columns, and the nodes to avoid. */
interface Crossing {
  readonly from: Box;
  readonly to: Box;
  readonly fromSection: Box;
  readonly toSection: Box;
  readonly nodes: readonly Box[];
}

const cornerRadius = 8;
const arrowLength = 6;

/**
 * Routes a connection from the end of one column to a node of the next: along the gap between the two, then into the node's
 * left side, or from above if other nodes are in the way. Returns its corners.
 */
export function routeBetweenColumns({ from, to, fromSection, toSection, nodes }: Crossing): Point[] {
  const gap = (fromSection.right + toSection.left) / 2;
  const start = middle(from);
  const end = middle(to);
  const way = [
    { x: from.right, y: start.y },
    { x: gap, y: start.y },
  ];
  const isInTheWay = (node: Box): boolean =>
    node.right > gap && node.left < to.left && node.bottom <= end.y && end.y <= node.top;
  if (!nodes.some(isInTheWay)) return [...way, { x: gap, y: end.y }, { x: to.left, y: end.y }];
  const above = Math.max(...nodes.filter((node) => isInside(node, toSection)).map((node) => node.top)) + cornerRadius;
  return [...way, { x: gap, y: above }, { x: end.x, y: above }, { x: end.x, y: to.top }];
}

/** Routes a connection between rows, which are columns mirrored at the falling diagonal. */
export function routeBetweenRows({ from, to, fromSection, toSection, nodes }: Crossing): Point[] {
  const sections = { fromSection: mirrorBox(fromSection), toSection: mirrorBox(toSection) };
  const mirrored = { from: mirrorBox(from), to: mirrorBox(to), ...sections, nodes: nodes.map(mirrorBox) };
  return routeBetweenColumns(mirrored).map(({ x, y }) => ({ x: -y, y: -x }));
}

/** Writes a line with rounded corners and an arrowhead as the `pos` of an edge in DOT. */
export function edgePosition(corners: readonly Point[]): string {
  const tip = corners.at(-1)!;
  const points: Point[] = [corners[0]!];
  const lineTo = (point: Point): unknown => points.push(points.at(-1)!, point, point);
  for (const [index, corner] of corners.slice(1, -1).entries()) {
    lineTo(towards(corner, corners[index]!, cornerRadius));
    points.push(corner, corner, towards(corner, corners[index + 2]!, cornerRadius));
  }
  lineTo(towards(tip, corners.at(-2)!, arrowLength));
  return [`e,${format(tip)}`, ...points.map(format)].join(" ");
}

/** The point at `distance` from `from` in the direction of `to`, halfway at most. */
function towards(from: Point, to: Point, distance: number): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const share = length === 0 ? 0 : Math.min(distance / length, 0.5);
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}

function middle(box: Box): Point {
  return { x: (box.left + box.right) / 2, y: (box.bottom + box.top) / 2 };
}

function isInside(box: Box, outer: Box): boolean {
  return box.left >= outer.left && box.right <= outer.right && box.bottom >= outer.bottom && box.top <= outer.top;
}

function mirrorBox({ left, right, bottom, top }: Box): Box {
  return { left: -top, right: -bottom, bottom: -right, top: -left };
}

function format({ x, y }: Point): string {
  return `${x.toFixed(2)},${y.toFixed(2)}`;
}
