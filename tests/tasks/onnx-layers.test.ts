import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx.ts";
import * as layers from "../../src/graph/builder.ts";
import { network } from "../../src/graph/network.ts";
import { nodePlatform } from "../../src/runtime/node.ts";
import { loadWeights, openModel } from "../../src/tasks/open-weights.ts";
import { floatTensor, transpose } from "../../src/tensor/tensor.ts";
import { toEngineWeights } from "../../src/weights/engine-weights.ts";
import { formulaImages } from "../../src/weights/formula.ts";

const torch = (name: string) => new Uint8Array(readFileSync(join(root, `tests/golden/formats/torch-${name}.onnx`)));

/** The network of `tests/golden/torch-onnx.py`. */
function net(classes = 5) {
  let x = layers.conv2d(layers.input([21, 19, 3]), { filters: 8, kernelSize: 3, strides: 2, useBias: false });
  x = layers.relu(layers.batchNormalization(x));
  x = layers.separableConv2d(x, { filters: 16, kernelSize: 3, padding: "same", useBias: false });
  x = layers.relu(layers.batchNormalization(x));
  return network("net", layers.dense(layers.globalAveragePooling2d(x), { units: classes, name: "logits" }));
}

test("weights of a graph that PyTorch exported give its answers in our network", async () => {
  const { weights, report } = await loadWeights(net(), torch("plain"), nodePlatform);
  expect(report).toMatchObject({ taken: 13, missing: [], unexpected: [] });

  const images = formulaImages(1, [21, 19, 3]);
  const planes = transpose(floatTensor([21, 19, 3], images.data), [2, 0, 1]);
  const theirs = await nodePlatform.createSession(torch("plain"));
  const expected = (await theirs.run({ input: floatTensor([1, 3, 21, 19], planes.data) })).logits!.data;
  const { graph } = lower(net(), { mode: "inference", batchSize: 1 });
  const ours = await nodePlatform.createSession(toOnnx(graph, { weights: toEngineWeights(net(), weights) }));
  const actual = (await ours.run({ images })).logits!.data;
  for (const [index, value] of [...expected].entries()) {
    expect(Math.abs(Number(actual[index]) - Number(value))).toBeLessThan(1e-5);
  }
  await Promise.all([theirs.dispose(), ours.dispose()]);
});

test("what cannot be taken is refused with its reason", async () => {
  const refusal = (name: string, classes?: number) =>
    loadWeights(net(classes), torch(name), nodePlatform).catch((error: Error) => error.message);
  expect(await refusal("folded")).toMatchInlineSnapshot(
    `"file of 3297 bytes: its batch normalizations are folded into the convolutions, whose own weights are lost; expected a graph with BatchNormalization nodes. Export it again without constant folding, as for training; or convert the file that it was made from."`,
  );
  expect(await refusal("plain", 4)).toContain("of another shape: logits/kernel (16×5 instead of 16×4)");
  const other = network("other", layers.conv2d(layers.input([9, 9, 3]), { filters: 2, kernelSize: 1 }));
  expect(
    await loadWeights(other, torch("plain"), nodePlatform).catch((error: Error) => error.message),
  ).toMatchInlineSnapshot(
    `"file of 4123 bytes: its graph has other layers than the network; received "1 Conv2D, 1 SeparableConv2D, 0 DepthwiseConv2D, 1 Dense"; expected 1 Conv2D, 0 SeparableConv2D, 0 DepthwiseConv2D, 0 Dense."`,
  );
});

test("without a network, the file is described", async () => {
  expect(await openModel(torch("plain"), nodePlatform).catch((error: Error) => error.message)).toMatchInlineSnapshot(
    `"file of 4123 bytes: the file holds weights, but not their network; received "ONNX graph input → logits of 9 nodes: 3 Conv, 2 BatchNormalization, 2 Relu, 1 ReduceMean, 1 Gemm"; expected a whole model. Say which network they belong to."`,
  );
});
