import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AbortedError, FormatError, UsageError } from "../../src/base/errors.ts";
import type { ImageCodec, ImageSource, RgbImage } from "../../src/base/platform.ts";
import { lower } from "../../src/compiler/lower.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { topIndices } from "../../src/learning/ranking.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type Classified, type Classifier, loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { smallModel } from "../model/small-model.ts";
import { interpret } from "../oracles/interpreter.ts";
import { noise } from "./images.ts";

const model = smallModel();
const platform = nodePlatform;
let folder: string;
let classifier: Classifier;

/** An image of the network's size, and others of its content. */
const pixels: RgbImage = { width: 80, height: 71, data: noise(1, [71, 80, 3]).data };
let png: Uint8Array;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-classifier-"));
  await writeFile(join(folder, "model.onnx"), encodeModel(model));
  png = await platform.images.encodePng(pixels);
  await writeFile(join(folder, "noise.png"), png);
  classifier = await loadClassifier(join(folder, "model.onnx"), { platform });
});
afterAll(async () => {
  await classifier.dispose();
  await rm(folder, { recursive: true });
});

/** What the float64 interpreter of the op graph makes of the image. */
function computedDirectly(): Float64Array {
  const { graph } = lower(model.network, { mode: "inference", batchSize: 1, preprocessing: model.preprocessing });
  const weights = [...toEngineWeights(model.network, model.weights)];
  const feeds = new Map(weights.map(([name, { data }]) => [name, Float64Array.from(data)]));
  feeds.set("images", Float64Array.from(pixels.data));
  return interpret(graph, feeds).get("predictions")!;
}

async function all(results: AsyncIterable<Classified>): Promise<Classified[]> {
  const list: Classified[] = [];
  for await (const result of results) list.push(result);
  return list;
}

async function errorOf(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => expect.fail("no error"),
    (error: Error) => error,
  );
}

describe("a classifier", () => {
  it("knows its labels and the size of its images", () => {
    expect(classifier.labels).toEqual(["cat", "dog", "owl"]);
    expect(classifier.inputSize).toEqual({ width: 80, height: 71 });
  });

  it("gives the probabilities of a direct computation, highest first", async () => {
    const expected = computedDirectly();
    const predictions = await classifier.classify(pixels);
    expect(predictions.map(({ index }) => index)).toEqual(topIndices(expected, 3));
    for (const { index, label, probability } of predictions) {
      expect(label).toBe(model.labels[index]);
      expect(probability).toBeCloseTo(expected[index]!, 5);
    }
  });

  it("takes a path, a Buffer, bytes and pixels alike", async () => {
    const expected = await classifier.classify(pixels);
    for (const image of [join(folder, "noise.png"), Buffer.from(png), png]) {
      expect(await classifier.classify(image)).toEqual(expected);
    }
  });

  it("brings pixels of another size to its own as it does with files", async () => {
    const large: RgbImage = { width: 131, height: 97, data: noise(1, [97, 131, 3], 5).data };
    const expected = await classifier.classify(await platform.images.encodePng(large));
    expect(await classifier.classify(large)).toEqual(expected);
  });

  it("names no more classes than asked for", async () => {
    const [best] = await classifier.classify(pixels);
    expect(await classifier.classify(pixels, { top: 1 })).toEqual([best]);
    expect(await classifier.classify(pixels, { top: 9 })).toHaveLength(3);
  });

  it("prepares images as the model says", async () => {
    const clear = await sharp({ create: { width: 40, height: 71, channels: 4, background: "#00f0" } })
      .png()
      .toBuffer();
    const answers = [];
    for (const preprocessing of [
      { fit: "fill", background: [255, 255, 255] },
      { fit: "fill", background: [0, 200, 0] },
      { fit: "fill", background: [0, 200, 0], scale: 1 / 255, offset: 0 },
    ] as const) {
      const other = { ...model, preprocessing: { ...model.preprocessing, ...preprocessing } };
      const loaded = await loadClassifier(encodeModel(other), { platform });
      const [direct, cleared] = [await loaded.classify(pixels), await loaded.classify(clear)];
      const plain = { ...pixels, data: pixels.data.map((_, index) => preprocessing.background[index % 3]!) };
      expect(cleared).toEqual(await loaded.classify(plain));
      answers.push([direct, cleared]);
      await loaded.dispose();
    }
    const [white, green, scaled] = answers as [unknown[], unknown[], unknown[]];
    expect(white[0]).toEqual(green[0]);
    expect(white[1]).not.toEqual(green[1]);
    expect(scaled[0]).not.toEqual(green[0]);
  });

  it("passes the fit on to the decoder", async () => {
    const wide = await platform.images.encodePng({ width: 200, height: 60, data: noise(1, [60, 200, 3]).data });
    const answers = [];
    for (const fit of ["fill", "cover", "contain"] as const) {
      const other = { ...model, preprocessing: { ...model.preprocessing, fit } };
      const loaded = await loadClassifier(encodeModel(other), { platform });
      answers.push(JSON.stringify(await loaded.classify(wide)));
      await loaded.dispose();
    }
    expect(new Set(answers).size).toBe(3);
  });
});

