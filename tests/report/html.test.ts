import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Evaluation } from "../../src/base/records.ts";
import { networkCost } from "../../src/graph/cost.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { html } from "../../src/report/markup.ts";
import { formatDuration, formatNumber, formatPercent, formatRounded } from "../../src/report/numbers.ts";
import { renderReport } from "../../src/report/training.ts";
import type { TrainingReport } from "../../src/report/training-report.ts";

const hostile = `<script>alert("1")</script>&'`;
const escaped = "&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62;&#38;&#39;";
const image = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0, 255, 128);

const place = { truthProbability: 0.1, truthRank: 2 };

const evaluation: Evaluation = {
  images: 1234,
  top1: 0.75,
  top5: 0.987,
  loss: 0.654321,
  averages: {
    macro: { precision: 0.11, recall: 0.12, f1: 0.13 },
    micro: { precision: 0.21, recall: 0.22, f1: 0.23 },
    weighted: { precision: 0.31, recall: 0.32, f1: 0.33 },
  },
  calibration: {
    expectedCalibrationError: 0.051,
    bins: [{ from: 0.2, to: 4 / 15, images: 4, confidence: 0.25, accuracy: 0.5 }],
    temperature: { temperature: 1.2345, loss: 0.6111, expectedCalibrationError: 0.012 },
  },
  perClass: ["cat", hostile, "c", "d", "e", "f"].map((label, index) => ({
    label,
    precision: 0.5,
    recall: 0.25 + index / 10,
    f1: 1 / 3,
    support: 10,
  })),
  confusion: Array.from({ length: 6 }, (_, row) =>
    Array.from({ length: 6 }, (_, column) => (row === column ? 7 : row)),
  ),
};

const report: TrainingReport = {
  title: `Report on ${hostile}`,
  summary: `Summary ${hostile}`,
  network: { parameters: 1467973, full: { name: "full Xception", parameters: 22910480 } },
  settings: [{ name: `seed ${hostile}`, value: `7 ${hostile}` }],
  history: [
    { epoch: 1, loss: 1.23456, accuracy: 0.5, learningRate: 0.001, imagesPerSecond: 100, seconds: 60 },
    { epoch: 2, loss: 0.75, accuracy: 0.625, learningRate: 0.0005, imagesPerSecond: 300, seconds: 64.4 },
  ],
  test: evaluation,
  gallery: {
    wrong: [{ file: hostile, truth: hostile, predicted: hostile, probability: 0.876, ...place, png: image }],
    right: [{ file: "dog.png", truth: "dog", predicted: "dog", probability: 1, ...place, png: image }],
  },
  cost: networkCost(xception()),
  skipped: [{ file: `${hostile}.png`, reason: `broken ${hostile}` }],
  reproduction: {
    commands: [`xception train ${hostile}`, "xception evaluate"],
    facts: [{ name: "v", value: hostile }],
  },
};

/** The tags of a page in their order, without attributes. */
const tags = (page: string) => [...page.matchAll(/<(\/?\w+)/g)].map((match) => match[1]);

