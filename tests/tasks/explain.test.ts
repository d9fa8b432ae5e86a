import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AbortedError, FormatError, UsageError } from "../../src/base/errors.ts";
import { imageInput, lower } from "../../src/compiler/lower.ts";
import * as layers from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { toEngineWeights } from "../../src/graph/weights.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { featureStages } from "../../src/models/feature-stages.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { Explainer, type ExplainOptions, loadExplainer } from "../../src/tasks/explain/explainer.ts";
import { type GradientCam, gradientCam, gradientCams, resizeMap } from "../../src/tasks/explain/maps.ts";
import { explanationMethods } from "../../src/tasks/explain/methods.ts";
import { occlusionMasks, riseMasks } from "../../src/tasks/explain/perturbations.ts";
import { loadProbe } from "../../src/tasks/explain/probe.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { smallModel } from "../model/small-model.ts";
import { finiteDifference } from "../oracles/finite-difference.ts";
import { evaluate } from "../oracles/interpreter.ts";
import { noise } from "./images.ts";

/** A network with everything that a gradient has to pass: a shortcut, pooling, both normalizations to fold and not. */
function smallNetwork() {
  let x = layers.input([12, 10, 3]);
  x = layers.conv2d(x, { filters: 4, kernelSize: 3, padding: "same", useBias: false, name: "stem" });
  const stem = layers.relu(layers.batchNormalization(x, { name: "stem_bn" }), { name: "stem_act" });
  let main = layers.separableConv2d(stem, { filters: 5, kernelSize: 3, padding: "same", useBias: false, name: "main" });
  main = layers.batchNormalization(main, { name: "main_bn" });
  main = layers.maxPooling2d(main, { kernelSize: 3, strides: 2, padding: "same", name: "main_pool" });
  const shortcut = layers.conv2d(stem, { filters: 5, kernelSize: 1, strides: 2, useBias: false, name: "shortcut" });
  x = layers.add([main, shortcut], { name: "sum" });
  x = layers.separableConv2d(x, { filters: 6, kernelSize: 3, padding: "same", useBias: false, name: "last" });
  x = layers.relu(layers.batchNormalization(x, { name: "last_bn" }), { name: "last_act" });
  x = layers.globalAveragePooling2d(x, { name: "pool" });
  return network("small", layers.dense(x, { units: 4, activation: "softmax", name: "classes" }));
}
const net = smallNetwork();
const model = {
  network: net,
  weights: syntheticWeights(net),
  labels: ["cat", "dog", "owl", "eel"],
  preprocessing: { ...kerasPreprocessing, fit: "fill", background: [255, 255, 255] },
} as const;
const image = { width: 10, height: 12, data: noise(1, [12, 10, 3], 5).data };
const inputLayer = net.layers[0]!.name;
let explainer: Explainer;

beforeAll(async () => {
  explainer = new Explainer(await loadProbe(model, platform));
});
afterAll(() => explainer.dispose());

const oracles = new Map<string, ReturnType<typeof computeOracle>>();

/** The whole network in float64, nothing folded or cut: a layer's output, and central differences of a weighted logit. */
function oracle(layer: string, classWeights: readonly number[]) {
  const key = `${layer} ${classWeights}`;
  const computed = oracles.get(key) ?? computeOracle(layer, classWeights);
  oracles.set(key, computed);
  return computed;
}

