import { describe, expect, it } from "vitest";
import type { ClassScore, EpochRecord } from "../../src/base/records.ts";
import { accuracyChart, learningRateChart, lossChart, reliabilityChart } from "../../src/report/charts/curves.ts";
import { confusionChart, mostChartedClasses, recallChart } from "../../src/report/charts/heat-maps.ts";

const epoch = (number: number, loss: number, validationLoss?: number): EpochRecord => ({
  epoch: number,
  loss,
  accuracy: 1 - loss / 2,
  ...(validationLoss !== undefined && { validationLoss, validationAccuracy: 1 - validationLoss / 2 }),
  learningRate: 0.01 / number,
  imagesPerSecond: 100,
  seconds: 1,
});

const score = (label: string, recall: number, support = 10): ClassScore => ({
  label,
  precision: recall,
  recall,
  f1: recall,
  support,
});

/** What stands between the tags of the drawing's text elements. */
const texts = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map((match) => match[1]);

/** The groups of marks of one kind, e.g. `symbol`, each as its text. */
const marks = (svg: string, kind: string) =>
  [...svg.matchAll(new RegExp(`<g class="mark-${kind} role-mark[^"]*"[^>]*>(.*?)</g>`, "g"))].map((match) => match[1]!);

/** Corners and centers of the points of a curve chart, from the top left. */
const points = (svg: string) =>
  [
    ...marks(svg, "symbol")
      .join("")
      .matchAll(/translate\(([-\d.e]+),([-\d.e]+)\)/g),
  ].map((match) => ({
    x: Number(match[1]),
    y: Number(match[2]),
  }));

describe("curves", () => {
  const history = [epoch(1, 2, 1.5), epoch(2, 1, 1), epoch(3, 0, 0.5)];

  it("places a point for each value where its number says", async () => {
    const svg = await lossChart(history.map(({ epoch: number, loss }) => epoch(number, loss)));
    const [first, second, third] = points(svg);
    expect(points(svg)).toHaveLength(3);
    expect(first!.x).toBeCloseTo(0, 6);
    expect(second!.x).toBeCloseTo(third!.x / 2, 6);
    expect(first!.y).toBeCloseTo(0, 6);
    expect(second!.y).toBeCloseTo(third!.y / 2, 6);
  });

  it("draws validation beside training, with a legend", async () => {
    const svg = await lossChart(history);
    expect(marks(svg, "line")).toHaveLength(2);
    expect(points(svg)).toHaveLength(6);
    expect(texts(svg)).toEqual(expect.arrayContaining(["training", "validation", "epoch", "loss (nats per image)"]));
    expect(svg).toContain('aria-label="loss (nats per image) by epoch: training and validation"');
  });

  it("leaves validation out when there is none, and the legend with it", async () => {
    const svg = await accuracyChart([epoch(1, 1), epoch(2, 0.5)]);
    expect(marks(svg, "line")).toHaveLength(1);
    expect(texts(svg)).not.toContain("validation");
    expect(texts(svg)).not.toContain("training");
    expect(texts(svg)).toContain("accuracy (% of images)");
  });

  it("shows a single epoch, and draws no points when there are very many", async () => {
    const single = points(await learningRateChart([epoch(1, 1)]));
    expect(single).toHaveLength(1);
    expect(single[0]!.x).toBeGreaterThan(0);
    const many = await lossChart(Array.from({ length: 41 }, (_, index) => epoch(index + 1, 1)));
    expect(points(many)).toHaveLength(0);
    expect(marks(many, "line")).toHaveLength(1);
  });

  it("breaks the line where the loss is not a number", async () => {
    const svg = await lossChart([epoch(1, 2), epoch(2, Number.NaN), epoch(3, 1)]);
    expect(points(svg)).toHaveLength(2);
    expect(svg).not.toContain("NaN");
  });
});

