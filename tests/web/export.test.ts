import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { expect, test } from "vitest";
import { capture } from "../cli/capture.ts";
import { browserMissing, openWatched } from "./browser.ts";
import { startPage } from "./start.ts";
import { answers, held, saved, teach } from "./teach.ts";

const started = startPage();

test.skipIf(browserMissing)(
  "a model is exported in each type by keyboard; the command line and the page give the same answers with it",
  async () => {
    const { page, problems, layoutShifts } = await openWatched(started.browser, `${started.site.address}#teach`);
    await teach(page);
    const group = page.getByRole("group", { name: "Weights of the model file" });
    const sizes = group.locator(".size");
    await expect.poll(() => sizes.allTextContents()).toEqual(["2.9 MB", "1.6 MB", "5.6 MB"]);
    await group.getByLabel("float16").focus();
    const paths: string[] = [];
    for (let index = 0; index < 3; index++) {
      if (index > 0) await page.keyboard.press("ArrowDown");
      const path = await saved(page, "Model (.onnx)", started.folder);
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
        await expect.poll(() => answers(page)).toEqual(expected);
      }
    }
    expect(problems).toEqual([]);
    expect(await layoutShifts()).toEqual([]);
    await page.context().close();
  },
);
