import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ImagePreprocessing } from "../../src/model/model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { convert, embed, loadClassifier, loadExplainer } from "../../src/node.ts";
import { smallModel } from "../model/small-model.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";
import { unneeded } from "./bundle.ts";

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

const noise = Uint8Array.from({ length: 3 * 131 * 97 }, (_, index) => 127 + 120 * Math.sin(index * index * 1e-5));

/** An image of noise. */
function image(width = 131, height = 97) {
  return sharp(Buffer.alloc(3 * width * height, noise), { raw: { width, height, channels: 3 } });
}

/** A lossless image, so that no decoder matters. */
const png = (): Promise<Uint8Array> => image().png().toBuffer();

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
      areThreads: classifier.engine!.threads === Math.min(navigator.hardwareConcurrency, 8),
      width: bitmap.width,
    };
  });
  expect(found).toMatchObject({
    labels: ["cat", "dog", "owl"],
    inputSize: { width: 80, height: 71 },
    images: 3,
    areThreads: true,
  });
  // A bitmap of the caller stays usable.
  expect(found.width).toBe(131);
  for (const result of Object.values(found.results)) expectSame(logits(result), wanted);
  const requested = browser.requests.map((path) => path.slice(path.lastIndexOf("/") + 1));
  const sources = browser.bundle.sourcesIn(requested);
  expect(sources).toContain("src/runtime/wasm/session.ts");
  expect(sources.filter((source) => unneeded.test(source))).toEqual([]);
  expect(requested.filter((name) => name.endsWith(".wasm"))).toEqual([]);
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

test("errors keep their class, code and words on the way from the worker", async () => {
  if (whyNoBrowser !== undefined) return;
  browser.serve("/damaged.onnx", model("bicubic").slice(0, 5000));
  browser.serve("/damaged.png", (await png()).slice(0, 40));
  const page = await browser.open();
  const found = await page.evaluate(async () => {
    const classifier = await xception.loadClassifier("model.onnx");
    const stopped = AbortSignal.abort();
    const element = new Image();
    const attempts = {
      missing: () => xception.loadClassifier("nowhere.onnx"),
      damaged: () => xception.loadClassifier("damaged.onnx"),
      option: () => xception.loadClassifier("model.onnx", { label: ["a"] } as never),
      checksum: () => xception.loadClassifier(`model.onnx#sha256=${"0".repeat(64)}`),
      stopped: () => xception.loadClassifier("other-model.onnx", { signal: stopped }),
      image: () => classifier.classify("damaged.png"),
      empty: () => classifier.classify(new Blob([])),
      element: () => classifier.classify(element),
      code: () => xception.train({ classes: [], samples: [] }, { schedule: () => 1 } as never),
    };
    const errors: Record<string, readonly unknown[]> = {};
    for (const [name, attempt] of Object.entries(attempts)) {
      const error = await (attempt() as Promise<unknown>).catch((reason: unknown) => reason);
      const { code, message, name: kind } = error as InstanceType<typeof xception.UsageError>;
      errors[name] = [error instanceof Error, code, kind, message];
    }
    await classifier.dispose();
    const late = await classifier.classify("image.png").catch((error: Error) => error.message);
    return { errors, late, isOurs: xception.UsageError.prototype instanceof Error };
  });
  const kinds = Object.fromEntries(Object.entries(found.errors).map(([name, [, code, kind]]) => [name, [code, kind]]));
  expect(kinds).toEqual({
    missing: ["FILE", "FileError"],
    damaged: ["FORMAT", "FormatError"],
    option: ["USAGE", "UsageError"],
    checksum: ["FILE", "FileError"],
    stopped: ["ABORTED", "AbortedError"],
    image: ["FORMAT", "FormatError"],
    empty: ["FORMAT", "FormatError"],
    element: ["FORMAT", "FormatError"],
    code: ["USAGE", "UsageError"],
  });
  const messages = Object.fromEntries(Object.entries(found.errors).map(([name, [, , , message]]) => [name, message]));
  expect(messages.missing).toBe(`download of ${browser.url}nowhere.onnx: the server answered 404 Not Found.`);
  expect(messages.option).toContain('loadClassifier option "label": there is no such option; expected one of ');
  expect(messages.checksum).toContain("the file has another SHA-256");
  expect(messages.stopped).toBe(`download of ${browser.url}other-model.onnx: it was stopped by the caller.`);
  expect(messages.image).toContain("it is damaged, or not an image of a format that this browser reads");
  expect(messages.element).toContain("the element shows no image");
  expect(messages.code).toContain("its code runs on the page, but is needed in the worker");
  expect(found.late).toContain("it was disposed");
});

