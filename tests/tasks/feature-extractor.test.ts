import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { AbortedError, UsageError } from "../../src/base/errors.ts";
import { imageInput, lower } from "../../src/compiler/lower.ts";
import { conv2d, globalAveragePooling2d, input } from "../../src/graph/builder.ts";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { network } from "../../src/graph/network.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { defaultPreprocessing } from "../../src/model/model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { type Extracted, FeatureExtractor, loadFeatureExtractor } from "../../src/tasks/features/feature-extractor.ts";
import { parsePhotoGolden } from "../../src/tasks/verify/golden.ts";
import { compareTap } from "../../src/tasks/verify/reference.ts";
import type { FloatTensor } from "../../src/tensor/tensor.ts";
import { smallModel } from "../model/small-model.ts";
import { interpret } from "../oracles/interpreter.ts";
import { noise } from "./images.ts";

const model = smallModel();
const bytes = encodeModel(model);
const imageOf = (seed: number) => ({ width: 80, height: 71, data: noise(1, [71, 80, 3], seed).data });
const images = [1, 2, 3].map(imageOf);
let extractor: FeatureExtractor;

beforeAll(async () => {
  extractor = await loadFeatureExtractor(bytes, { platform });
});
afterAll(() => extractor.dispose());

/** The whole network, nothing folded, cut off or pooled, in float64. */
function oracle(layers: readonly string[], image: { readonly data: Uint8Array }) {
  const { graph } = lower(model.network, { mode: "inference", batchSize: 1, outputs: layers });
  const feeds = new Map<string, Float64Array>([
    [imageInput, Float64Array.from(image.data, (pixel) => pixel / 127.5 - 1)],
    ...[...toEngineWeights(model.network, model.weights)].map(
      ([name, { data }]) => [name, Float64Array.from(data)] as const,
    ),
  ]);
  return interpret(graph, feeds);
}

const shapeOf = (layer: string) => model.network.layers.find(({ name }) => name === layer)!.outputShape;

/** Each number against a float64 one, in units of the largest. */
function worstDifference({ data }: FloatTensor, expected: readonly number[] | Float64Array): number {
  expect(data).toHaveLength(expected.length);
  const scale = Math.max(...Array.from(expected, Math.abs));
  return Math.max(...Array.from(data, (value, index) => Math.abs(value - expected[index]!))) / scale;
}

async function all(results: AsyncIterable<Extracted>): Promise<Extracted[]> {
  const list: Extracted[] = [];
  for await (const result of results) list.push(result);
  return list;
}

describe("features", () => {
  it("are the maps of layers, in the order asked for, and their poolings", async () => {
    // A convolution whose normalization is folded into it where nobody asks, a sum, and what is behind the maps.
    const layers = ["block2_sepconv1", "block1_conv1_bn", "add", "avg_pool", "predictions", "add"];
    const expected = oracle([...new Set(layers)], images[0]!);
    const maps = await extractor.features(images[0]!, { layers });
    expect(maps.map(({ layer }) => layer)).toEqual(layers);
    for (const { layer, values } of maps) {
      expect(values.shape).toEqual([1, ...shapeOf(layer)]);
      expect(worstDifference(values, expected.get(layer)!), layer).toBeLessThan(1e-5);
    }

    const data = [...expected.get("add")!];
    const [height, width, channels] = shapeOf("add") as [number, number, number];
    const ofChannel = (channel: number) => data.filter((_, index) => index % channels === channel);
    const range = Array.from({ length: channels }, (_, channel) => channel);
    const means = range.map((channel) => ofChannel(channel).reduce((a, b) => a + b, 0) / (height * width));
    const maxima = range.map((channel) => Math.max(...ofChannel(channel)));
    for (const [pooling, pooled] of [
      ["avg", means],
      ["max", maxima],
    ] as const) {
      const [map] = await extractor.features(images[0]!, { layers: ["add"], pooling });
      expect(map!.values.shape).toEqual([1, channels]);
      expect(worstDifference(map!.values, pooled), pooling).toBeLessThan(1e-5);
    }
  });

  it("are the last map without a choice, which pooled is what the classifier reads", async () => {
    const [last] = await extractor.features(images[1]!);
    expect(last).toMatchObject({ layer: "block7_sepconv2_act", values: { shape: [1, 3, 3, 104] } });
    const [pooled] = await extractor.features(images[1]!, { pooling: "avg" });
    const [read] = await extractor.features(images[1]!, { layers: ["avg_pool"] });
    expect(pooled!.values).toEqual(read!.values);
  });

  it("are maps by stage", async () => {
    const stages = await extractor.features(images, { stages: [1, 5, 3] });
    expect(stages.map(({ layer, values }) => [layer, values.shape])).toEqual([
      ["block1_conv2_act", [3, 33, 37, 8]],
      ["block7_sepconv2_act", [3, 3, 3, 104]],
      ["block4_sepconv1_act", [3, 9, 10, 16]],
    ]);
    expect(extractor.stages.map(({ stride }) => stride)).toEqual([2, 4, 8, 16, 32]);
  });

  it("are the same in a batch, and while another choice is under way", async () => {
    const alone = await Promise.all(images.map((image) => extractor.features(image, { pooling: "max" })));
    const [[together], [other]] = await Promise.all([
      extractor.features(images, { pooling: "max" }),
      extractor.features(images, { stages: [2], pooling: "avg" }),
    ]);
    expect(other!.values.shape).toEqual([3, 8]);
    const flat = alone.flatMap(([map]) => [...map!.values.data]);
    expect(worstDifference(together!.values, flat)).toBeLessThan(1e-6);
    const results = await all(extractor.featuresAll(images, { pooling: "max", batchSize: 2 }));
    const rows = results.flatMap((result) => ("maps" in result ? [...result.maps[0]!.values.data] : []));
    expect(worstDifference(together!.values, rows)).toBeLessThan(1e-6);
  });

  it("come of images of any size, prepared as the model says", async () => {
    const large = { width: 160, height: 142, data: noise(1, [142, 160, 3]).data };
    const png = await platform.images.encodePng(large);
    const choice = { layers: ["predictions"] };
    const [decoded] = await extractor.features(png, choice);
    const [direct] = await extractor.features(large, choice);
    expect(decoded).toEqual(direct);
    const preprocessing = { ...defaultPreprocessing, scale: 1 / 255, offset: 0, interpolation: "nearest" } as const;
    await using other = await loadFeatureExtractor(encodeModel({ ...model, preprocessing }), { platform });
    expect(await other.features(large, choice)).not.toEqual([direct]);
    expect(await other.digest()).not.toBe(await extractor.digest());
  });
});

