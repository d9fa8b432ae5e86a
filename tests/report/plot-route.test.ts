import { describe, expect, it } from "vitest";
import { type Box, edgePosition, routeBetweenColumns, routeBetweenRows } from "../../src/report/plot/plot.ts";

/** A node of 40 × 20 points around a place. */
function node(x: number, y: number): Box {
  return { left: x - 20, right: x + 20, bottom: y - 10, top: y + 10 };
}

describe("routeBetweenColumns", () => {
  const fromSection = { left: 0, right: 100, bottom: 0, top: 300 };
  const toSection = { left: 120, right: 300, bottom: 0, top: 300 };
  const from = node(50, 20);

  it("goes up the gap between the columns and into the node's side", () => {
    const to = node(170, 250);
    expect(routeBetweenColumns({ from, to, fromSection, toSection, nodes: [from, to, node(170, 200)] })).toEqual([
      { x: 70, y: 20 },
      { x: 110, y: 20 },
      { x: 110, y: 250 },
      { x: 150, y: 250 },
    ]);
  });

  it("comes from above, over all nodes of the column, if another node is in the way", () => {
    const to = node(250, 200);
    const nodes = [from, to, node(170, 250), node(170, 205)];
    expect(routeBetweenColumns({ from, to, fromSection, toSection, nodes })).toEqual([
      { x: 70, y: 20 },
      { x: 110, y: 20 },
      { x: 110, y: 268 },
      { x: 250, y: 268 },
      { x: 250, y: 210 },
    ]);
  });
});

describe("routeBetweenRows", () => {
  it("goes back along the gap between the rows and into the node's top", () => {
    const from = node(280, 150);
    const to = node(50, 50);
    const fromSection = { left: 0, right: 300, bottom: 120, top: 200 };
    const toSection = { left: 0, right: 300, bottom: 0, top: 100 };
    expect(routeBetweenRows({ from, to, fromSection, toSection, nodes: [from, to] })).toEqual([
      { x: 280, y: 140 },
      { x: 280, y: 110 },
      { x: 50, y: 110 },
      { x: 50, y: 60 },
    ]);
  });
});

describe("edgePosition", () => {
  it("writes straight lines and round corners as Bézier curves, the arrow's tip first", () => {
    const corners = [
      { x: 0, y: 0 },
      { x: 100, y: 0 },
      { x: 100, y: 50 },
    ];
    const [tip, ...curve] = edgePosition(corners).split(" ");
    expect(tip).toBe("e,100.00,50.00");
    expect(curve).toEqual([
      "0.00,0.00",
      ...["0.00,0.00", "92.00,0.00", "92.00,0.00"],
      ...["100.00,0.00", "100.00,0.00", "100.00,8.00"],
      ...["100.00,8.00", "100.00,44.00", "100.00,44.00"],
    ]);
  });

  it("rounds a corner next to another one no further than halfway", () => {
    const corners = [
      { x: 0, y: 0 },
      { x: 10, y: 0 },
      { x: 10, y: 50 },
    ];
    expect(edgePosition(corners)).toContain(" 5.00,0.00 ");
  });
});
