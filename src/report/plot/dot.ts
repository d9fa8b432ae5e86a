import { printableLine } from "../../base/printable.ts";
import type { ConfigOf, LayerConfig, LayerType, Size2 } from "../../graph/layers.ts";
import type { Layer, Network } from "../../graph/network.ts";
import { formatShape, type Shape } from "../../tensor/shape.ts";
import { type PlotBlock, type PlotSection, plotSections } from "./sections.ts";

/** Options of a plot. */
export interface PlotOptions {
  /** Top to bottom or left to right; default `TB`. */
  readonly rankdir?: "TB" | "LR";
  /** Shows input and output shapes; default true. */
  readonly shapes?: boolean;
  /** Shows the layers' names; default true. */
  readonly names?: boolean;
  /** Pixels per inch, default 72. */
  readonly dpi?: number;
}

/** A connection between two layers. */
interface PlotEdge {
  readonly from: string;
  readonly to: string;
}

/** Most layers in a column or row, so that Xception fits on a page of usual proportions. */
const longestSection = { TB: 44, LR: 22 };

/** Least width of a node in inches. */
const leastWidth = 1.95;

type ShapesByLayer = ReadonlyMap<string, Shape>;

const ink = "#18202b";
const muted = "#5a6675";

/**
 * Writes the layer graph in Graphviz's DOT language: a box for each layer, frames for blocks, and the flows of Xception
 * side by side as in figure 5 of the paper.
 * @see https://graphviz.org/doc/info/lang.html
 */
export function plotDot(network: Network, options: PlotOptions = {}): string {
  const sections = sectionsOf(network, options);
  // Edges without constraint let each section start at the top, beside the previous one.
  const crossing = edgesOf(network, sections, "between").map((edge) => edgeLine(edge, "constraint=false"));
  return sectionsDot(network, sections, options, crossing);
}

/** The columns (`TB`) or rows (`LR`) of the plot. */
export function sectionsOf(network: Network, { rankdir = "TB" }: PlotOptions): readonly PlotSection[] {
  return plotSections(network, longestSection[rankdir]);
}

/** Connections between sections, or within them. */
export function edgesOf(network: Network, sections: readonly PlotSection[], kind: "between" | "within"): PlotEdge[] {
  const sectionOf = new Map(
    sections.flatMap(({ blocks }, index) => blocks.flatMap((block) => block.layers.map(({ name }) => [name, index]))),
  );
  return network.layers.flatMap(({ name: to, inbound }) =>
    inbound
      .filter((from) => (sectionOf.get(from) === sectionOf.get(to)) === (kind === "within"))
      .map((from) => ({ from, to })),
  );
}

