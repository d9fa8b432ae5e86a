import { readFileSync } from "node:fs";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeModel } from "../../src/model/model-writer.ts";
import { smallModel } from "../model/small-model.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

let browser: BrowserTest;
const small = smallModel();
const model = encodeModel({ ...small, preprocessing: { ...small.preprocessing, interpolation: "bicubic" } });
const plain = (background: string): Promise<Uint8Array> =>
  sharp({ create: { width: 90, height: 80, channels: 3, background } })
    .png()
    .toBuffer();

beforeAll(async () => {
  if (whyNoBrowser !== undefined) return;
  browser = await startBrowserTest();
  browser.serve("/model.onnx", model);
  browser.serve("/image.png", await plain("green"));
});
afterAll(() => browser?.close());

test("a signal stops the classification of many images in the middle", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  const found = await page.evaluate(async () => {
    const classifier = await xception.loadClassifier("model.onnx");
    const blob = await (await fetch("image.png")).blob();
    const controller = new AbortController();
    let seen = 0;
    let code: unknown;
    try {
      for await (const _ of classifier.classifyAll(Array(400).fill(blob), { signal: controller.signal })) {
        seen += 1;
        if (seen === 3) controller.abort();
      }
    } catch (error) {
      code = (error as { code: unknown }).code;
    }
    // Others go on.
    let all = 0;
    for await (const _ of classifier.classifyAll([blob, blob], { signal: new AbortController().signal })) all += 1;
    return { code, isStopped: seen < 400, all };
  });
  expect(found).toEqual({ code: "ABORTED", isStopped: true, all: 2 });
});

test("what cannot be sent to the worker is an error in words, and shared memory is read", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  const found = await page.evaluate(async () => {
    const classifier = await xception.loadClassifier("model.onnx");
    const blob = await (await fetch("image.png")).blob();
    const bitmap = await createImageBitmap(blob);
    bitmap.close();
    const detached = await blob.arrayBuffer();
    structuredClone(detached, { transfer: [detached] });
    const shared = new Uint8Array(new SharedArrayBuffer(blob.size));
    shared.set(new Uint8Array(await blob.arrayBuffer()));
    const messageOf = async (image: unknown) =>
      classifier.classify(image as Blob).then(
        ([best]) => best!.probability,
        ({ code, message }) => `${code} ${message}`,
      );
    return {
      bitmap: await messageOf(bitmap),
      detached: await messageOf(detached),
      element: await messageOf(document.createElement("div")),
      isShared: (await messageOf(shared)) === (await messageOf(blob)),
    };
  });
  const gone = "USAGE classify: an argument was closed, or its memory given away.";
  expect(found).toEqual({
    bitmap: gone,
    detached: gone,
    element: expect.stringMatching(/^USAGE argument\.0: a value of this kind cannot be sent to the worker\. /),
    isShared: true,
  });
});

test("an image is read again each time, and only models are listed", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  const classify = () =>
    page.evaluate(async () => {
      const classifier = await xception.loadClassifier("model.onnx");
      const [best] = await classifier.classify("changing.png");
      return { probability: best!.probability, urls: (await xception.models.list()).map(({ url }) => url) };
    });
  browser.serve("/changing.png", await plain("black"));
  const black = await classify();
  browser.serve("/changing.png", await plain("yellow"));
  const yellow = await classify();
  expect(yellow.probability).not.toBe(black.probability);
  expect(yellow.urls).toEqual([`${browser.url}model.onnx`]);
});

test("a damaged model is not kept: once the server has the whole one, it is loaded", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  const load = () =>
    page.evaluate(() =>
      xception.loadClassifier(new URL("late.onnx", document.baseURI)).then(
        ({ labels }) => labels,
        ({ code }) => code,
      ),
    );
  browser.serve("/late.onnx", model.slice(0, 5000));
  expect(await load()).toBe("FORMAT");
  browser.serve("/late.onnx", model);
  expect(await load()).toEqual(["cat", "dog", "owl"]);
});

test("no part of a damaged model is kept, whatever it was needed for", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  const part = (name: string) => readFileSync(`tests/golden/formats/small-tfjs/${name}`);
  for (const name of ["model.json", "weights-1.bin"]) browser.serve(`/late/${name}`, part(name));
  const open = () =>
    page.evaluate(() =>
      xception.openModel("late/model.json").then(
        ({ network }) => network.name,
        ({ code }) => code,
      ),
    );
  browser.serve("/late/weights-2.bin", part("weights-2.bin").subarray(0, 100));
  expect(await open()).toBe("FORMAT");
  browser.serve("/late/weights-2.bin", part("weights-2.bin"));
  expect(await open()).toBe("model1");
  const embed = () =>
    page.evaluate(() =>
      xception.embed("embedded.onnx", [{ file: "a", image: "image.png" }]).then(
        ({ images }) => images.map(({ file }) => file),
        ({ code }) => code,
      ),
    );
  browser.serve("/embedded.onnx", model.slice(0, 5000));
  expect(await embed()).toBe("FORMAT");
  browser.serve("/embedded.onnx", model);
  expect(await embed()).toEqual(["a"]);
});

test("says that ONNX Runtime's files are missing, and leaves no error to nobody", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  const unhandled: string[] = [];
  page.on("pageerror", ({ message }) => unhandled.push(message));
  await page.route("**/ort-wasm-*", (route) => route.abort());
  const message = await page.evaluate(async () => {
    const explainer = await xception.loadExplainer("model.onnx");
    return explainer.explain("image.png").catch(({ code, message }) => `${code} ${message}`);
  });
  expect(message).toBe(
    "RUNTIME_UNAVAILABLE ONNX Runtime in WebAssembly: its files cannot be loaded. Check the connection and the server, then reload the page.",
  );
  expect(unhandled).toEqual([]);
});