describe("a model's digest", () => {
  it("is that of what the features depend on", async () => {
    const options = { platform } as const;
    await using again = await loadFeatureExtractor(bytes, options);
    expect(await again.digest()).toBe(await extractor.digest());
    expect(await extractor.digest()).toMatch(/^[0-9a-f]{64}$/);
    expect(await extractor.digest({ pooling: "max" })).not.toBe(await extractor.digest({ pooling: "avg" }));
    const changed = new Map(model.weights);
    for (const name of ["predictions/bias", "block7_sepconv2_bn/beta"]) {
      const tensor = changed.get(name)!;
      changed.set(name, { ...tensor, data: tensor.data.map((value) => value + 1) });
      await using other = await loadFeatureExtractor(encodeModel({ ...model, weights: changed }), options);
      // The last map does not depend on the classifier.
      expect((await other.digest()) === (await extractor.digest())).toBe(name === "predictions/bias");
    }
  });
});

describe("many images", () => {
  it("go on beside those that cannot be read", async () => {
    const png = await platform.images.encodePng(images[0]!);
    const results = await all(extractor.featuresAll(["none.png", images[0]!, png.subarray(0, 99)], { batchSize: 2 }));
    const [none, fine, damaged] = results.map((result) => ("error" in result ? result.error.message : "fine"));
    expect(none).toBe('image "none.png": there is no such file.');
    expect(fine).toBe("fine");
    expect(damaged).toContain("the image is damaged or cut short");
    expect(await all(extractor.featuresAll(["none.png"]))).toHaveLength(1);
  });
});