// Vega numbers the ids of clips and gradients through the life of the process: a chart must do without them.
it("gives the same bytes for the same data and carries nothing that could collide in a page", async () => {
  const perClass = [score("a", 0.5), score("b", 0)];
  const evaluation = {
    perClass,
    confusion: [
      [5, 5],
      [10, 0],
    ],
  };
  const draw = () => Promise.all([lossChart([epoch(1, 2, 3)]), recallChart(perClass), confusionChart(evaluation)]);
  const svgs = await draw();
  expect(await draw()).toEqual(svgs);
  for (const svg of svgs) expect(svg).not.toMatch(/ id="|url\(|href/);
});

describe("recallChart", () => {
  /** The straight upper edge of each bar ends 3 before its width, as its corners are rounded. */
  const widths = (svg: string) =>
    [
      ...marks(svg, "rect")
        .join("")
        .matchAll(/ d="M0,[^A-Z]*L([\d.]+)/g),
    ].map((match) => Number(match[1]) + 3);

  it("draws one bar for each class as long as its recall, best first", async () => {
    const svg = await recallChart([score("weak", 0.25), score("good", 1), score("fair", 0.5)]);
    expect(texts(svg).filter((text) => ["weak", "good", "fair"].includes(text!))).toEqual(["good", "fair", "weak"]);
    expect(texts(svg)).toEqual(expect.arrayContaining(["100.0%", "50.0%", "25.0%"]));
    const [good, fair, weak] = widths(svg);
    expect(good).toBeCloseTo(2 * fair!, 6);
    expect(good).toBeCloseTo(4 * weak!, 6);
  });

  it("leaves the scores as they are", async () => {
    const scores = [score("good", 1), score("fair", 0.5)];
    const before = structuredClone(scores);
    await recallChart(scores);
    expect(scores).toStrictEqual(before);
    expect(scores.flatMap((each) => Object.getOwnPropertySymbols(each))).toEqual([]);
  });

  it("leaves out classes that were not tested", async () => {
    expect(texts(await recallChart([score("seen", 1), score("unseen", 0, 0)]))).not.toContain("unseen");
  });

  it("shows the weakest of more classes than fit", async () => {
    const many = Array.from({ length: mostChartedClasses + 5 }, (_, index) => score(`class ${index}`, index / 100));
    const shown = texts(await recallChart(many)).filter((text) => text!.startsWith("class "));
    expect(shown).toEqual(Array.from({ length: mostChartedClasses }, (_, i) => `class ${mostChartedClasses - 1 - i}`));
  });
});

describe("confusionChart", () => {
  const evaluation = {
    perClass: [score("cat", 1, 1200), score("<dog>", 0.5, 4), score("none", 0, 0)],
    confusion: [
      [1200, 0, 0],
      [1, 2, 1],
      [0, 0, 0],
    ],
  };

  it("draws a cell for each pair and writes the counts that are not 0, row by row", async () => {
    const svg = await confusionChart(evaluation);
    expect(marks(svg, "rect").join("").match(/<path/g)).toHaveLength(9);
    expect(texts(marks(svg, "text").join(""))).toEqual(["1,200", "1", "2", "1"]);
    expect(texts(svg)).toEqual(expect.arrayContaining(["true class", "predicted class"]));
  });

  it("colors a cell by its share of the true class", async () => {
    const cells = marks(await confusionChart(evaluation), "rect").join("");
    const strengths = [...cells.matchAll(/fill-opacity="([\d.]+)"/g)].map((match) => Number(match[1]));
    const expected = [1, 0, 0, 0.25, 0.5, 0.25, 0, 0, 0].map((share) => 0.05 + 0.95 * share);
    for (const [index, strength] of strengths.entries()) expect(strength).toBeCloseTo(expected[index]!, 6);
    expect(strengths).toHaveLength(9);
  });

  it("escapes the names of classes", async () => {
    const svg = await confusionChart(evaluation);
    expect(svg).not.toContain("<dog>");
    expect(svg).toContain("&lt;dog&gt;");
  });
});

describe("reliabilityChart", () => {
  it("places a point for each bin where its confidence and accuracy are, larger for more images", async () => {
    const bins = [
      { from: 0, to: 0.2, images: 1, confidence: 0, accuracy: 1 },
      { from: 0.4, to: 0.6, images: 9, confidence: 0.5, accuracy: 0.25 },
    ];
    const svg = await reliabilityChart(bins);
    const [first, second] = points(svg);
    expect([first!.x, first!.y]).toEqual([0, 0]);
    const width = Number(/aria-label[^>]* width="(\d+)"/.exec(svg)?.[1]);
    expect(second!.x).toBeLessThan(width / 2);
    const areas = [
      ...marks(svg, "symbol")
        .join("")
        .matchAll(/A([\d.]+),/g),
    ].map((match) => Number(match[1]));
    expect(Math.max(...areas)).toBeGreaterThan(Math.min(...areas));
    // Half of the way to the right is three quarters of the way down: the axes are as long as their scales say.
    const [line] = [...marks(svg, "line")[0]!.matchAll(/ d="M0,([\d.]+)L([\d.]+),0"/g)];
    expect(second!.x).toBeCloseTo(Number(line![2]) / 2, 6);
    expect(second!.y).toBeCloseTo(0.75 * Number(line![1]), 6);
  });
});