test("a model is downloaded once, listed, used offline, removed; and saved as it was read", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  const before = browser.requests.filter((path) => path === "/model.onnx").length;
  const online = await page.evaluate(async () => {
    const progress: { received: number; total: number | undefined }[] = [];
    const onDownload = ({ received, total }: { received: number; total: number | undefined }) => {
      progress.push({ received, total });
    };
    const model = await xception.loadModel("model.onnx", { onDownload });
    const [stored] = await xception.models.list();
    const saved = await (await xception.saveModel(model)).arrayBuffer();
    const original = await (await fetch("model.onnx")).arrayBuffer();
    const isSame = new Uint8Array(saved).every((byte, at) => byte === new Uint8Array(original)[at]);
    return { last: progress.at(-1), stored, isSame, size: saved.byteLength };
  });
  const bytes = model("bicubic").length;
  expect(online.last).toEqual({ received: bytes, total: bytes });
  expect(online.stored).toMatchObject({ url: `${browser.url}model.onnx`, bytes });
  expect(online.stored!.sha256).toMatch(/^[\da-f]{64}$/);
  expect([online.isSame, online.size]).toEqual([true, bytes]);
  await page.context().setOffline(true);
  const offline = await page.evaluate(async () => {
    const model = await xception.loadModel("model.onnx");
    const isRemoved = await xception.models.remove("model.onnx");
    const error = await xception.loadModel("model.onnx").catch(({ code }) => code);
    return [model.labels, isRemoved, await xception.models.list(), error];
  });
  expect(offline).toEqual([["cat", "dog", "owl"], true, [], "FILE"]);
  // Once by the library, once by the test.
  expect(browser.requests.filter((path) => path === "/model.onnx").length - before).toBe(2);
});

test("a file with int8 weights gives the class that it gives in Node", async () => {
  if (whyNoBrowser !== undefined) return;
  const original = model("bicubic");
  const { bytes } = await convert(original, { to: "onnx", dtype: "int8" });
  expect(bytes.length).toBeLessThan(original.length / 2);
  await using inNode = await loadClassifier(bytes);
  const wanted = await inNode.classify(await png());
  browser.serve("/int8.onnx", bytes);
  const page = await browser.open();
  const found = await page.evaluate(async () => (await xception.loadClassifier("int8.onnx")).classify("image.png"));
  expect(found[0]!.label).toBe(wanted[0]!.label);
  expectSame(logits(found), logits(wanted));
});

test("names the remedy where code cannot be loaded", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  await page.evaluate(async () => (await xception.loadClassifier("model.onnx")).dispose());
  await page.context().setOffline(true);
  const found = await page.evaluate(() =>
    xception.loadClassifier(Uint8Array.of(1, 2, 3)).catch(({ code, message }) => [code, message]),
  );
  expect(found).toEqual([
    "RUNTIME_UNAVAILABLE",
    expect.stringMatching(
      /^worker: a part of xception-ts cannot be loaded \(Failed to fetch dynamically imported module: .*\)\. Check the connection, then reload the page: the site may have been updated since it was opened\.$/,
    ),
  ]);
});

test("verifies MD5, as published weights state it, of a file and of its copy in the cache", async () => {
  if (whyNoBrowser !== undefined) return;
  const digest = createHash("md5").update(model("bicubic")).digest("hex");
  const page = await browser.open();
  const found = await page.evaluate(async (md5) => {
    const wrong = `model.onnx#md5=${"0".repeat(32)}`;
    const messageOf = (error: Error) => error.message;
    const refused = await xception.loadModel(wrong).catch(messageOf);
    const { labels } = await xception.loadModel(`model.onnx#md5=${md5}`);
    const [stored] = await xception.models.list();
    return { refused, labels, stored: stored?.url, later: await xception.loadModel(wrong).catch(messageOf) };
  }, digest);
  const message = `download of ${browser.url}model.onnx: the file has another MD5; received "${digest}"; expected ${"0".repeat(32)}.`;
  expect(found).toEqual({
    refused: message,
    labels: ["cat", "dog", "owl"],
    stored: `${browser.url}model.onnx`,
    later: message,
  });
});

test("opens a model of TensorFlow.js from its files, and names one that is missing", async () => {
  if (whyNoBrowser !== undefined) return;
  const names = ["model.json", "weights-1.bin", "weights-2.bin"];
  for (const name of names) browser.serve(`/tfjs/${name}`, readFileSync(`tests/golden/formats/small-tfjs/${name}`));
  const page = await browser.open();
  const found = await page.evaluate(async (all) => {
    const files = await Promise.all(
      all.map(async (name) => new File([await (await fetch(`tfjs/${name}`)).blob()], name)),
    );
    const { network } = await xception.openModel(files);
    const missing = await xception.openModel(files.slice(0, 2)).catch((error: Error) => error.message);
    return { name: network.name, missing };
  }, names);
  expect(found.name).toBe("model1");
  expect(found.missing).toContain("missing: stem/kernel (there is no weights-2.bin), ");
});

