import { expect, test } from "vitest";
import { oneHot } from "../../src/data/labels.ts";
import { writeHdf5 } from "../../src/formats/keras/hdf5.ts";
import { writeLegacyModel } from "../../src/formats/keras/writer.ts";
import { writeSafetensors } from "../../src/formats/safetensors.ts";
import { dense, globalAveragePooling2d, input } from "../../src/graph/builder.ts";
import { networkCost } from "../../src/graph/cost.ts";
import { countParameters, type Network, network, networkWeights } from "../../src/graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { toTorchLayout } from "../../src/graph/torch-layout.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { loadWeights, openModel } from "../../src/model/open-weights.ts";
import { featureStages } from "../../src/models/feature-stages.ts";
import {
  inceptionA,
  inceptionB,
  inceptionC,
  inceptionD,
  inceptionE,
  inceptionV3,
} from "../../src/models/inception/v3.ts";
import { architectureNamed, buildNetwork, recognizeArchitecture } from "../../src/models/registry.ts";
import { timmNames, timmNamesOf } from "../../src/models/timm-names.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { convert } from "../../src/tasks/convert.ts";
import { timmSyntheticWeights } from "../../src/tasks/verify/verify.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../src/tensor/tensor.ts";
import { TrainingStep } from "../../src/train/step/training-step.ts";
import golden from "../golden/inception-v3-299.layers.json" with { type: "json" };
import { plainPlatform } from "../tasks/plain-platform.ts";

const small = { inputShape: [75, 80, 3], classes: 3, width: 0.1 } as const;

function asGolden({ layers }: Network) {
  return layers.map(({ name, config, inbound, outputShape, weights }) => ({
    name,
    type: config.type,
    output: [null, ...outputShape],
    params: countParameters(weights).total,
    inbound,
    weights: weights.map((weight) => [weight.name, weight.shape, weight.trainable]),
  }));
}

test("inceptionV3 has Keras's layers, names, shapes, connections and weights", () => {
  const net = inceptionV3();
  expect(asGolden(net)).toEqual(golden.layers);
  const count = { total: 23_851_784, trainable: 23_817_352, nonTrainable: 34_432 };
  expect(countParameters(networkWeights(net))).toEqual(count);
  // The paper: "5 billion multiply-adds".
  expect(networkCost(net).total.multiplications).toBe(5_713_216_096);
});

test("its blocks stand alone, at any width and size of feature maps", () => {
  const x = input([35, 35, 288]);
  expect(inceptionA(x, { poolFilters: 64 }).shape).toEqual([35, 35, 288]);
  expect(inceptionB(x).shape).toEqual([17, 17, 768]);
  expect(inceptionC(x, { filters7x7: 128 }).shape).toEqual([35, 35, 768]);
  expect(inceptionD(x).shape).toEqual([17, 17, 800]);
  expect(inceptionE(x, { width: (filters) => filters / 2 }).shape).toEqual([35, 35, 1024]);
});

test("options are Keras's", () => {
  const features = inceptionV3({ includeTop: false, pooling: "max", inputShape: [75, 101, 1] });
  expect(features.layers.at(-1)).toMatchObject({ name: "global_max_pooling2d", outputShape: [2048] });
  expect(features.layers.at(-2)).toMatchObject({ name: "mixed10", outputShape: [1, 1, 2048] });
  expect(() => inceptionV3({ inputShape: [74, 299, 3] })).toThrow(
    'inceptionV3 option "inputShape": this value is not allowed; received [74, 299, 3]; expected height and width of at least 75×75.',
  );
});

test("its feature stages are timm's", () => {
  const stages = featureStages(inceptionV3()).map(({ stride, layer, shape }) => [stride, layer, shape.at(-1)]);
  expect(stages).toEqual([
    [2, "activation_2", 64],
    [4, "activation_4", 192],
    [8, "mixed2", 288],
    [16, "mixed7", 768],
    [32, "mixed10", 2048],
  ]);
});