describe("many images", () => {
  it("give in their order what each gives alone, in batches of any size", async () => {
    const images = await Promise.all(
      [1, 2, 3, 4, 5].map((seed) => platform.images.encodePng({ ...pixels, data: noise(1, [71, 80, 3], seed).data })),
    );
    const alone = await Promise.all(images.map((image) => classifier.classify(image)));
    expect(new Set(alone.map(([best]) => best!.probability)).size).toBe(5);
    for (const batchSize of [1, 2, 5, 8]) {
      const together = await all(classifier.classifyAll(images, { batchSize }));
      for (const [index, result] of together.entries()) {
        const { predictions } = result as Extract<Classified, { predictions: unknown }>;
        expect(predictions.map(({ label }) => label)).toEqual(alone[index]!.map(({ label }) => label));
        expect(predictions[0]!.probability).toBeCloseTo(alone[index]![0]!.probability, 5);
      }
      expect(together).toHaveLength(5);
    }
  });

  it("go on beside those that cannot be read", async () => {
    const broken: ImageSource[] = [
      join(folder, "missing.png"),
      png,
      png.subarray(0, 100),
      { width: 3, height: 3, data: new Uint8Array(26) },
    ];
    const expected = await classifier.classify(png);
    const results = await all(classifier.classifyAll(broken, { batchSize: 2 }));
    expect(results[1]).toEqual({ predictions: expected });
    const messages = results.map((result) => ("error" in result ? result.error.message : ""));
    expect(messages[0]).toContain('missing.png": there is no such file.');
    expect(messages[2]).toContain("the image is damaged or cut short");
    expect(messages[3]).toMatchInlineSnapshot(
      `"image of raw pixels: the data does not fill it; received "26 bytes for 3×3 pixels"; expected 27 bytes: red, green and blue of each pixel."`,
    );
    expect(await all(classifier.classifyAll(["missing.png"]))).toHaveLength(1);
    expect(await all(classifier.classifyAll([]))).toEqual([]);
  });

  it("go on beside those that no size limit in the engine allows", async () => {
    const tooLong: RgbImage = { width: 30_000_000, height: 1, data: new Uint8Array(90_000_000) };
    const model = smallModel();
    const covering = {
      ...model,
      preprocessing: { ...model.preprocessing, interpolation: "bicubic", fit: "cover" },
    } as const;
    for (const [each, message] of [
      [
        { ...model, preprocessing: { ...covering.preprocessing, fit: "fill" } } as const,
        /^image: it cannot be resized \(.*narrowing_error\); received "30000000×1 pixels"/,
      ],
      [covering, /^image: it cannot be resized \(one side is more than 200 times as long as the other\)/],
    ] as const) {
      const loaded = await loadClassifier(encodeModel(each), { platform });
      const expected = await loaded.classify(png);
      const results = await all(loaded.classifyAll([png, tooLong, null as never, png]));
      const messages = results.map((result) => ("error" in result ? result.error.message : result.predictions));
      expect(messages).toEqual([
        expected,
        expect.stringMatching(message),
        expect.stringMatching(/^image: this is not an image source/),
        expected,
      ]);
      await loaded.dispose();
    }
  });

  it("stop at what is no fault of an image", async () => {
    const decode: ImageCodec["decode"] = async () => {
      throw new TypeError("the decoder is missing");
    };
    const loaded = await loadClassifier(encodeModel(model), {
      platform: { ...platform, images: { ...platform.images, decode } },
    });
    expect(await errorOf(all(loaded.classifyAll([png])))).toEqual(new TypeError("the decoder is missing"));
    await loaded.dispose();
  });
});

