import { describe, expect, it } from "vitest";
import { conv2d, input, relu } from "../../src/graph/builder.ts";
import { type Network, network } from "../../src/graph/network.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { plotDot } from "../../src/report/plot/dot.ts";
import { plotSvg } from "../../src/report/plot/plot.ts";
import { smallNetwork } from "./small-network.ts";

/** Texts of the titles that Graphviz gives to nodes or edges. */
function titles(svg: string, kind: "node" | "edge"): string[] {
  const found = svg.matchAll(new RegExp(`class="${kind}">\\s*<title>(.*?)</title>`, "g"));
  return [...found].map((match) => plainText(match[1]!));
}

/** Resolves the entities of XML. */
function plainText(xml: string): string {
  const names: Record<string, string> = { lt: "<", gt: ">", quot: '"', amp: "&" };
  return xml.replaceAll(/&(?:#(\d+)|(\w+));/g, (_, code, name) => names[name] ?? String.fromCharCode(Number(code)));
}

function edgesOf({ layers }: Network): string[] {
  return layers.flatMap((layer) => layer.inbound.map((source) => `${source}->${layer.name}`));
}

/** Where the first text with these words stands, from the top left corner. */
function placeOf(svg: string, words: string): { x: number; y: number } {
  const match = new RegExp(`<text [^>]*? x="([-.\\d]+)" y="([-.\\d]+)"[^>]*>${words}</text>`).exec(svg)!;
  return { x: Number(match[1]), y: Number(match[2]) };
}

describe("plotDot", () => {
  it("describes every layer and connection of a small network", () => {
    expect(plotDot(smallNetwork())).toMatchInlineSnapshot(`
      "digraph "small" {
        graph [rankdir=TB, dpi=72, nodesep=0.25, ranksep=0.22, pad=0.3, bgcolor="white",
          fontname="Helvetica", fontcolor="#18202b", labeljust=l, style="rounded,filled"];
        node [shape=box, style="rounded,filled", margin="0.12,0.05", width=1.95, height=0.3,
          fontname="Helvetica", fontsize=12, fontcolor="#18202b"];
        edge [color="#5a6675", arrowsize=0.6];
        "input_layer" [label=<<b>input_layer</b><br/><font point-size="10" color="#5a6675">InputLayer</font><br/><font point-size="10">9×12×3</font>>, width=1.95, fillcolor="#ffffff", color="#5a6675"];
        "stem" [label=<<b>stem</b><br/><font point-size="10" color="#5a6675">Conv2D 3×3</font><br/><font point-size="10">9×12×3 → 9×12×8</font>>, width=1.95, fillcolor="#d8e6fb", color="#2463d1"];
        subgraph cluster_0_1 {
          graph [label="", fontsize=14, color="#d9dfe7", fillcolor="#ffffff", margin=10];
          "block1_sepconv1" [label=<<b>block1_sepconv1</b><br/><font point-size="10" color="#5a6675">SeparableConv2D 3×3</font><br/><font point-size="10">9×12×8 → 9×12×16</font>>, width=2.13, fillcolor="#b9d2f8", color="#2463d1"];
          "block1_sepconv1_bn" [label=<<b>block1_sepconv1_bn</b><br/><font point-size="10" color="#5a6675">BatchNormalization</font><br/><font point-size="10">9×12×16 → 9×12×16</font>>, width=2.36, fillcolor="#eef1f5", color="#9aa6b5"];
          "block1_pool" [label=<<b>block1_pool</b><br/><font point-size="10" color="#5a6675">MaxPooling2D 3×3, stride 2</font><br/><font point-size="10">9×12×16 → 5×6×16</font>>, width=2.69, fillcolor="#fbdcd3", color="#cc5a35"];
          "conv2d" [label=<<b>conv2d</b><br/><font point-size="10" color="#5a6675">Conv2D 1×1, stride 2</font><br/><font point-size="10">9×12×8 → 5×6×16</font>>, width=2.11, fillcolor="#d8e6fb", color="#2463d1"];
          "add" [label=<<b>add</b><br/><font point-size="10" color="#5a6675">Add</font><br/><font point-size="10">5×6×16, 5×6×16 → 5×6×16</font>>, width=2.55, fillcolor="#d3eddd", color="#14804f"];
        }
        "re_lu" [label=<<b>re_lu</b><br/><font point-size="10" color="#5a6675">ReLU</font><br/><font point-size="10">5×6×16 → 5×6×16</font>>, width=1.95, fillcolor="#fdeecf", color="#c98a14"];
        "global_average_pooling2d" [label=<<b>global_average_pooling2d</b><br/><font point-size="10" color="#5a6675">GlobalAveragePooling2D</font><br/><font point-size="10">5×6×16 → 16</font>>, width=2.95, fillcolor="#fbdcd3", color="#cc5a35"];
        "predictions" [label=<<b>predictions</b><br/><font point-size="10" color="#5a6675">Dense softmax</font><br/><font point-size="10">16 → 5</font>>, width=1.95, fillcolor="#e5dcf9", color="#6a46c4"];
        "input_layer" -> "stem";
        "stem" -> "block1_sepconv1";
        "block1_sepconv1" -> "block1_sepconv1_bn";
        "block1_sepconv1_bn" -> "block1_pool";
        "stem" -> "conv2d";
        "block1_pool" -> "add";
        "conv2d" -> "add";
        "add" -> "re_lu";
        "re_lu" -> "global_average_pooling2d";
        "global_average_pooling2d" -> "predictions";
      }
      "
    `);
  });

  it("leaves out names and shapes", () => {
    const label = (options: object): string =>
      /"block1_pool" \[label=(<.*>),/.exec(plotDot(smallNetwork(), options))![1]!;
    const type = "MaxPooling2D 3×3, stride 2";
    expect(label({ names: false, shapes: false })).toBe(`<<b>${type}</b>>`);
    expect(label({ names: false })).toBe(`<<b>${type}</b><br/><font point-size="10">9×12×16 → 5×6×16</font>>`);
    expect(label({ shapes: false })).toMatch(
      /^<<b>block1_pool<\/b><br\/><font [^>]*>MaxPooling2D 3×3, stride 2<\/font>>$/,
    );
  });
});

describe("plotSvg", () => {
  it.each([
    ["paper", "TB"],
    ["paper", "LR"],
    ["tutorial", "TB"],
    ["tutorial", "LR"],
  ] as const)("draws each layer and connection of the %s network once, %s", async (variant, rankdir) => {
    const net = xception({ variant });
    const svg = await plotSvg(net, { rankdir });
    expect(titles(svg, "node").sort()).toEqual(net.layers.map((layer) => layer.name).sort());
    expect(titles(svg, "edge").sort()).toEqual(edgesOf(net).sort());
  });

  it("puts the flows beside each other from top to bottom, below each other from left to right", async () => {
    const columns = await plotSvg(xception(), { rankdir: "TB" });
    expect(placeOf(columns, "Entry flow").x).toBeLessThan(placeOf(columns, "Middle flow").x);
    expect(placeOf(columns, "Middle flow").x).toBeLessThan(placeOf(columns, "Exit flow").x);
    const rows = await plotSvg(xception(), { rankdir: "LR" });
    expect(placeOf(rows, "Entry flow").y).toBeLessThan(placeOf(rows, "Middle flow").y);
    expect(placeOf(rows, "Middle flow").y).toBeLessThan(placeOf(rows, "Exit flow").y);
  });

  it("leads a connection from the end of a column to the top of the next one", async () => {
    const svg = await plotSvg(xception());
    const edge = /<title>add_2&#45;&gt;block5_sepconv1_act<\/title>\s*<path [^>]* d="M([-.\d]+),([-.\d]+)C(.*?)"/.exec(
      svg,
    )!;
    const [endX, endY] = edge[3]!.split(" ").at(-1)!.split(",").map(Number) as [number, number];
    expect(Number(edge[1])).toBeGreaterThan(placeOf(svg, "add_2").x);
    expect(Number(edge[1])).toBeLessThan(placeOf(svg, "Middle flow").x);
    expect(endX).toBeGreaterThan(Number(edge[1]));
    expect(endX).toBeLessThan(placeOf(svg, "block5_sepconv1_act").x);
    expect(endY).toBeLessThan(placeOf(svg, "block5_sepconv1").y);
  });

  it("shows a name with characters that mean something to DOT, SVG or regular expressions", async () => {
    const name = String.raw`a"b\<c>&d\n$1`;
    const x = conv2d(input([8, 8, 3]), { filters: 4, kernelSize: 3, name });
    const svg = await plotSvg(network(`net "${name}"`, relu(x)));
    expect(titles(svg, "node")).toEqual(["input_layer", name, "re_lu"]);
    const texts = [...svg.matchAll(/font-weight="bold"[^>]*>(.*?)<\/text>/g)].map((match) => plainText(match[1]!));
    expect(texts).toEqual(["input_layer", name, "re_lu"]);
  });

  it("is as large as dpi says", async () => {
    const size = async (dpi: number) =>
      /<svg width="(\d+)pt" height="(\d+)pt"/.exec(await plotSvg(smallNetwork(), { dpi }))!;
    const [, width, height] = (await size(72)).map(Number);
    const [, doubleWidth, doubleHeight] = (await size(144)).map(Number);
    expect(Math.abs(doubleWidth! - 2 * width!)).toBeLessThanOrEqual(1);
    expect(Math.abs(doubleHeight! - 2 * height!)).toBeLessThanOrEqual(1);
  });

  it("is the same picture each time", async () => {
    expect(await plotSvg(smallNetwork())).toBe(await plotSvg(smallNetwork()));
  });
});
