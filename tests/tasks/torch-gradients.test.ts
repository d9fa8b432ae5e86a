import { expect, test } from "vitest";
import { oneHot } from "../../src/data/labels.ts";
import * as layers from "../../src/graph/builder.ts";
import type { WeightSpec } from "../../src/graph/layer-weights.ts";
import { network, networkWeights } from "../../src/graph/network.ts";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { fromTorchLayout, torchShape } from "../../src/graph/torch-layout.ts";
import { softmaxCrossEntropy } from "../../src/learning/losses.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { Explainer } from "../../src/tasks/explain/explainer.ts";
import { loadProbe } from "../../src/tasks/explain/probe.ts";
import { mulberry32 } from "../../src/tensor/random.ts";
import { sizeOf } from "../../src/tensor/shape.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { TrainingStep } from "../../src/train/step/training-step.ts";
import golden from "../golden/torch-gradients.json" with { type: "json" };

const around = { kernelSize: 3, strides: 2, padding: 1 } as const;

/** The network of tests/golden/torch-gradients.py, on images of even sizes. */
function torchNetwork() {
  let x = layers.input([20, 14, 3]);
  x = layers.conv2d(x, { ...around, filters: 4, useBias: false, name: "0" });
  x = layers.batchNormalization(x, { epsilon: 1e-5, name: "1" });
  x = layers.relu(x, { name: "2" });
  x = layers.depthwiseConv2d(x, { ...around, name: "3" });
  x = layers.batchNormalization(x, { epsilon: 1e-5, name: "4" });
  x = layers.maxPooling2d(x, around);
  x = layers.separableConv2d(x, { ...around, filters: 5, useBias: false, name: "6" });
  x = layers.globalAveragePooling2d(x);
  return network("torch", layers.dense(x, { units: 3, activation: "softmax", name: "10" }));
}

/** Our weights that PyTorch trains, in its order, and its names. */
const torchNames = [
  "0.weight",
  "1.weight",
  "1.bias",
  "3.weight",
  "3.bias",
  "4.weight",
  "4.bias",
  "6.weight",
  "7.weight",
  "10.weight",
  "10.bias",
];

const net = torchNetwork();
const trainable = networkWeights(net).filter((spec) => spec.trainable);

/** As tests/golden/torch-gradients.py draws them. */
function torchWeights() {
  const drawn = (spec: WeightSpec) => {
    const index = trainable.indexOf(spec);
    if (index < 0) return floatTensor(spec.shape).data.fill(spec.role === "movingMean" ? 0 : 1);
    const random = mulberry32(index + 1);
    const shape = torchShape(spec);
    const scale = shape.length > 1 ? Math.sqrt(6 / sizeOf(shape.slice(1))) : 0.1;
    const data = Float32Array.from({ length: sizeOf(shape) }, () => {
      return (2 * random() - 1) * scale + (spec.role === "gamma" ? 1 : 0);
    });
    return fromTorchLayout(spec, floatTensor(shape, data)).data;
  };
  return new Map(networkWeights(net).map((spec) => [spec.name, floatTensor(spec.shape, drawn(spec))]));
}

test("loss and gradients with PyTorch's padding are PyTorch's", async () => {
  expect(trainable).toHaveLength(torchNames.length);
  const random = mulberry32(1000);
  const pixels = Float32Array.from({ length: 2 * 20 * 14 * 3 }, () => 2 * random() - 1);
  const step = await TrainingStep.create(net, torchWeights(), {
    platform: nodePlatform,
    batchSize: 2,
    loss: softmaxCrossEntropy,
    optimizer: createOptimizer("sgd", { momentum: 0 }),
    gradientOutputs: true,
  });
  const targets = oneHot([0, 2], 3, 0);
  const { loss, logits, gradients } = await step.run({
    images: floatTensor([2, 20, 14, 3], pixels),
    targets,
    learningRate: 0.01,
  });
  await step.dispose();
  expect(loss).toBeCloseTo(golden.loss, 5);
  for (const [index, value] of golden.logits.flat().entries()) expect(logits.data[index]).toBeCloseTo(value, 5);
  for (const [index, spec] of trainable.entries()) {
    const name = torchNames[index] as keyof typeof golden.gradients;
    const expected = fromTorchLayout(
      spec,
      floatTensor(torchShape(spec), Float32Array.from(golden.gradients[name])),
    ).data;
    const difference = Math.max(...expected.map((value, at) => Math.abs(value - gradients.get(spec.name)!.data[at]!)));
    // Of gradients up to 5.9. What a batch normalization undoes has a gradient near 0, where PyTorch's own float32 errs as much.
    expect(difference, spec.name).toBeLessThan(5e-6);
  }
});

test.each(Object.keys(golden.maps) as (keyof typeof golden.maps)[])(
  "%s is that of PyTorch's autograd",
  async (method) => {
    const random = mulberry32(2000);
    const data = Uint8Array.from({ length: 20 * 14 * 3 }, () => Math.floor(256 * random()));
    const preprocessing = { ...kerasPreprocessing, fit: "fill", background: [0, 0, 0] } as const;
    const model = { network: net, weights: torchWeights(), labels: ["a", "b", "c"], preprocessing };
    await using explainer = new Explainer(await loadProbe(model, nodePlatform));
    const { map } = await explainer.explain({ width: 14, height: 20, data }, { method, layer: "2", label: "c" });
    expect(map.shape).toEqual([10, 7]);
    const expected = golden.maps[method].flat();
    const difference = Math.max(...expected.map((value, at) => Math.abs(value - map.data[at]!)));
    expect(difference / Math.max(...expected)).toBeLessThan(1e-4);
  },
);