describe("refusals", () => {
  it("of counts", async () => {
    const error = await errorOf(classifier.classify(png, { top: 0 }));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toMatchInlineSnapshot(
      `"classify option top: this value is not allowed; received 0; expected a whole number from 1."`,
    );
    expect((await errorOf(all(classifier.classifyAll([png], { batchSize: 1.5 })))).message).toMatchInlineSnapshot(
      `"option batchSize: this value is not allowed; received 1.5; expected a whole number from 1."`,
    );
  });

  it("of files that are no images", async () => {
    expect(await errorOf(classifier.classify(Uint8Array.of(1, 2, 3)))).toBeInstanceOf(FormatError);
  });

  it("of models that are missing or damaged", async () => {
    const load = async (source: string | Uint8Array) => (await errorOf(loadClassifier(source, { platform }))).message;
    expect((await load(join(folder, "none.onnx"))).replace(folder, "…")).toMatchInlineSnapshot(
      `"file "…/none.onnx": there is no such file."`,
    );
    expect((await load(folder)).replace(folder, "…")).toMatchInlineSnapshot(`"file "…": this is a folder."`);
    expect(await load(join(folder, "noise.png", "model.onnx"))).toContain(
      "it cannot be read (ENOTDIR: not a directory",
    );
    expect((await load(join(folder, "noise.png"))).replace(folder, "…")).toContain(
      'file "…/noise.png": unknown file format',
    );
    expect(await load(Uint8Array.of(8, 9, 10))).toMatchInlineSnapshot(
      `"file of 3 bytes, byte 3: its 3 bytes are not an ONNX file, or it is damaged or truncated (index out of range). Copy or download it again."`,
    );
  });

  it("of answers that are not numbers", async () => {
    const weights = new Map(model.weights);
    const bias = weights.get("predictions/bias")!;
    weights.set("predictions/bias", { ...bias, data: bias.data.map(() => Number.NaN) });
    const loaded = await loadClassifier(encodeModel({ ...model, weights }), { platform });
    expect((await errorOf(loaded.classify(pixels))).message).toMatchInlineSnapshot(
      `"image: the network's outputs for it are NaN or infinite. If this concerns every image, the weights have probably diverged: train again with a lower learning rate."`,
    );
    await loaded.dispose();
  });

  it("of work the caller has stopped", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    const error = await errorOf(classifier.classify(png, { signal }));
    expect(error).toBeInstanceOf(AbortedError);
    expect(error.message).toMatchInlineSnapshot(`"prediction: it was stopped by the caller."`);
    expect(error.cause).toEqual(new Error("enough"));

    const controller = new AbortController();
    const results = classifier.classifyAll([png, png, png], { batchSize: 1, signal: controller.signal });
    await results.next();
    controller.abort();
    expect(await errorOf(results.next())).toBeInstanceOf(AbortedError);
  });

  it("of work after dispose, which may be called again", async () => {
    const loaded = await loadClassifier(encodeModel(model), { platform });
    await loaded.dispose();
    await loaded.dispose();
    await loaded[Symbol.asyncDispose]();
    const error = await errorOf(loaded.classify(pixels));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toMatchInlineSnapshot(
      `"network in the engine: it was disposed. Load the model again, or dispose of it later."`,
    );
    expect((await errorOf(all(loaded.classifyAll([png])))).message).toBe(error.message);
  });
});
