import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { build as viteBuild } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { encodeModel } from "../../src/model/model-writer.ts";
import { smallModel } from "../model/small-model.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

const library = join(root, "dist/src");
let browser: BrowserTest;
beforeAll(async () => {
  if (whyNoBrowser !== undefined) return;
  build(root);
  browser = await startBrowserTest();
  const model = smallModel();
  browser.serve(
    "/model.onnx",
    encodeModel({ ...model, preprocessing: { ...model.preprocessing, interpolation: "bicubic" } }),
  );
  browser.serve("/small.h5", readFileSync(join(root, "tests/golden/formats/small.h5")));
});
afterAll(() => browser?.close());

/** Opens a page that makes the library global, and classifies a drawing with it. */
async function classifyOn(
  address: string,
): Promise<{ readonly page: Page; readonly engine: string; readonly threads: number }> {
  const page = await browser.open();
  await page.goto(browser.url + address);
  await page.waitForFunction(() => "xception" in globalThis);
  const found = await page.evaluate(async () => {
    const classifier = await xception.loadClassifier("/model.onnx");
    const [best] = await classifier.classify(new OffscreenCanvas(90, 80).getContext("2d")!.getImageData(0, 0, 90, 80));
    return { label: best!.label, engine: classifier.engine!.name, threads: classifier.engine!.threads };
  });
  expect(found.label).toMatch(/cat|dog|owl/);
  return { page, ...found };
}

/** The network of a file, whose reader is loaded on demand. */
function networkOfKerasFile(page: Page): Promise<string> {
  return page.evaluate(async () => (await xception.openModel("/small.h5")).network.name);
}

test("Vite finds the worker, its threads, and what is loaded on demand", async (context) => {
  if (whyNoBrowser !== undefined) context.skip(whyNoBrowser);
  const folder = await mkdtemp(join(tmpdir(), "xception-vite-"));
  try {
    await writeFile(join(folder, "main.js"), 'import * as x from "xception-ts/web"; globalThis.xception = x;');
    await writeFile(join(folder, "index.html"), '<!doctype html><script type="module" src="/main.js"></script>');
    const built = await viteBuild({
      root: folder,
      base: "/vite/",
      logLevel: "error",
      resolve: { alias: { "xception-ts/web": join(library, "web.js") } },
      worker: { format: "es" },
      build: { write: false },
    });
    for (const file of (built as { output: { fileName: string; code?: string; source?: string | Uint8Array }[] })
      .output) {
      browser.serve(`/vite/${file.fileName}`, file.code ?? file.source!);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const { page, engine, threads } = await classifyOn("vite/index.html");
  expect(engine).toMatch(/^xception-ts, /);
  expect(threads).toBe(await page.evaluate(() => Math.min(navigator.hardwareConcurrency, 8)));
  expect(await networkOfKerasFile(page)).toBe("small_xception");
});

test("the compiled folder runs as it is, without a bundler", async (context) => {
  if (whyNoBrowser !== undefined) context.skip(whyNoBrowser);
  for (const file of readdirSync(library, { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".js")) browser.serve(`/folder/${file}`, readFileSync(join(library, file)));
  }
  browser.serve("/plain.js", 'import * as x from "/folder/web.js"; globalThis.xception = x;');
  browser.serve("/plain.html", '<!doctype html><script type="module" src="/plain.js"></script>');
  const { page, engine } = await classifyOn("plain.html");
  expect(engine).toMatch(/^xception-ts, /);
  // Other packages need a bundler: workers have no import maps.
  await expect(networkOfKerasFile(page)).rejects.toThrow("Failed to resolve module specifier");
});
