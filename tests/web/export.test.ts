import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { capture } from "../cli/capture.ts";
import { browserMissing, launchBrowser, openWatched } from "./browser.ts";
import { type Site, serveSite } from "./site.ts";
import { answers, held, saved, teach } from "./teach.ts";

let browser: Browser;
let site: Site;
let folder: string;

beforeAll(async () => {
  if (browserMissing) return;
  folder = await mkdtemp(join(tmpdir(), "xception-export-"));
  build(root);
  [browser, site] = await Promise.all([launchBrowser(), serveSite({ isolated: true })]);
}, 300_000);
afterAll(async () => {
  await browser?.close();
  await site?.close();
  if (folder) await rm(folder, { recursive: true });
});

test.skipIf(browserMissing)(
  "a model is exported in each type by keyboard; the command line and the page give the same answers with it",
  async () => {
    const { page, problems, layoutShifts } = await openWatched(browser, `${site.address}#teach`);
    await teach(page);
    const group = page.getByRole("group", { name: "Weights of the model file" });
    const sizes = group.locator(".size");
    await expect.poll(() => sizes.allTextContents()).toEqual(["2.9 MB", "1.6 MB", "5.6 MB"]);
    await group.getByLabel("float16").focus();
    const paths: string[] = [];
    for (let index = 0; index < 3; index++) {
      if (index > 0) await page.keyboard.press("ArrowDown");
      const path = await saved(page, "Model (.onnx)", folder);
      expect(`${((await stat(path)).size / 1e6).toFixed(1)} MB`).toBe(await sizes.nth(index).textContent());
      await group.locator("input:checked").focus();
      paths.push(path);
    }
    expect(paths.map((path) => basename(path))).toEqual(["model_fp16.onnx", "model_int8_weights.onnx", "model.onnx"]);

    await page.getByRole("link", { name: "Try", exact: true }).click();
    for (const path of paths) {
      const { exitCode, stdout } = await capture(["classify", path, ...held, "--json"]);
      const results = JSON.parse(stdout) as { predictions: { label: string; probability: number }[] }[];
      expect(exitCode).toBe(0);
      expect(results.map(({ predictions }) => predictions[0]!.label)).toEqual(["fruit", "faces"]);
      await page.locator("#model-file").setInputFiles(path);
      await page.getByRole("heading", { name: basename(path), exact: true }).waitFor();
      for (const [index, image] of held.entries()) {
        await page.locator("#image-file").setInputFiles(image);
        await page.locator(`image-stage img[alt="${basename(image)}"]`).waitFor();
        const expected = results[index]!.predictions.map(({ label, probability }) =>
          [label, Math.round(100 * probability)].join(" "),
        );
        await expect.poll(() => answers(page), { timeout: 60_000 }).toEqual(expected);
      }
    }
    expect(problems).toEqual([]);
    expect(await layoutShifts()).toEqual([]);
    await page.context().close();
  },
);