describe("refusals", () => {
  const messageOf = (work: Promise<unknown>) => work.then(String, (error: Error) => error.message);
  const [image] = images;

  it("of layers, stages and poolings that are not there", async () => {
    expect(await messageOf(extractor.features(image!, { layers: ["add", "block99"] }))).toMatchInlineSnapshot(
      `"features option layers: network "xception" has no such layer; received "block99"; expected one of its 64 layers, e.g. block7_sepconv2_act. \`xception summary\` lists those of Xception."`,
    );
    expect(await messageOf(extractor.features(image!, { stages: [0] }))).toMatchInlineSnapshot(
      `"features option stages: network "xception" has no such stage; received 0; expected 1 (stride 2), 2 (stride 4), 3 (stride 8), 4 (stride 16), 5 (stride 32)."`,
    );
    expect(await messageOf(extractor.features(image!, { stages: [1], layers: ["add"] }))).toMatchInlineSnapshot(
      `"features: maps are chosen by layer or by stage, not by both."`,
    );
    expect(await messageOf(extractor.features(image!, { layers: [] }))).toMatchInlineSnapshot(
      `"features: no feature map is requested; expected names of layers, numbers of stages, or neither for the last map."`,
    );
    expect(
      await messageOf(extractor.features(image!, { layers: ["predictions"], pooling: "avg" })),
    ).toMatchInlineSnapshot(
      `"features option pooling: layer "predictions" has no feature maps to pool; received [3]; expected [height, width, channels]."`,
    );
  });

  it("of no images, and of wrong batches", async () => {
    expect(await messageOf(extractor.features([]))).toMatchInlineSnapshot(`"features: there is no image."`);
    expect(await messageOf(all(extractor.featuresAll([image!], { batchSize: 0 })))).toMatchInlineSnapshot(
      `"option batchSize: this value is not allowed; received 0; expected a whole number from 1."`,
    );
    const signal = AbortSignal.abort();
    await expect(all(extractor.featuresAll([image!], { signal }))).rejects.toBeInstanceOf(AbortedError);
  });

  it("of networks that read no images", () => {
    const other = network("other", globalAveragePooling2d(conv2d(input([8, 8, 4]), { filters: 2, kernelSize: 3 })));
    const parts = { network: other, weights: initializeWeights(other), preprocessing: defaultPreprocessing };
    expect(
      () => new FeatureExtractor({ ...parts, report: { initialized: [] } }, platform),
    ).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: network "other": a model must read images; received [8, 8, 4]; expected 3 channels (RGB) or 1 (grayscale).]`,
    );
  });

  it("of layers whose weights the file lacks", async () => {
    const initialized = ["block5_sepconv1/depthwise_kernel"];
    const partial = new FeatureExtractor({ ...model, report: { initialized } }, platform);
    expect((await partial.features(image!, { stages: [2] }))[0]!.layer).toBe("block3_sepconv1_act");
    expect(await messageOf(partial.features(image!, { stages: [2, 5] }))).toMatchInlineSnapshot(
      `"features of "block3_sepconv1_act", "block7_sepconv2_act": they need weights that the file does not have; received ["block5_sepconv1/depthwise_kernel"]. Choose an earlier layer."`,
    );
    await partial.dispose();
  });

  it("of layers whose weights have another shape in the file", async () => {
    const options = { platform, network: { classes: 4 }, allowMissing: "predictions/*" };
    await using other = await loadFeatureExtractor(bytes, options);
    expect((await other.features(image!))[0]!.layer).toBe(other.lastMap);
    expect(await messageOf(other.features(image!, { layers: ["predictions"] }))).toMatchInlineSnapshot(
      `"features of "predictions": they need weights that the file does not have; received ["predictions/kernel", "predictions/bias"]. Choose an earlier layer."`,
    );
  });

  it("of work after dispose, which may be called again", async () => {
    const loaded = await loadFeatureExtractor(bytes, { platform });
    await loaded.features(image!);
    await loaded.dispose();
    await loaded.dispose();
    await loaded[Symbol.asyncDispose]();
    const error = await loaded.features(image!).catch((each: Error) => each);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toBe(
      "network in the engine: it was disposed. Load the model again, or dispose of it later.",
    );
    expect(await messageOf(all(loaded.featuresAll([image!])))).toBe((error as Error).message);
  });
});

describe("the weights that Keras's Xception learned from ImageNet", () => {
  it("give Keras's maps of a photo, and its pooled values after block 13", async (context) => {
    const weights = join(root, "../shared/data/xception-imagenet-block13/model.json");
    if (!existsSync(weights)) return context.skip("the weights are not there");
    const golden = join(root, "tests/golden/imagenet-block13");
    const text = readFileSync(join(golden, "elephant-features.json"), "utf8");
    const photo = join(golden, "elephant-299.png");
    await using real = await loadFeatureExtractor(weights, {
      platform,
      network: { includeTop: false },
      allowMissing: "block14_sepconv*,dense*,final/*",
    });
    const features = parsePhotoGolden(text, "elephant-features.json");
    const maps = await real.features(photo, { layers: Object.keys(features.taps) });
    const results = Object.fromEntries(maps.map(({ layer, values }) => [layer, values]));
    for (const [name, tap] of Object.entries(features.taps)) {
      const { layer, difference, statisticsDifference } = compareTap(name, tap, results[name]!);
      expect(Math.max(difference, statisticsDifference), layer).toBeLessThan(1e-4);
    }
    const { images } = JSON.parse(text) as { images: { elephant: { gap_block13_add: number[] } } };
    const [pooled] = await real.features(photo, { layers: ["add_11"], pooling: "avg" });
    const expected = images.elephant.gap_block13_add;
    expect(expected).toHaveLength(1024);
    expect(worstDifference(pooled!.values, expected)).toBeLessThan(1e-5);
    await expect(real.features(photo, { pooling: "avg" })).rejects.toThrow(
      "they need weights that the file does not have",
    );
  });
});
