import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ImagePreprocessing } from "../../src/model/model.ts";
import { encodeModel } from "../../src/model/model-file.ts";
import { loadClassifier } from "../../src/node.ts";
import { smallModel } from "../model/small-model.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

let browser: BrowserTest;
beforeAll(async () => {
  if (whyNoBrowser !== undefined) return;
  browser = await startBrowserTest();
  browser.serve("/model.onnx", model("bicubic"));
  browser.serve("/image.png", await png());
});
afterAll(() => browser?.close());

function model(interpolation: ImagePreprocessing["interpolation"], fit: "fill" | "cover" | "contain" = "fill") {
  const small = smallModel();
  return encodeModel({ ...small, preprocessing: { ...small.preprocessing, interpolation, fit } });
}

/** A lossless image, so that no decoder matters. */
async function png(width = 131, height = 97): Promise<Uint8Array> {
  const pixels = Uint8Array.from(
    { length: 3 * width * height },
    (_, index) => 127 + 120 * Math.sin(index * index * 1e-5),
  );
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Logarithms of probabilities: logits but for a sum. */
function logits(predictions: readonly { readonly index: number; readonly probability: number }[]): readonly number[] {
  return [...predictions].sort((a, b) => a.index - b.index).map(({ probability }) => Math.log(probability));
}

function expectSame(found: readonly number[], wanted: readonly number[]): void {
  expect(found).toHaveLength(wanted.length);
  for (const [index, value] of found.entries()) expect(Math.abs(value - wanted[index]!)).toBeLessThan(1e-4);
}

test("classifies every kind of image of a page as Node does", async (context) => {
  if (whyNoBrowser !== undefined) context.skip(whyNoBrowser);
  await using inNode = await loadClassifier(model("bicubic"));
  const wanted = logits(await inNode.classify(await png()));
  const page = await browser.open();
  const found = await page.evaluate(async () => {
    const classifier = await xception.loadClassifier("model.onnx");
    const blob = await (await fetch("image.png")).blob();
    const bitmap = await createImageBitmap(blob);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    const drawing = canvas.getContext("2d")!;
    drawing.drawImage(bitmap, 0, 0);
    const element = new Image();
    element.src = "image.png";
    await element.decode();
    const images = {
      path: "image.png",
      url: new URL("image.png", document.baseURI),
      file: new File([blob], "image.png"),
      buffer: await blob.arrayBuffer(),
      bytes: new Uint8Array(await blob.arrayBuffer()),
      bitmap,
      element,
      canvas,
      pixels: drawing.getImageData(0, 0, canvas.width, canvas.height),
      dataUrl: canvas.toDataURL(),
    };
    const results: Record<string, readonly { index: number; probability: number }[]> = {};
    for (const [kind, image] of Object.entries(images)) results[kind] = await classifier.classify(image);
    const all: unknown[] = [];
    for await (const each of classifier.classifyAll([bitmap, element, "image.png"])) all.push(each);
    results.all = (all as { predictions: (typeof results)[string] }[])[1]!.predictions;
    await classifier.dispose();
    return {
      results,
      labels: classifier.labels,
      inputSize: classifier.inputSize,
      images: all.length,
      width: bitmap.width,
    };
  });
  expect(found).toMatchObject({ labels: ["cat", "dog", "owl"], inputSize: { width: 80, height: 71 }, images: 3 });
  // A bitmap of the caller stays usable.
  expect(found.width).toBe(131);
  for (const result of Object.values(found.results)) expectSame(logits(result), wanted);
});

test.each([
  ["bilinear", "cover"],
  ["nearest", "contain"],
  [undefined, "fill"],
] as const)("prepares an image as Node does: %s, %s", async (interpolation, fit) => {
  if (whyNoBrowser !== undefined) return;
  const bytes = model(interpolation, fit);
  await using inNode = await loadClassifier(bytes);
  const wanted = logits(await inNode.classify(await png()));
  browser.serve("/other.onnx", bytes);
  const page = await browser.open();
  const found = await page.evaluate(async () => (await xception.loadClassifier("other.onnx")).classify("image.png"));
  if (interpolation !== undefined) expectSame(logits(found), wanted);
  else for (const [index, value] of logits(found).entries()) expect(Math.abs(value - wanted[index]!)).toBeLessThan(0.1);
});
