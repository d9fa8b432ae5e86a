import type { Network } from "../../graph/network.ts";
import { edgeLine, edgesBetween, graphvizName, type PlotOptions, sectionsDot, sectionsOf } from "./dot.ts";
import { type Box, edgePosition, routeBetweenColumns, routeBetweenRows } from "./route.ts";
import type { PlotSection } from "./sections.ts";

/** The part of Graphviz's JSON output that says where things are: sizes in inches, places in points. */
interface GraphvizJson {
  readonly objects: readonly {
    readonly name: string;
    readonly pos?: string;
    readonly width?: string;
    readonly height?: string;
    readonly bb?: string;
  }[];
}

/**
 * The layer graph as an SVG picture, laid out by Graphviz compiled to WebAssembly: nothing needs to be installed.
 * @see plotDot for what it shows.
 */
export async function plotSvg(network: Network, options: PlotOptions = {}): Promise<string> {
  const { Graphviz } = await import("@hpcc-js/wasm-graphviz");
  const graphviz = await Graphviz.load();
  const isLeftToRight = options.rankdir === "LR";
  // Graphviz stacks rows from the bottom to the top.
  const sections = isLeftToRight ? sectionsOf(network, options).toReversed() : sectionsOf(network, options);

  // Graphviz would lead the connections between sections in wide curves around or across them, so they are added to
  // the finished layout.
  const firstLayout = graphviz.layout(sectionsDot(network, sections, options, []), "dot", "dot");
  // `nop2` keeps all places but moves the whole to the origin, which must be done before places are read.
  const layout = graphviz.layout(firstLayout, "dot", "nop2");
  const { nodes, frames } = placesOf(JSON.parse(graphviz.layout(layout, "json", "nop2")) as GraphvizJson);
  const nodeOf = (name: string): Box => nodes.get(graphvizName(name))!;
  const sectionOf = (name: string): Box => {
    const holds = ({ blocks }: PlotSection): boolean =>
      blocks.some(({ layers }) => layers.some((layer) => layer.name === name));
    return frames.get(`cluster_${sections.findIndex(holds)}`)!;
  };
  const route = isLeftToRight ? routeBetweenRows : routeBetweenColumns;
  const crossing = edgesBetween(network, sections).map(({ from, to }) => {
    const corners = route({
      from: nodeOf(from),
      to: nodeOf(to),
      fromSection: sectionOf(from),
      toSection: sectionOf(to),
      nodes: [...nodes.values()],
    });
    return edgeLine({ from, to }, `pos="${edgePosition(corners)}"`);
  });
  const complete = layout.replace(/\}\s*$/, `${crossing.join("\n")}\n}\n`);
  const svg = graphviz.layout(complete, "svg", "nop2");
  // It knows the widths of Helvetica, but not of the list that suits every computer.
  return svg.replaceAll(/font-family="Helvetica[^"]*"/g, 'font-family="Helvetica,Arial,sans-serif"');
}

/** Where the nodes and the frames of the sections are, by their names in Graphviz. */
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
