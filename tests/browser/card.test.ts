import { afterAll, beforeAll, expect, it } from "vitest";
import type { ImagePreprocessing } from "../../src/model/model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { loadClassifier, nodePlatform } from "../../src/node.ts";
import { cardMarkdown } from "../../src/tasks/card/card.ts";
import { openSubject } from "../../src/tasks/card/subject.ts";
import { smallModel } from "../model/small-model.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

let browser: BrowserTest;
beforeAll(async () => {
  if (whyNoBrowser === undefined) browser = await startBrowserTest();
});
afterAll(() => browser?.close());

const small = smallModel();

/** Pixels without fine detail, which would make every way of resizing another one. */
function smooth(width: number, height: number): Uint8Array {
  return Uint8Array.from({ length: 3 * width * height }, (_, index) => {
    const [x, y, channel] = [Math.floor(index / 3) % width, Math.floor(index / 3 / width), index % 3];
    return 127 + 120 * Math.sin((6 * x) / width + (2 * y) / height + channel);
  });
}

it.for<[string, Partial<ImagePreprocessing>, [number, number], number]>([
  ["a model file that resizes", { interpolation: "bicubic", fit: "cover" }, [133, 97], 1e-5],
  ["one of a fixed size, a photo of this size", {}, [80, 71], 1e-5],
  // Resizing differs between browsers and sharp; a stretched photo would change more than 0.05.
  ["one of a fixed size, cropped", { fit: "cover" }, [240, 80], 0.02],
  ["one of a fixed size, padded", { fit: "contain" }, [240, 80], 0.02],
])("the browser program of a card predicts the same: %s", async ([, about, [width, height], tolerance], context) => {
  if (whyNoBrowser !== undefined) return context.skip(whyNoBrowser);
  const model = encodeModel({ ...small, preprocessing: { ...small.preprocessing, ...about } });
  const pixels = { width, height, data: smooth(width, height) };
  const photo = await nodePlatform.images.encodePng(pixels);
  browser.serve("/model", model);
  browser.serve("/photo.jpg", photo);
  const [, code] = /```js\n(import \* as ort.*?)```/s.exec(await cardMarkdown(await openSubject(model, nodePlatform)))!;

  const page = await browser.open();
  const printed = page.waitForEvent("console", (message) => message.type() === "log");
  // A bundler finds the package.
  const content = code!.replace('"onnxruntime-web/wasm"', '"/library/ort.wasm.min.mjs"');
  await page.addScriptTag({ type: "module", content });
  const found = (await (await printed).args()[0]!.jsonValue()) as [string, number][];
  await using classifier = await loadClassifier(model);
  const expected = await classifier.classify(photo);
  expect(found.map(([label]) => label)).toEqual(small.labels);
  for (const { label, probability } of expected) {
    const [, inBrowser] = found.find(([name]) => name === label)!;
    expect(Math.abs(inBrowser - probability)).toBeLessThan(tolerance);
  }
});
