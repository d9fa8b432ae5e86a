import { expect, test } from "vitest";
import { bundleLibrary, unneeded } from "./bundle.ts";

test("a page and its worker load little for a first classification with a model file", async () => {
  const { files, loadedFor } = await bundleLibrary();
  const page = loadedFor(["src/web.ts"]);
  const core = loadedFor(["src/web.ts", "src/web-worker.ts", "src/tasks/evaluate/classifier.ts"]);
  // Without our engine, which is loaded beside the model.
  expect(page.gzipBytes / 1000).toBeLessThan(12);
  expect(core.gzipBytes / 1000).toBeLessThan(60);
  expect(core.sources.filter((source) => unneeded.test(source))).toEqual([]);
  // A strict policy forbids code made from text; h5wasm has some, for what it does not do here.
  const own = files.filter(({ name }) => /^(web|web-worker|classifier)/.test(name));
  expect(own.length).toBeGreaterThanOrEqual(3);
  for (const { contents } of own) expect(new TextDecoder().decode(contents)).not.toMatch(/\bnew Function\b|\beval\(/);
});
