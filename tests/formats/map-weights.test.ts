import { expect, test } from "vitest";
import type { WeightsError } from "../../src/base/errors.ts";
import type { StoredLayer } from "../../src/formats/map-weights.ts";
import { mapWeights } from "../../src/formats/map-weights.ts";
import { batchNormalization, conv2d, dense, globalAveragePooling2d, input } from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const where = 'file "w.h5"';

let x = input([8, 8, 3]);
x = conv2d(x, { filters: 2, kernelSize: 1, name: "stem", useBias: false });
x = conv2d(x, { filters: 2, kernelSize: 1, name: "conv2d", useBias: false });
x = batchNormalization(x, { name: "stem_bn" });
x = dense(globalAveragePooling2d(x), { units: 4, name: "predictions" });
const net = network("small", x);

/** A layer whose every weight is filled with one number. */
function layer(name: string, fill: number, ...shapes: number[][]): StoredLayer {
  const weights = shapes.map((shape, index) => {
    const tensor = floatTensor(shape);
    tensor.data.fill(fill);
    return { path: `${name}/${index}`, tensor };
  });
  return { name, weights };
}

const stem = layer("stem", 1, [1, 1, 3, 2]);
const second = layer("conv2d", 2, [1, 1, 2, 2]);
const norm = layer("stem_bn", 3, [2], [2], [2], [2]);
const top = layer("predictions", 4, [2, 4], [4]);

test("names decide, whatever the order", () => {
  const { weights, report } = mapWeights(net, [top, norm, second, stem], { where });
  expect(report).toEqual({ by: "name", taken: 8, initialized: [], missing: [], unexpected: [], wrongShape: [] });
  expect([...weights.keys()]).toEqual([
    "stem/kernel",
    "conv2d/kernel",
    "stem_bn/gamma",
    "stem_bn/beta",
    "stem_bn/moving_mean",
    "stem_bn/moving_variance",
    "predictions/kernel",
    "predictions/bias",
  ]);
  expect([...weights.values()].map(({ data }) => data[0])).toEqual([1, 2, 3, 3, 3, 3, 4, 4]);
});

test("an error has all that differs, its message the first of each kind", () => {
  const others = Array.from({ length: 7 }, (_, index) => layer(`extra${index}`, 5, [1]));
  const wrong = { ...stem, weights: layer("stem", 1, [1, 1, 4, 2]).weights };
  try {
    mapWeights(net, [wrong, norm, ...others], { where });
    expect.unreachable();
  } catch (error) {
    const { message, differences } = error as WeightsError;
    expect(message).toBe(
      'file "w.h5": they are not the weights of this network; missing: conv2d/kernel, predictions/kernel, predictions/bias; ' +
        "unexpected: extra0/0, extra1/0, extra2/0, extra3/0, extra4/0 and 2 more; of another shape: stem/kernel " +
        "(1×1×4×2 instead of 1×1×3×2). Check the network's options: variant, width, classes and the rest must be those it " +
        "was trained with.",
    );
    expect(differences).toEqual({
      missing: ["conv2d/kernel", "predictions/kernel", "predictions/bias"],
      unexpected: others.map(({ name }) => `${name}/0`),
      wrongShape: ["stem/kernel (1×1×4×2 instead of 1×1×3×2)"],
    });
  }
});

test("automatic names of another session give way to the order", () => {
  const old = [{ ...stem, name: "convolution2d_1" }, { ...second, name: "convolution2d_2" }, norm, top];
  const { weights, report } = mapWeights(net, old, { where });
  expect(report.by).toBe("order");
  expect(weights.get("stem/kernel")!.data[0]).toBe(1);
  expect(weights.get("conv2d/kernel")!.data[0]).toBe(2);
});

test("class and number find layers in files that go by them", () => {
  const byClass = [
    { ...norm, name: "a", alias: "batch_normalization" },
    { ...stem, name: "b", alias: "conv2d" },
    { ...second, name: "c", alias: "conv2d_1" },
    { ...top, name: "d", alias: "dense" },
  ];
  const { weights, report } = mapWeights(net, byClass, { where });
  expect(report.by).toBe("class");
  expect(weights.get("conv2d/kernel")!.data[0]).toBe(2);
  expect(weights.get("predictions/bias")!.data[0]).toBe(4);
});

test("an order that contradicts the names is refused", () => {
  const crossed = [{ ...stem, name: "other" }, second, { ...norm, name: "predictions" }, { ...top, name: "stem_bn" }];
  expect(() => mapWeights(net, crossed, { where })).toThrow(
    'file "w.h5": names and order of its layers disagree: "predictions" is in the place of the network\'s "stem_bn"; expected the layers of this network in order.',
  );
});

test("what is missing, unexpected and of another shape is refused with its names", () => {
  const wrong = [stem, second, layer("predictions", 4, [2, 5], [5]), layer("extra", 5, [1])];
  expect(() => mapWeights(net, [...wrong, layer("extra2", 5, [1])], { where })).toThrow(
    'file "w.h5": they are not the weights of this network; missing: stem_bn/gamma, stem_bn/beta, stem_bn/moving_mean, ' +
      "stem_bn/moving_variance; unexpected: extra/0, extra2/0; of another shape: predictions/kernel (2×5 instead of 2×4), " +
      "predictions/bias (5 instead of 4).",
  );
});

test("allowMissing takes all but the classifier, which starts anew", () => {
  const other = [stem, second, norm, layer("predictions", 4, [2, 5], [5])];
  const { weights, report } = mapWeights(net, other, { where, allowMissing: "predictions/*" });
  expect(report).toEqual({
    by: "name",
    taken: 6,
    initialized: ["predictions/kernel", "predictions/bias"],
    missing: [],
    unexpected: [],
    wrongShape: ["predictions/kernel (2×5 instead of 2×4)", "predictions/bias (5 instead of 4)"],
  });
  expect(weights.get("predictions/kernel")!.shape).toEqual([2, 4]);
  expect(weights.get("stem_bn/gamma")!.data[0]).toBe(3);
  expect(mapWeights(net, [stem, second, norm], { where, allowMissing: "predictions/*" }).report.missing).toEqual([
    "predictions/kernel",
    "predictions/bias",
  ]);
});

test("a pattern that lets everything differ loads nothing, and says so", () => {
  expect(() => mapWeights(net, [layer("else", 1, [1])], { where, allowMissing: "*" })).toThrow(
    /^file "w.h5": they are not the weights of this network; missing: stem.*; unexpected: else.*\. Check the network's options/,
  );
});

test("weights that Keras leaves out because they are constant are filled in", () => {
  const unscaled = [stem, second, layer("stem_bn", 3, [2], [2], [2]), top];
  const { weights } = mapWeights(net, unscaled, { where, constants: new Map([["stem_bn/gamma", 1]]) });
  expect([...weights.get("stem_bn/gamma")!.data]).toEqual([1, 1]);
  expect([...weights.get("stem_bn/beta")!.data]).toEqual([3, 3]);
});