/** Writes the graph with the connections inside sections, and `crossing` lines for those between them. */
export function sectionsDot(
  network: Network,
  sections: readonly PlotSection[],
  options: PlotOptions,
  crossing: readonly string[],
): string {
  const { rankdir = "TB", dpi = 72 } = options;
  const shapeOf = new Map(network.layers.map(({ name, outputShape }) => [name, outputShape]));
  return `${[
    `digraph ${quote(network.name)} {`,
    `  graph [rankdir=${rankdir}, dpi=${dpi}, nodesep=0.25, ranksep=0.22, pad=0.3, bgcolor="white",`,
    `    fontname="Helvetica", fontcolor="${ink}", labeljust=l, style="rounded,filled"];`,
    `  node [shape=box, style="rounded,filled", margin="0.12,0.05", width=${leastWidth}, height=0.3,`,
    `    fontname="Helvetica", fontsize=12, fontcolor="${ink}"];`,
    `  edge [color="${muted}", arrowsize=0.6];`,
    // At the bottom of a row, where no connection from the row above arrives.
    ...(rankdir === "LR" ? ["  graph [labelloc=b];"] : []),
    ...sections.flatMap((section, index) => sectionLines(shapeOf, section, index, options)),
    ...edgesOf(network, sections, "within").map((edge) => edgeLine(edge)),
    ...crossing,
    "}",
  ].join("\n")}\n`;
}

/** Writes a connection. */
export function edgeLine({ from, to }: PlotEdge, attributes?: string): string {
  return `  ${quote(from)} -> ${quote(to)}${attributes === undefined ? "" : ` [${attributes}]`};`;
}

function sectionLines(shapeOf: ShapesByLayer, section: PlotSection, index: number, options: PlotOptions): string[] {
  const inside = section.blocks.flatMap((block, position) =>
    blockLines(shapeOf, block, `cluster_${index}_${position}`, options),
  );
  if (section.title === undefined) return inside;
  return subgraph(
    `cluster_${index}`,
    `label=${quote(section.title)}, fontsize=20, color="#c9d1db", fillcolor="#fafbfc", margin=14`,
    inside,
  );
}

function blockLines(shapeOf: ShapesByLayer, block: PlotBlock, id: string, options: PlotOptions): string[] {
  const nodes = block.layers.map((layer) => nodeLine(shapeOf, layer, options));
  if (!block.framed) return nodes;
  // Names of layers already start with the block's.
  const title = options.names === false ? (block.title ?? "") : "";
  return subgraph(id, `label=${quote(title)}, fontsize=14, color="#d9dfe7", fillcolor="#ffffff", margin=10`, nodes);
}

function subgraph(id: string, attributes: string, inside: readonly string[]): string[] {
  return [`  subgraph ${id} {`, `    graph [${attributes}];`, ...inside.map((line) => `  ${line}`), "  }"];
}

function nodeLine(shapeOf: ShapesByLayer, layer: Layer, { names = true, shapes = true }: PlotOptions): string {
  const kind = describeLayer(layer.config);
  const title = names ? printableLine(layer.name) : kind;
  const flow = describeShapes(
    layer,
    layer.inbound.map((source) => shapeOf.get(source)!),
  );
  const lines = [
    `<b>${graphvizName(title)}</b>`,
    ...(names ? [`<font point-size="10" color="${muted}">${kind}</font>`] : []),
    ...(shapes ? [`<font point-size="10">${flow}</font>`] : []),
  ];
  const [fill, line] = nodeColors[layer.config.type];
  const widest = Math.max(widthOf(title, 12), names ? widthOf(kind, 10) : 0, shapes ? widthOf(flow, 10) : 0);
  const width = Math.max(leastWidth, widest / 72 + 0.24).toFixed(2);
  return `  ${quote(layer.name)} [label=<${lines.join("<br/>")}>, width=${width}, fillcolor="${fill}", color="${line}"];`;
}

/** Width of a text in points in the widest usual font, DejaVu Sans Bold: Graphviz knows only Helvetica, which many computers lack. */
function widthOf(text: string, fontSize: number): number {
  const em = (character: string): number => {
    if (/[ijlI.,:;'|!() ]/.test(character)) return 0.46;
    if (/[mwMW@%→]/.test(character)) return 1.11;
    if (/[A-Z×]/.test(character)) return 0.84;
    return character > "\u2000" ? 1.2 : 0.72;
  };
  return fontSize * [...text].reduce((sum, character) => sum + em(character), 0);
}

/** A name as Graphviz stores it: characters with a meaning in DOT or SVG are HTML entities. */
export function graphvizName(name: string): string {
  return printableLine(name).replaceAll(/[&<>"\\]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function quote(text: string): string {
  return `"${graphvizName(text)}"`;
}

const convolution = ({ kernelSize, strides }: { kernelSize: Size2; strides: Size2 }) => windowText(kernelSize, strides);

/** Details of a layer, shown beside its type. */
const details: { readonly [T in LayerType]?: (config: ConfigOf<T>) => string } = {
  Conv2D: convolution,
  SeparableConv2D: convolution,
  DepthwiseConv2D: convolution,
  Activation: ({ activation }) => activation,
  LeakyReLU: ({ negativeSlope }) => String(negativeSlope),
  MaxPooling2D: ({ poolSize, strides }) => windowText(poolSize, strides),
  AveragePooling2D: ({ poolSize, strides }) => windowText(poolSize, strides),
  Dropout: ({ rate }) => String(rate),
  Dense: ({ activation }) => (activation === "linear" ? "" : activation),
};

/** Fill and outline of a node: related layers have related colors, to show the pattern of a block. */
const nodeColors: Readonly<Record<LayerType, readonly [fill: string, line: string]>> = {
  InputLayer: ["#ffffff", "#5a6675"],
  Conv2D: ["#d8e6fb", "#2463d1"],
  SeparableConv2D: ["#b9d2f8", "#2463d1"],
  DepthwiseConv2D: ["#c8dcfa", "#2463d1"],
  BatchNormalization: ["#eef1f5", "#9aa6b5"],
  Activation: ["#fdeecf", "#c98a14"],
  ReLU: ["#fdeecf", "#c98a14"],
  LeakyReLU: ["#fdeecf", "#c98a14"],
  MaxPooling2D: ["#fbdcd3", "#cc5a35"],
  AveragePooling2D: ["#fbdcd3", "#cc5a35"],
  ZeroPadding2D: ["#ffffff", "#9aa6b5"],
  GlobalAveragePooling2D: ["#fbdcd3", "#cc5a35"],
  GlobalMaxPooling2D: ["#fbdcd3", "#cc5a35"],
  Add: ["#d3eddd", "#14804f"],
  Concatenate: ["#d3eddd", "#14804f"],
  Flatten: ["#ffffff", "#9aa6b5"],
  Dropout: ["#f3e3f4", "#8d4b94"],
  Dense: ["#e5dcf9", "#6a46c4"],
};

/** `"SeparableConv2D 3×3"`, `"MaxPooling2D 3×3, stride 2"`, `"Activation relu"`. */
function describeLayer(config: LayerConfig): string {
  const detail = (details[config.type] as ((config: LayerConfig) => string) | undefined)?.(config) ?? "";
  return detail === "" ? config.type : `${config.type} ${detail}`;
}

/** `"147×147×128 → 74×74×128"`; only the output shape for an input layer. */
function describeShapes(layer: Layer, inputs: readonly Shape[]): string {
  const output = formatShape(layer.outputShape);
  return inputs.length === 0 ? output : `${inputs.map(formatShape).join(", ")} → ${output}`;
}

function windowText(window: Size2, strides: Size2): string {
  const [down, across] = strides;
  const stride = down === across ? `${down}` : formatShape(strides);
  return stride === "1" ? formatShape(window) : `${formatShape(window)}, stride ${stride}`;
}
