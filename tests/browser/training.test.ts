import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";
import { fineTuning, oneStep, type TrainedInBoth, trainInBoth } from "./train-in-both.ts";
import { noiseCase, photoCase, whyNoPhotos, withElu } from "./training-cases.ts";
import { chartFile, readMeasurement, trainingChart } from "./training-chart.ts";

let browser: BrowserTest;
let page: Page;
beforeAll(async () => {
  if (whyNoBrowser !== undefined) return;
  browser = await startBrowserTest();
  page = await browser.open();
});
afterAll(() => browser?.close());

const blockStep = { ...oneStep, unfreezeFrom: "block14" };

/** Checks the first loss and the first gradient. */
function expectSameStep({ node, page, moved, apart }: TrainedInBoth, leastNorm: number, tolerance: number): void {
  expect(page).toHaveLength(1);
  expect(Math.abs(page[0]! - node[0]!)).toBeLessThan(1e-6);
  expect(moved).toBeGreaterThan(leastNorm);
  expect(apart).toBeLessThan(tolerance);
}

test("the first step's loss and gradient on a page are those of Node", async (context) => {
  if (whyNoBrowser !== undefined) return context.skip(whyNoBrowser);
  expectSameStep(await trainInBoth(browser, page, withElu(noiseCase(72, 8)), oneStep), 1, 1e-5);
});

test("so are those of block 14, after the weights that Keras learned, on photos at 150×150", async (context) => {
  if (whyNoBrowser !== undefined) return context.skip(whyNoBrowser);
  if (whyNoPhotos !== undefined) return context.skip(whyNoPhotos);
  expectSameStep(await trainInBoth(browser, page, await photoCase(), blockStep), 0.1, 1e-4);
});

test.each([
  [72, 8],
  [150, 4],
])("twenty steps of fine-tuning block 14 stay together at %i pixels, with %i images", async (size, images) => {
  if (whyNoBrowser !== undefined) return;
  const on = noiseCase(size, images);
  expectSameStep(await trainInBoth(browser, page, on, blockStep), 0.1, 1e-4);
  const { node, page: own } = await trainInBoth(browser, page, on, fineTuning);
  expect(own).toHaveLength(20);
  expect(own[19]).toBeLessThan(0.5 * own[0]!);
  for (const [step, loss] of own.entries()) expect(Math.abs(loss - node[step]!)).toBeLessThan(1e-3);
});

test("the documents show the chart of the stored measurement", async () => {
  expect(readFileSync(chartFile, "utf8")).toBe(await trainingChart(readMeasurement()));
});
