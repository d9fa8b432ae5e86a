/**
 * Does training in a browser follow training in Node? The same steps from the same weights in Node and in headless Chromium
 * (Debian's package). Writes the result and its chart, docs/images/browser-training.svg.
 *
 *     npx tsx tests/browser/measure-training.ts
 */
import { writeFileSync } from "node:fs";
import { writeResult } from "../../bench/measurement.ts";
import { startBrowserTest } from "./browser.ts";
import { type CaseRequest, fineTuning, oneStep, trainInBoth } from "./train-in-both.ts";
import { noiseCase, photoCase } from "./training-cases.ts";
import { chartFile, readMeasurement, trainingChart } from "./training-chart.ts";

const noise = noiseCase(72, 8);
const cases = [
  { case: "all layers, quarter width, 72×72", on: noise, unfreezeFrom: undefined },
  { case: "block 14, quarter width, 72×72", on: noise, unfreezeFrom: "block14" },
  { case: "block 14, full width, 150×150", on: await photoCase(), unfreezeFrom: "block14" },
] as const;

const browser = await startBrowserTest();
const page = await browser.open();
// tsx marks functions with a helper that the page lacks.
await page.evaluate("globalThis.__name = (each) => each");
const [rows, losses] = [[], []] as [Record<string, string | number>[], object[]];
for (const { case: name, on, unfreezeFrom } of cases) {
  const run = (request: CaseRequest) => trainInBoth(browser, page, on, { ...request, unfreezeFrom });
  const { apart } = await run(oneStep);
  const { node, page: own } = await run(fineTuning);
  const differences = node.map((loss, step) => Math.abs(loss - own[step]!));
  rows.push({
    training: name,
    "first loss": Number(differences[0]!.toPrecision(2)),
    "first gradient ÷ its norm": Number(apart.toPrecision(2)),
    "losses of 20 steps": Number(Math.max(...differences).toPrecision(2)),
  });
  losses.push({ case: name, node, page: own });
  console.error(rows.at(-1));
}
const chromium = page.context().browser()!.version();
await browser.close();
const question = "Does training in a browser follow training in Node? Largest differences";
writeResult("browser-training", { question, chromium, rows, losses });
writeFileSync(chartFile, await trainingChart(readMeasurement()));