test.each(["inception-v3", "inception_v3"] as const)("%s is recognized by its layers", (name) => {
  const architecture = architectureNamed(name, { ...small, dropout: 0.25 });
  const found = recognizeArchitecture(buildNetwork(architecture));
  expect(found).toMatchObject(architecture);
});

test("a network with as many convolutions is none", () => {
  const { layers, ...rest } = inceptionV3(small);
  const changed = layers.map((layer) =>
    layer.config.type === "AveragePooling2D" ? { ...layer, config: { ...layer.config, type: "MaxPooling2D" } } : layer,
  ) as typeof layers;
  expect(recognizeArchitecture({ layers: changed, ...rest })).toBeUndefined();
});

/** Weights as keras.applications publishes them: a session's later names, and layers in the order of Keras 2. */
async function published(net: Network): Promise<Uint8Array> {
  const weights = syntheticWeights(net);
  const rename = (name: string) =>
    name.replace(
      /^(conv2d|batch_normalization)(?:_(\d+))?$/,
      (_, kind, number = "0") => `${kind}_${Number(number) + 1}`,
    );
  return writeHdf5((file) => {
    file.text("backend", "tensorflow");
    const named = net.layers.map((layer) => ({ ...layer, name: rename(layer.name) }));
    file.text(
      "layer_names",
      named.map(({ name }) => name),
    );
    for (const { name, weights: specs } of named) {
      const own = file.group(name);
      const paths = specs.map((spec) => `${name}/${spec.name.split("/")[1]}:0`);
      own.text("weight_names", paths);
      for (const [index, spec] of specs.entries()) own.tensor(paths[index]!, weights.get(spec.name)!);
    }
  });
}

test.each([
  ["with", inceptionV3(small)],
  ["without", inceptionV3({ inputShape: [75, 80, 3], width: 0.1, includeTop: false })],
])("published weights %s the classifier are loaded by their numbers", async (_, net) => {
  const { weights, report } = await loadWeights(net, await published(net), nodePlatform);
  expect(report).toMatchObject({ by: "name", missing: [], unexpected: [], wrongShape: [] });
  expect(weights).toEqual(syntheticWeights(net));
});

test("a whole Keras model is opened as Inception V3, and converted to every format and back", async () => {
  const net = inceptionV3(small);
  const bytes = await writeLegacyModel({ network: net, weights: syntheticWeights(net) });
  const opened = await openModel(bytes, nodePlatform);
  expect(opened.architecture).toMatchObject({ family: "inception-v3", options: { width: 0.1, classes: 3 } });
  expect(opened.weights).toEqual(syntheticWeights(net));
  for (const to of ["keras", "onnx"] as const) {
    const { bytes: other } = await convert({ where: "f", bytes, readBeside: async () => bytes }, { to });
    const again = await openModel(other, nodePlatform);
    expect(again.architecture).toMatchObject({ family: "inception-v3", options: { width: 0.1 } });
    expect(again.weights).toEqual(opened.weights);
  }
});

