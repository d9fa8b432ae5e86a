import { describe, expect, it } from "vitest";
import type { Network } from "../../src/graph/network.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { plotSections } from "../../src/report/plot/sections.ts";
import { smallNetwork } from "./small-network.ts";

/** `Title: block(layers) …` for each section. */
function outline(network: Network, longest: number): string[] {
  return plotSections(network, longest).map(({ title, blocks }) => {
    const parts = blocks.map((block) => `${block.title ?? (block.framed ? "frame" : "loose")}(${block.layers.length})`);
    return `${title ?? "-"}: ${parts.join(" ")}`;
  });
}

describe("plotSections", () => {
  it("finds the three flows of the paper, shortcuts in the block that they belong to", () => {
    expect(outline(xception(), 1000)).toEqual([
      "Entry flow: loose(1) block1(6) block2(9) block3(10) block4(10)",
      "Middle flow: block5(10) block6(10) block7(10) block8(10) block9(10) block10(10) block11(10) block12(10)",
      "Exit flow: block13(10) block14(6) loose(2)",
    ]);
  });

  it("finds them in the tutorial's listing, whose layers have no names: its entry flow cannot be parted", () => {
    expect(outline(xception({ variant: "tutorial" }), 1000)).toEqual([
      "Entry flow: loose(7) frame(29)",
      `Middle flow: ${Array.from({ length: 8 }, () => "frame(11)").join(" ")}`,
      "Exit flow: frame(10) loose(6)",
    ]);
  });

  it("finds them by name where nothing branches, and with other numbers of blocks", () => {
    expect(outline(xception({ residual: false, middleFlowRepeats: 1 }), 1000)).toEqual([
      "Entry flow: loose(1) block1(6) block2(6) block3(7) block4(7)",
      "Middle flow: block5(9)",
      "Exit flow: block6(7) block7(6) loose(2)",
    ]);
  });

  it("claims no flows where there is no middle flow", () => {
    expect(outline(smallNetwork(), 1000)).toEqual(["-: loose(2) block1(5) loose(3)"]);
    expect(outline(xception({ middleFlowRepeats: 0 }), 1000)).toEqual([
      "-: loose(1) block1(6) block2(9) block3(10) block4(10) block5(10) block6(6) loose(2)",
    ]);
  });

  it("continues a long flow in sections of about the same length", () => {
    const halves = plotSections(xception(), 44);
    expect(halves.map(({ title, blocks }) => [title, blocks.length])).toEqual([
      ["Entry flow", 5],
      ["Middle flow", 4],
      ["Middle flow, continued", 4],
      ["Exit flow", 3],
    ]);
    expect(outline(xception(), 22)).toEqual([
      "Entry flow: loose(1) block1(6) block2(9)",
      "Entry flow, continued: block3(10) block4(10)",
      "Middle flow: block5(10) block6(10)",
      "Middle flow, continued: block7(10) block8(10)",
      "Middle flow, continued: block9(10) block10(10)",
      "Middle flow, continued: block11(10) block12(10)",
      "Exit flow: block13(10) block14(6) loose(2)",
    ]);
  });
});
