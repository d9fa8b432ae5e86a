import { describe, expect, it } from "vitest";
import type { BlockHealth } from "../../src/base/records.ts";
import { gradientChart, thinned, zerosChart } from "../../src/report/charts/heat-maps.ts";
import { healthWarnings } from "../../src/report/health.ts";
import { renderReport } from "../../src/report/training.ts";

const well: BlockHealth = {
  block: "block1",
  gradientNorm: 0.5,
  weightNorm: 10,
  updateRatio: 1e-3,
  activation: { mean: 0.4, deviation: 0.6, zeroShare: 0.5 },
};
const dead = { ...well, block: "block2", activation: { mean: 0, deviation: 0, zeroShare: 1 } };

describe("warnings", () => {
  it.each<[string, Partial<BlockHealth>, string[]]>([
    ["a block that is well", {}, []],
    ["no activation", { activation: { mean: 0, deviation: 0, zeroShare: 0.989 } }, []],
    [
      "a dead activation",
      { activation: { mean: 0, deviation: 0, zeroShare: 0.999 } },
      ["dead: 99.9\u00a0% of its activations are 0"],
    ],
    ["no gradient", { gradientNorm: 0 }, ["no gradient"]],
    ["a gradient far below the others", { gradientNorm: 4e-6 }, ["vanishing: hardly any gradient"]],
    ["one that is small, but not that small", { gradientNorm: 6e-6 }, []],
    ["a huge gradient", { gradientNorm: 1234.5 }, ["exploding: a gradient of 1,235"]],
    ["a step that is too long", { updateRatio: 0.25 }, ["exploding: one step changes its weights by 25.0\u00a0%"]],
  ])("of %s", (_, change, expected) => {
    const block = { ...well, ...change };
    expect(healthWarnings(block, [block, well])).toEqual(expected);
  });
});

describe("the report", () => {
  const health = [
    { step: 10, blocks: [well, dead] },
    { step: 20, blocks: [well, { ...dead, gradientNorm: 0.001 }] },
  ];
  const visible = (page: string) =>
    page
      .slice(page.indexOf("</head>"))
      .replace(/<svg.*?<\/svg>/gs, "")
      .replace(/<[^>]*>/g, " ")
      .replace(/[\s\u00a0]+/g, " ");

  it("tells each block's health at the latest step, and warns", async () => {
    const text = visible(await renderReport({ title: "", health }));
    expect(text).toContain("Warnings at step 20: block2.");
    expect(text).toContain("block1 0.5 10 0.1 % 0.4 ± 0.6 50.0 %");
    expect(text).toContain("block2 0.001 10 0.1 % 0 ± 0 100.0 % ⚠ dead: 100.0 % of its activations are 0");
  });

  it("says so where nothing is wrong, and nothing where nothing is known", async () => {
    const page = await renderReport({ title: "", health: [{ step: 1, blocks: [well, { block: "top" }] }] });
    expect(visible(page)).toContain("All blocks learn");
    expect(visible(page)).toContain("top – – – – –");
    expect(await renderReport({ title: "", health: [] })).not.toContain("Health");
  });

  it("has a cell for each block and step, the stronger the larger its value", async () => {
    const opacities = (svg: string) => [...svg.matchAll(/<path[^>]* fill-opacity="([^"]+)"/g)].map((m) => Number(m[1]));
    const shares = opacities(await zerosChart(health)).slice(-4);
    expect(shares.filter((share) => share === 1)).toHaveLength(2);
    // Half of the way from 0.06 to 1.
    for (const share of shares.filter((each) => each !== 1)) expect(share).toBeCloseTo(0.53, 6);
    const gradients = opacities(await gradientChart(health)).slice(-4);
    expect(Math.max(...gradients)).toBe(1);
    expect(Math.min(...gradients)).toBeCloseTo(0.06, 6);
  });
});

describe("thinned", () => {
  it("keeps the last one and even distances", () => {
    expect(thinned([1, 2, 3], 3)).toEqual([1, 2, 3]);
    expect(thinned([1, 2, 3, 4, 5, 6, 7], 3)).toEqual([1, 4, 7]);
    expect(thinned([1, 2, 3, 4, 5, 6], 4)).toEqual([2, 4, 6]);
  });
});
