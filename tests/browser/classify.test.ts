import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

let browser: BrowserTest;
beforeAll(async () => {
  if (whyNoBrowser === undefined) browser = await startBrowserTest();
});
afterAll(() => browser?.close());

test("", async () => {
  const page = await browser.open();
  page.on("console", (m) => console.log(m.text()));
  page.on("pageerror", (m) => console.log(m));
  browser.serve("/model.onnx", await (await import("node:fs/promises")).readFile("/tmp/clothing-run/model.onnx"));
  browser.serve(
    "/a.jpg",
    await (await import("node:fs/promises")).readFile(
      "/tmp/val50/" + (await (await import("node:fs/promises")).readdir("/tmp/val50"))[0],
    ),
  );
  const r = await page.evaluate(async () => {
    const lib = await import("/library/web.js" as string);
    const c = await lib.loadClassifier("model.onnx", { onDownload: (p: unknown) => {} });
    const start = performance.now();
    const a = await c.classify("a.jpg");
    return [a, performance.now() - start, c.labels, c.inputSize, await lib.models.list(), crossOriginIsolated];
  });
  console.log(JSON.stringify(r));
});