function computeOracle(layer: string, classWeights: readonly number[]) {
  const { graph, logits, layerOutputs } = lower(net, { mode: "inference", batchSize: 1, outputs: [] });
  const build = new OpGraphBuilder(graph);
  const weighted = build.op({ kind: "multiply" }, [logits, build.constant(classWeights, [1, 4])]);
  build.output("score", build.op({ kind: "reduceSum", axes: [0, 1], keepDims: false }, [weighted]));
  const feeds = new Map<string, Float64Array>([
    [imageInput, Float64Array.from(image.data, (pixel) => pixel / 127.5 - 1)],
    ...[...toEngineWeights(net, model.weights)].map(([name, { data }]) => [name, Float64Array.from(data)] as const),
  ]);
  const { name, shape } = layerOutputs.get(layer)!;
  const [, channels, height, width] = shape as [number, number, number, number];
  const whole = build.finish();
  const planes = (data: ArrayLike<number>) => (channel: number, y: number, x: number) =>
    data[(channel * height + y) * width + x]!;
  const activations = planes(evaluate(whole, feeds).get(name)!.data);
  const gradient = planes(finiteDifference(whole, "score", name, feeds, 1e-6));
  return { activations, gradient, channels, height, width };
}

/** The formulas of the papers, in loops over the oracle's numbers. */
function expectedMap(method: GradientCam, layer: string, classWeights: readonly number[]): number[] {
  const { activations: a, gradient: g, channels, height, width } = oracle(layer, classWeights);
  const range = (count: number) => Array.from({ length: count }, (_, index) => index);
  const positions = range(height).flatMap((y) => range(width).map((x) => [y, x] as const));
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const weightAt = (k: number, y: number, x: number): number => {
    const all = (of: typeof a) => positions.map(([row, column]) => of(k, row, column));
    switch (method) {
      case "grad-cam":
        return sum(all(g)) / positions.length;
      case "hires-cam":
        return g(k, y, x);
      case "layer-cam":
        return Math.max(0, g(k, y, x));
      case "grad-cam++": {
        const total = sum(all(a));
        return sum(all(g).map((each) => (each ** 2 / (2 * each ** 2 + total * each ** 3 || 1)) * Math.max(0, each)));
      }
    }
  };
  return positions.map(([y, x]) => Math.max(0, sum(range(channels).map((k) => weightAt(k, y, x) * a(k, y, x)))));
}