test("explains a prediction and embeds images as Node does", async () => {
  if (whyNoBrowser !== undefined) return;
  const bytes = model("bicubic");
  await using explainer = await loadExplainer(bytes);
  const wanted = await explainer.explain(await png(), { label: "dog" });
  const embedded = await embed(bytes, [{ file: "a", image: await png() }]);
  const page = await browser.open();
  const found = await page.evaluate(async () => {
    const inWorker = await xception.loadExplainer("model.onnx");
    const { label, probability, map, maximum } = await inWorker.explain("image.png", { label: "dog" });
    const embeddings = await xception.embed("model.onnx", [{ file: "a", image: "image.png" }]);
    return {
      label,
      probability,
      map: [...map.data],
      maximum,
      shape: embeddings.values.shape,
      row: [...embeddings.values.data],
    };
  });
  expect([found.label, found.map.length, found.shape]).toEqual([
    "dog",
    wanted.map.data.length,
    [1, embedded.values.shape[1]],
  ]);
  expect(found.probability).toBeCloseTo(wanted.probability, 5);
  expectSame(found.map, [...wanted.map.data]);
  expectSame(found.row, [...embedded.values.data]);
});

test("a photo of 12 megapixels blocks the page for no long task, which is one of more than 50 ms", async () => {
  if (whyNoBrowser !== undefined) return;
  browser.serve("/photo.jpg", await image(4000, 3000).jpeg().toBuffer());
  const page = await browser.open();
  const longTasksOf = () =>
    page.evaluate(async () => {
      const classifier = await xception.loadClassifier("model.onnx");
      const photo = new File([await (await fetch("photo.jpg")).blob()], "photo.jpg");
      await new Promise((resolve) => setTimeout(resolve, 100));
      const tasks: number[] = [];
      const observer = new PerformanceObserver((list) =>
        tasks.push(...list.getEntries().map(({ duration }) => duration)),
      );
      observer.observe({ entryTypes: ["longtask"] });
      await classifier.classify(photo);
      await new Promise((resolve) => setTimeout(resolve, 100));
      observer.disconnect();
      return tasks;
    });
  // Repeated, since other programs of this machine may take the page's thread its time.
  await expect.poll(longTasksOf).toEqual([]);
});

test("works under a strict policy and without isolation, and says how to get threads", async () => {
  if (whyNoBrowser !== undefined) return;
  const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; object-src 'none'";
  const page = await browser.open({ "content-security-policy": policy });
  const warnings: string[] = [];
  page.on("console", (message) => warnings.push(message.text()));
  const engine = await page.evaluate(async () => {
    const classifier = await xception.loadClassifier("model.onnx");
    await classifier.classify("image.png");
    return classifier.engine;
  });
  expect(engine).toMatchObject({ device: "wasm", threads: 1 });
  expect(engine!.name).toMatch(/^xception-ts, (relaxed|plain) SIMD$/);
  expect(engine!.runMs).toBeGreaterThan(0);
  expect(engine!.reasons.join()).toContain("Cross-Origin-Embedder-Policy: require-corp");
  expect(warnings.filter((text) => /Content Security Policy/.test(text))).toEqual([]);
});

test("the page stays responsive, and another worker takes the place of one that has ended", async () => {
  if (whyNoBrowser !== undefined) return;
  const page = await browser.open();
  const found = await page.evaluate(async () => {
    let blockedMs = 0;
    const observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) blockedMs += duration;
    });
    observer.observe({ entryTypes: ["longtask"] });
    const verbs = xception.startWorker();
    const start = performance.now();
    const classifier = await verbs.loadClassifier("model.onnx");
    for (let run = 0; run < 20; run++) await classifier.classify("image.png");
    const totalMs = performance.now() - start;
    await new Promise((resolve) => setTimeout(resolve, 100));
    observer.disconnect();
    const pending = classifier.classify("image.png").catch((error: Error) => error.message);
    await new Promise((resolve) => setTimeout(resolve, 0));
    verbs.terminate();
    const late = await classifier.classify("image.png").catch((error: Error) => error.message);
    const [best] = await (await verbs.loadClassifier("model.onnx")).classify("image.png");
    return { blockedMs, totalMs, pending: await pending, late, label: best?.label };
  });
  // Everything heavy is elsewhere, however slow this machine is.
  expect(found.blockedMs).toBeLessThan(found.totalMs / 4);
  expect(found.pending).toContain("worker: the worker has ended (it was ended by the page). Load the model again.");
  expect(found.late).toContain("it was started again since this was loaded");
  expect(found.label).toMatch(/cat|dog|owl/);
});