test("timm's state dict is recognized; its auxiliary classifier is left out", async () => {
  const architecture = architectureNamed("inception_v3", { inputShape: [75, 80, 3], classes: 3 });
  const weights = timmSyntheticWeights(architecture);
  const entries = timmNames(architecture).map(({ name, weight }): [string, Tensor] => {
    if (weight === undefined) return [name, { type: "int64", shape: [], data: BigInt64Array.of(7n) }];
    return [name, toTorchLayout(weight, weights.get(weight.name)!)];
  });
  expect(
    entries.map(([name]) => name).filter((name) => name.startsWith("Mixed_6b") && name.endsWith("conv.weight")),
  ).toEqual([
    "Mixed_6b.branch1x1.conv.weight",
    "Mixed_6b.branch7x7_1.conv.weight",
    "Mixed_6b.branch7x7_2.conv.weight",
    "Mixed_6b.branch7x7_3.conv.weight",
    "Mixed_6b.branch7x7dbl_1.conv.weight",
    "Mixed_6b.branch7x7dbl_2.conv.weight",
    "Mixed_6b.branch7x7dbl_3.conv.weight",
    "Mixed_6b.branch7x7dbl_4.conv.weight",
    "Mixed_6b.branch7x7dbl_5.conv.weight",
    "Mixed_6b.branch_pool.conv.weight",
  ]);
  // torchvision's shapes: rows, then columns.
  const shapes = new Map(entries.map(([name, { shape }]) => [name, shape]));
  expect(shapes.get("Mixed_6b.branch7x7_2.conv.weight")).toEqual([128, 128, 1, 7]);
  expect(shapes.get("Mixed_7c.branch3x3_2b.conv.weight")).toEqual([384, 384, 3, 1]);
  const file = writeSafetensors(new Map([...entries, ["AuxLogits.conv0.conv.weight", floatTensor([128, 768, 1, 1])]]));
  const opened = await openModel(file, nodePlatform, { inputShape: [75, 80, 3] });
  expect(opened.architecture).toEqual(architecture);
  expect(opened.report).toMatchObject({ missing: [], unexpected: [] });
  // Compared byte by byte: 24 million numbers.
  const bytesOf = ({ data }: FloatTensor) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  for (const [name, tensor] of weights) {
    expect(bytesOf(opened.weights.get(name)!).equals(bytesOf(tensor)), name).toBe(true);
  }
  expect(opened.preprocessing).toMatchObject({ cropRatio: 0.875, interpolation: "bicubic" });
  expect(() => timmNamesOf(inceptionV3(small))).toThrow(
    'timm has no such network: layer "batch_normalization" differs',
  );
  expect(() => timmNamesOf(network("inception_v3", input([2, 2, 3])))).toThrow("timm has no such network");
});

/** One block of each kind, a sixteenth as wide: a step of the whole network would mostly enlarge rounding. */
function oneOfEachBlock(inputShape: readonly [number, number, number]): Network {
  const width = (filters: number) => filters / 16;
  let x = inceptionA(input(inputShape), { poolFilters: 32, width });
  x = inceptionB(x, { width });
  x = inceptionC(x, { filters7x7: 128, width });
  x = inceptionD(x, { width, batchNormScale: true });
  x = inceptionE(x, { width, averagePadding: "zeros" });
  return network("blocks", dense(globalAveragePooling2d(x), { units: 3, activation: "softmax" }));
}

test("a training step of its blocks is the same in both layouts, and moves every weight", async () => {
  const inputShape = [37, 41, 3] as const;
  const net = oneOfEachBlock(inputShape);
  const before = syntheticWeights(net);
  const batchSize = 4;
  const results = [];
  for (const platform of [nodePlatform, plainPlatform]) {
    const optimizer = createOptimizer("sgd", { momentum: 0 });
    const step = await TrainingStep.create(net, before, { platform, batchSize, loss: softmaxCrossEntropy, optimizer });
    const images = syntheticImages(batchSize, inputShape, 3000);
    const { loss } = await step.run({ images, targets: oneHot([0, 2, 1, 1], 3), learningRate: 0.01 });
    results.push({ loss, after: step.weights() });
    await step.dispose();
  }
  const [blocked, plain] = results as [(typeof results)[0], (typeof results)[0]];
  // Measured: 1.1e-7.
  expect(Math.abs(blocked.loss / plain.loss - 1)).toBeLessThan(1e-6);
  for (const { name } of networkWeights(net)) {
    const [start, one, other] = [before, blocked.after, plain.after].map((weights) => weights.get(name)!.data) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const change = largest(one, start);
    expect(change, name).toBeGreaterThan(0);
    // Measured: 1.8e-4 for the last kernels, whose changes are near the rounding of their values.
    expect(largest(one, other) / change, name).toBeLessThan(5e-4);
  }
});

function largest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0);
}