function expectClose(found: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  expect(found).toHaveLength(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  expect(scale).toBeGreaterThan(0);
  const worst = Math.max(...expected.map((value, index) => Math.abs(value - found[index]!))) / scale;
  expect(worst).toBeLessThan(tolerance);
}

describe("gradient CAMs are the papers' formulas", () => {
  const cases = gradientCams.flatMap((method) =>
    // The last map; a sum; behind a shortcut that goes around it; one whose normalization is folded elsewhere; the pixels.
    ["last_act", "sum", "main_pool", "stem", inputLayer].map((layer) => [method, layer] as const),
  );
  it.each(cases)("%s of %s", async (method, layer) => {
    const { map, maximum } = await explainer.explain(image, { method, layer, label: "owl" });
    const expected = expectedMap(method, layer, [0, 0, 1, 0]);
    expectClose(map.data, expected, 1e-4);
    expect(maximum).toBe(Math.max(...map.data));
  });

  it("of the difference of two classes", async () => {
    const { map, against } = await explainer.explain(image, { label: "dog", against: "eel", layer: "sum" });
    expectClose(map.data, expectedMap("grad-cam", "sum", [0, 1, 0, -1]), 1e-4);
    expect(against).toMatchObject({ label: "eel", index: 3 });
  });

  it("agree where only pooling and a dense layer follow: Grad-CAM is HiResCAM", async () => {
    const [a, b] = [await explainer.explain(image), await explainer.explain(image, { method: "hires-cam" })];
    expect(a.layer).toBe("last_act");
    expectClose(a.map.data, [...b.map.data], 1e-5);
  });

  it("explain the top class by default, with its probability", async () => {
    const { label, probability, predictions } = await explainer.explain(image);
    expect({ label, probability }).toEqual({ label: predictions[0]!.label, probability: predictions[0]!.probability });
    expect(predictions.reduce((sum, each) => sum + each.probability, 0)).toBeCloseTo(1, 5);
    expect(probability).toBe(Math.max(...predictions.map((each) => each.probability)));
  });

  it("have no gradient where ReLU is at its kink", () => {
    const zero = floatTensor([1, 1, 2, 1], Float32Array.of(0, 0));
    expect(gradientCam("grad-cam++", zero, zero).data).toEqual(Float32Array.of(0, 0));
  });
});

describe("the gradient at a kink", () => {
  /** Four pixels −2, 0, 0 and 3, doubled, through ReLU, maximum and mean to two classes. */
  async function gradientOfKinks(map: (x: layers.LayerOutput) => layers.LayerOutput) {
    const x = map(layers.input([1, 4, 1]));
    const classes = layers.dense(layers.globalAveragePooling2d(x), { units: 2, useBias: false, name: "classes" });
    const kinks = network("kinks", classes);
    const weights = new Map([
      ["double/kernel", floatTensor([1, 1, 1, 1], Float32Array.of(2))],
      ["classes/kernel", floatTensor([1, 2], Float32Array.of(6, 0))],
    ]);
    const used = new Map(
      [...weights].filter(([name]) => kinks.layers.some((layer) => name.startsWith(`${layer.name}/`))),
    );
    const kinked = { ...model, network: kinks, weights: used, labels: ["a", "b"] };
    const probe = await loadProbe(kinked, platform);
    const values = floatTensor([1, 1, 4, 1], Float32Array.of(-2, 0, 0, 3));
    const subject = { image, layers: {}, probabilities: Float32Array.of(1, 0), classWeights: [1, 0] };
    const [found] = await probe.pixelGradients([values], subject);
    await probe.dispose();
    return { gradient: [...found!.gradient], score: found!.score };
  }

  it("of ReLU at 0 is 0, as in Keras and PyTorch", async () => {
    const double = (x: layers.LayerOutput) =>
      layers.relu(layers.conv2d(x, { filters: 1, kernelSize: 1, useBias: false, name: "double" }));
    // 6 · 2 / 4 where the pixel is above 0.
    expect(await gradientOfKinks(double)).toEqual({ gradient: [0, 0, 0, 3], score: 9 });
  });

  it("of a maximum of equal values goes to the first", async () => {
    const pool = (x: layers.LayerOutput) => layers.maxPooling2d(x, { kernelSize: [1, 2], strides: [1, 1] });
    // Maxima 0, 0 and 3.
    expect(await gradientOfKinks(pool)).toEqual({ gradient: [0, 4, 0, 2], score: 6 });
  });
});

describe("methods of the pixels", () => {
  it("integrated gradients add up to the change of the logit", async () => {
    const few = await explainer.explain(image, { method: "integrated-gradients", samples: 4 });
    const many = await explainer.explain(image, { method: "integrated-gradients", samples: 64 });
    expect(many.map.shape).toEqual([12, 10]);
    expect(many.incompleteness).toBeLessThan(0.01);
    expect(many.incompleteness).toBeLessThan(few.incompleteness!);
    const { graph, logits } = lower(net, { mode: "inference", batchSize: 1, outputs: [] });
    const build = new OpGraphBuilder(graph);
    build.output("logits", logits);
    const weights = [...toEngineWeights(net, model.weights)];
    const logitOf = (pixels: Float64Array) =>
      evaluate(
        build.finish(),
        new Map([[imageInput, pixels], ...weights.map(([name, { data }]) => [name, Float64Array.from(data)] as const)]),
      ).get(logits.name)!.data[many.index]!;
    const change =
      logitOf(Float64Array.from(image.data, (pixel) => pixel / 127.5 - 1)) -
      logitOf(new Float64Array(image.data.length).fill(-1));
    const sum = many.map.data.reduce((total, value) => total + value, 0);
    expect(Math.abs(sum - change) / Math.abs(change)).toBeLessThan(0.01);
  });

  it("SmoothGrad depends on its seed and nothing else", async () => {
    const of = (seed: number) => explainer.explain(image, { method: "smooth-grad", samples: 9, seed });
    const [a, b, c] = [await of(1), await of(1), await of(2)];
    expect(a.map).toEqual(b.map);
    expect(a.map).not.toEqual(c.map);
    expect(Math.min(...a.map.data)).toBeGreaterThanOrEqual(0);
  });
});

/** Probability of a class of an image with some pixels replaced by gray. */
async function probabilityOf(label: string, mask: { readonly data: Float32Array }): Promise<number> {
  const data = image.data.map((value, index) => {
    const kept = mask.data[Math.floor(index / 3)]!;
    return Math.round(127.5 + (value - 127.5) * kept);
  });
  const { probability } = await explainer.explain({ ...image, data }, { label });
  return probability;
}

describe("methods that hide parts of the image", () => {
  it("occlusion is the mean fall of the probability", async () => {
    const { map, probability } = await explainer.explain(image, { method: "occlusion", label: "dog", samples: 9 });
    const masks = occlusionMasks([12, 10], 3);
    const falls = await Promise.all(masks.map(async (mask) => probability - (await probabilityOf("dog", mask))));
    const expected = Array.from(map.data, (_, position) => {
      const covering = falls.filter((_, index) => masks[index]!.data[position] === 0);
      return covering.reduce((sum, fall) => sum + fall, 0) / covering.length;
    });
    // Every position is covered, the middle by four squares.
    expect(masks.map(({ data }) => data[6 * 10 + 5]).filter((kept) => kept === 0)).toHaveLength(4);
    expectClose(map.data, expected, 1e-4);
  });

  it("RISE is the mean of its masks, weighted by the probability", async () => {
    const { map } = await explainer.explain(image, { method: "rise", label: "eel", samples: 40, seed: 3 });
    const masks = [...riseMasks([12, 10], 40, 3)];
    const expected = Array.from(map.data, () => 0);
    for (const mask of masks) {
      const probability = await probabilityOf("eel", mask);
      for (const [position, kept] of mask.data.entries()) expected[position]! += (probability * kept) / 20;
    }
    expectClose(map.data, expected, 1e-4);
  });

  it("Score-CAM weights each channel by what it lets through", async () => {
    const { map } = await explainer.explain(image, { method: "score-cam", label: "eel", samples: 100 });
    const { activations, channels, height, width } = oracle("last_act", [0, 0, 0, 1]);
    const nothing = await probabilityOf("eel", floatTensor([12, 10]));
    const expected = new Array<number>(height * width).fill(0);
    for (let channel = 0; channel < channels; channel++) {
      const values = expected.map((_, at) => activations(channel, Math.floor(at / width), at % width));
      const [low, high] = [Math.min(...values), Math.max(...values)];
      if (low === high) continue;
      const scaled = floatTensor(
        [height, width],
        Float32Array.from(values, (value) => (value - low) / (high - low)),
      );
      const weight = (await probabilityOf("eel", resizeMap(scaled, [12, 10]))) - nothing;
      for (const [at, value] of values.entries()) expected[at]! += weight * value;
    }
    expectClose(
      map.data,
      expected.map((value) => Math.max(0, value)),
      1e-3,
    );
  });
});

describe("options", () => {
  it("augSmooth averages six copies of the image", async () => {
    const copies = [false, true].flatMap((mirror) =>
      [0.9, 1, 1.1].map((brightness) => {
        const data = image.data.map((_, index, all) => {
          const [y, x, color] = [Math.floor(index / 30), Math.floor(index / 3) % 10, index % 3];
          return Math.min(255, Math.round(brightness * all[(y * 10 + (mirror ? 9 - x : x)) * 3 + color]!));
        });
        return { mirror, copy: { ...image, data } };
      }),
    );
    const expected = new Array<number>(30).fill(0);
    for (const { mirror, copy } of copies) {
      const { map } = await explainer.explain(copy, { label: "cat" });
      expect(map.shape).toEqual([6, 5]);
      for (const at of expected.keys()) {
        const [y, x] = [Math.floor(at / 5), at % 5];
        expected[at]! += map.data[y * 5 + (mirror ? 4 - x : x)]! / 6;
      }
    }
    const { map } = await explainer.explain(image, { label: "cat", augSmooth: true });
    expectClose(map.data, expected, 1e-5);
  });

  it("eigenSmooth projects on the first principal component", () => {
    // Three positions of two channels on one line through the origin, (3, 4)/5: the projection is the length along it.
    const activations = floatTensor([1, 1, 3, 2], Float32Array.of(3, 4, 6, 8, -3, -4));
    const ones = floatTensor([1, 1, 3, 2], new Float32Array(6).fill(1));
    const { data } = gradientCam("hires-cam", activations, ones, { eigenSmooth: true });
    expectClose(data, [5, 10, 0], 1e-6);
  });

  const wrong: readonly (readonly [ExplainOptions, string])[] = [
    [{ method: "cam" as never }, `explain option method: this value is not allowed; received "cam"`],
    [
      { label: "fox" },
      `explain option label: the model has no such class; received "fox"; expected one of its 4 classes, e.g. cat`,
    ],
    [{ against: "fox" }, "explain option against: the model has no such class"],
    [
      { label: "cat", against: "cat" },
      `explain option against: it is the explained class; received "cat". Name another class.`,
    ],
    [
      { layer: "pool" },
      `explain option layer: network "small" has no layer of this name with feature maps; received "pool"; expected a name such as last_act, or the number of a stage`,
    ],
    [{ samples: 0 }, "explain option samples: this value is not allowed; received 0"],
  ];
  it.each(wrong)("%o are refused", async (options, message) => {
    const error = await explainer.explain(image, options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain(message);
  });

  it("a stage is a layer by its number", async () => {
    const { stage, layer, shape } = featureStages(explainer.network).at(-1)!;
    const byNumber = await explainer.explain(image, { layer: String(stage) });
    expect(byNumber).toMatchObject({ layer, map: { shape: shape.slice(0, 2) } });
    expect(byNumber.map.data).toEqual((await explainer.explain(image, { layer })).map.data);
    await expect(explainer.explain(image, { layer: "9" })).rejects.toThrow("or the number of a stage");
  });

  it("against must not be the top class that is explained", async () => {
    const { label } = await explainer.explain(image);
    await expect(explainer.explain(image, { against: label })).rejects.toThrow(
      `explain option against: it is the image's top class, which is explained; received "${label}". Name another class.`,
    );
  });

  it("signal stops every method", async () => {
    for (const method of explanationMethods) {
      const signal = AbortSignal.abort("enough");
      await expect(explainer.explain(image, { method, signal })).rejects.toThrow(AbortedError);
    }
  });
});

it("an unreadable image does not stop the others", async () => {
  const results = [];
  for await (const each of explainer.explainAll([image, Uint8Array.of(1, 2, 3), image])) results.push(each);
  expect(results.map((each) => "error" in each && each.error)).toEqual([false, expect.any(FormatError), false]);
  const [first, , third] = results;
  expect(first).toEqual(third);
});

it("after dispose there is nothing to explain with", async () => {
  const other = new Explainer(await loadProbe(model, platform));
  await other.dispose();
  await expect(other.explain(image)).rejects.toThrow("it was disposed");
});

it("a model file explains itself", async () => {
  const small = smallModel();
  await using loaded = await loadExplainer(encodeModel(small), { platform });
  const photo = { width: 80, height: 71, data: noise(1, [71, 80, 3], 2).data };
  const { layer, map, label } = await loaded.explain(photo);
  expect({ layer, shape: map.shape }).toEqual({ layer: "block7_sepconv2_act", shape: [3, 3] });
  expect(small.labels).toContain(label);
});
