import { expect, test } from "vitest";
import { bundleLibrary } from "./bundle.ts";

test("a page loads little, and a worker what it needs for a first classification", async () => {
  const { files, loadedFor } = await bundleLibrary();
  const page = loadedFor(["src/web.ts"]);
  const worker = loadedFor(["src/web-worker.ts", "src/tasks/evaluate/classifier.ts"]);
  const kilobytes = [page, worker].map(({ gzipBytes }) => gzipBytes / 1000);
  // 89.1 in the worker when this was written, of which the compiler of our own engine's programs is 6.
  expect(kilobytes[0]).toBeLessThan(12);
  expect(kilobytes[1]).toBeLessThan(90);
  // Readers of other formats, training, reports and charts are loaded when they are needed.
  const others =
    /h5wasm|vega|fflate|zod|protobufjs|src\/(train|formats\/(torch|keras|tfjs)|report\/charts|tasks\/verify)\//;
  expect(worker.sources.filter((source) => others.test(source))).toEqual([]);
  // A strict policy forbids code made from text; h5wasm has some, for what it does not do here.
  const core = files.filter(({ name }) => /^(web|web-worker|classifier)/.test(name));
  expect(core.length).toBeGreaterThanOrEqual(3);
  for (const { contents } of core) expect(new TextDecoder().decode(contents)).not.toMatch(/\bnew Function\b|\beval\(/);
});