/** The page's text as a reader sees it, without style sheet. */
const visible = (page: string) =>
  page
    .replace(/<style>.*?<\/style>/s, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ");

describe("renderReport", () => {
  it("shows the numbers", async () => {
    const text = visible(await renderReport(report));
    for (const part of [
      "Test accuracy 75.0 % of 1,234 images",
      "Training time 2 min 4 s 2 epochs",
      // Two epochs of as many images at 100 and 300 a second: 150 on average.
      "Speed 150 images per second",
      "Parameters 1.47M full Xception: 22.9M",
      "Parameters 1,467,973",
      "Parameters of full Xception 22,910,480",
      "Top-5 accuracy 98.7 %",
      "Loss 0.6543 nats per image",
      "1 1.235 50.0 % – – 0.001 100 1 min 0 s",
      "cat 50.0 % 25.0 % 33.3 % 10",
      "Macro average 11.0 % 12.0 % 13.0 %",
      "Weighted average 31.0 % 32.0 % 33.0 %",
      "Macro: every class counts the same; micro: every prediction does; weighted: every class by its images.",
      "Expected calibration error (ECE, 15 bins) 5.1 %",
      "Temperature, fitted to these images 1.235",
      "20 – 27 % 25.0 % 50.0 % 4",
      "f c 5 50.0 %",
      "✓ dog 100.0 %",
      "1,728 weights against 27 + 192 = 219",
      "block1_conv2 3×3×32→64 147×147 18,432 398 M – – –",
      "block4_sepconv2 3×3×728→728 37×37 536,536 735 M 4,769,856 6.53 G 8.9×",
      "xception evaluate",
    ]) {
      expect(text).toContain(part);
    }
  });

  it("adds the layers that are not listed one by one, so that the columns add up", async () => {
    const page = await renderReport({ title: "", cost: report.cost! });
    const weights = [...page.matchAll(/<tr><th scope="row">.*?<td class="number">([\d,]+)</g)].map((match) =>
      Number(match[1]!.replaceAll(",", "")),
    );
    expect(weights.at(-1)).toBe(report.cost!.total.weights);
    expect(weights.slice(0, -1).reduce((sum, each) => sum + each)).toBe(report.cost!.total.weights);
  });

  it("carries the images inside", async () => {
    const gallery = { ...report.gallery!, wrong: [{ ...report.gallery!.wrong[0]!, evidence: image }] };
    const page = await renderReport({ ...report, gallery });
    const images = [...page.matchAll(/<img src="data:image\/png;base64,([^"]+)"/g)];
    expect(images).toHaveLength(3);
    expect(page).toContain(`alt="the evidence of ${escaped} in it"`);
    for (const [, data] of images) expect(Uint8Array.from(atob(data!), (c) => c.charCodeAt(0))).toEqual(image);
  });

  it("refers to nothing outside the file and runs nothing", async () => {
    const page = await renderReport(report);
    expect(page).not.toMatch(/https?:|\/\/[a-z]|@import|<script|<iframe|<object/i);
    for (const [, address] of page.matchAll(/(?:src|href)="([^"]*)"/g)) expect(address).toMatch(/^(#|data:)/);
    expect(page).toContain("default-src 'none'");
  });

  it("escapes every text it is given", async () => {
    const page = await renderReport(report);
    expect(page).not.toContain("<script");
    for (const text of [
      `<title>Report on ${escaped}</title>`,
      `<h1>Report on ${escaped}</h1>`,
      `Summary ${escaped}`,
      `seed ${escaped}`,
      `7 ${escaped}`,
      `✗ ${escaped}`,
      `is ${escaped}`,
      `title="${escaped}"`,
      `alt="an image of class ${escaped}"`,
      `${escaped}.png`,
      `broken ${escaped}`,
      `xception train ${escaped}`,
    ]) {
      expect(page).toContain(text);
    }
  });

  it("has the same structure whatever the texts are", async () => {
    const make = (text: string) =>
      renderReport({
        title: text,
        summary: text,
        settings: [{ name: text, value: text }],
        gallery: {
          wrong: [{ file: text, truth: text, predicted: text, probability: 0.5, ...place, png: image }],
          right: [],
        },
        skipped: [{ file: text, reason: text }],
        reproduction: { commands: [text], facts: [{ name: text, value: text }] },
      });
    const plain = tags(await make("plain"));
    const markupLike = fc.string({ unit: fc.constantFrom(..."<>&\"'/=!-a ") });
    await fc.assert(
      fc.asyncProperty(markupLike, async (text) => {
        expect(tags(await make(text))).toEqual(plain);
      }),
    );
  });

  it("gives the same bytes for the same data", async () => {
    const pages = [await renderReport(report), await renderReport(structuredClone(report))];
    // Compared by hand: a difference would fill the screen with two pages.
    expect(pages[0] === pages[1]).toBe(true);
  });

  it("closes every element it opens", async () => {
    const open: string[] = [];
    for (const tag of tags(await renderReport(report))) {
      if (/^(meta|link|img)$/.test(tag!)) continue;
      // SVG elements without children are written <path …/>.
      if (/^(path|line|rect)$/.test(tag!)) continue;
      if (tag!.startsWith("/")) expect(open.pop()).toBe(tag!.slice(1));
      else open.push(tag!);
    }
    expect(open).toEqual([]);
  });

  it("names each section once and links to each", async () => {
    const page = await renderReport(report);
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]!);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...page.matchAll(/href="#([^"]+)"/g)].map((match) => match[1]!);
    expect(links).toEqual(["settings", "curves", "test", "gallery", "cost", "skipped", "reproduce"]);
    expect(ids).toEqual(expect.arrayContaining(links));
  });

  it("says where a training stands that goes on, and loads itself again", async () => {
    const live = {
      ...{ epoch: 2, epochs: 4, step: 5, steps: 10, loss: 0.5, accuracy: 0.75, secondsLeft: 90, time: hostile },
    };
    const page = await renderReport({ title: "", live });
    expect(page).toContain('<meta http-equiv="refresh" content="15">');
    expect(visible(page)).toContain("Training now: epoch 2 of 4, step 5 of 10; about 1 min 30 s to go");
    expect(page).toContain(`Loss 0.5, accuracy 75.0\u00a0% in this epoch. Written at ${escaped};`);
    // One and a half of four epochs.
    expect(page).toContain('style="width:37.5%"');
    expect(page).not.toContain("<script");
    expect(await renderReport({ title: "" })).not.toContain("refresh");
  });

  it("shows the losses of steps, before the first epoch is over, too", async () => {
    const steps = [1, 2, 3].map((step) => ({ step, loss: 1 / step }));
    const page = await renderReport({ title: "", history: [], steps });
    expect(page).toContain('aria-label="loss by step"');
    expect(page).not.toContain("Metrics of every epoch");
    const both = await renderReport({ title: "", history: report.history!, steps });
    expect(both.match(/<figure>/g)).toHaveLength(4);
  });

  it("leaves out what it was not given", async () => {
    const page = await renderReport({
      title: "Nothing yet",
      history: [],
      skipped: [],
      gallery: { wrong: [], right: [] },
    });
    expect(page).not.toContain("<section");
    expect(visible(page).trim()).toBe("Nothing yet Training report Nothing yet Made with xception-ts.");
  });

  it("speaks of validation only where there is one", async () => {
    const validated = report.history!.map((epoch) => ({ ...epoch, validationLoss: 1, validationAccuracy: 0.5 }));
    expect(await renderReport({ title: "t", history: report.history! })).toContain("augmentation and dropout.<");
    expect(await renderReport({ title: "t", history: validated })).toContain("dropout, validation does not.<");
  });

  it("tells how several labels of an image are counted, and the average precision of each", async () => {
    const perClass = evaluation.perClass.map((score, index) => ({
      ...score,
      ...(index > 0 && { averagePrecision: 0.8125 }),
    }));
    const page = await renderReport({ ...report, test: { ...evaluation, perClass, meanAveragePrecision: 0.7 } });
    expect(page).toContain("Average precision, precision, recall and F1 of each class");
    expect(page.match(/81\.3/g)).toHaveLength(perClass.length - 1);
    expect(page).toContain("Recall of each class: images given a probability of at least 50\u00a0%.");
    expect(page).toContain("An image counts once for each of its classes");
    expect(await renderReport(report)).not.toContain("Average precision");
  });

  it("leaves out the first five of five classes, and folds a long list of skipped files", async () => {
    const five: Evaluation = {
      ...evaluation,
      perClass: evaluation.perClass.slice(0, 5),
      confusion: evaluation.confusion.slice(0, 5).map((row) => row.slice(0, 5)),
    };
    const skipped = Array.from({ length: 9 }, (_, index) => ({ file: `${index}.png`, reason: "empty" }));
    const page = await renderReport({ title: "", evaluation: five, skipped });
    expect(page).not.toContain("Top-5");
    expect(page).toContain("<summary>9 files were skipped</summary>");
  });

  it("draws no confusion matrix of more classes than can be read, but names their mistakes", async () => {
    const count = 41;
    const perClass = Array.from({ length: count }, (_, index) => ({
      ...evaluation.perClass[0]!,
      label: `class ${index}`,
    }));
    const confusion = perClass.map((_, row) => perClass.map((_, column) => (row === 3 && column === 5 ? 4 : 0)));
    const page = await renderReport({ title: "", evaluation: { ...evaluation, perClass, confusion } });
    expect(page).not.toContain("confusion matrix");
    expect(page).toContain("The 40 classes with the lowest recall.");
    expect(visible(page)).toContain("class 3 class 5 4 40.0 %");
  });
});

describe("html", () => {
  it("escapes values, joins lists, skips what is undefined and keeps markup", () => {
    const list = ["<", html`<b>${"&"}</b>`, undefined, 1];
    expect(html`<p title="${'"'}">${list}</p>`.text).toBe('<p title="&#34;">&#60;<b>&#38;</b>1</p>');
  });
});

describe("numbers", () => {
  it.each([
    [formatPercent(0.8316), "83.2\u00a0%"],
    [formatRounded(22910480), "22.9M"],
    [formatRounded(8357.4e6), "8.36B"],
    [formatRounded(434.2), "434"],
    [formatNumber(0.0123456), "0.01235"],
    [formatNumber(0.00001), "0.00001"],
    [formatDuration(0.04), "0.0 s"],
    [formatDuration(59.94), "59.9 s"],
    [formatDuration(59.96), "1 min 0 s"],
    [formatDuration(3599.6), "1 h 0 min"],
    [formatDuration(124.3), "2 min 4 s"],
    [formatDuration(7290), "2 h 2 min"],
  ])("%s", (written, expected) => expect(written).toBe(expected));
});
