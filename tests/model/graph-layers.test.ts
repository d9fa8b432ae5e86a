import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { imageInput, lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import * as layers from "../../src/graph/builder.ts";
import { inputShapeOf, type Network, network } from "../../src/graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { toEngineWeights, type Weights } from "../../src/graph/weights.ts";
import { loadWeights, openModel } from "../../src/model/open-weights.ts";
import { alignedXception } from "../../src/models/aligned/network.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { floatTensor, transpose } from "../../src/tensor/tensor.ts";
import { readerOf } from "../formats/tfjs-model.ts";
import { foldedGraphModel, foldedOnnx, torchNet, torchXception, withTranspositions } from "./foreign-graphs.ts";
import { readingFiles } from "./reading-files.ts";

const golden = (name: string) => new Uint8Array(readFileSync(join(root, `tests/golden/formats/${name}`)));
const torch = (name: string) => golden(`torch-${name}.onnx`);

async function answers(of: Network, weights: Weights, pixels?: Float32Array): Promise<readonly number[]> {
  const { graph } = lower(of, { mode: "inference", batchSize: 1 });
  const session = await nodePlatform.engine.createSession(toOnnx(graph, { weights: toEngineWeights(of, weights) }));
  const shape = inputShapeOf(of) as [number, number, number];
  const images = floatTensor([1, ...shape], pixels ?? syntheticImages(1, shape).data);
  const { data } = (await session.run({ [imageInput]: images }))[of.output]!;
  await session.dispose();
  return [...data].map(Number);
}

/** Largest difference in units of the standard deviation of what is expected. */
function difference(actual: readonly number[], expected: readonly number[]): number {
  const mean = expected.reduce((sum, value) => sum + value, 0) / expected.length;
  const deviation = Math.sqrt(expected.reduce((sum, value) => sum + (value - mean) ** 2, 0) / expected.length);
  return Math.max(...expected.map((value, index) => Math.abs(actual[index]! - value))) / deviation;
}

function graphModel(of: Network, weights: Weights) {
  const { model, shards } = foldedGraphModel(of, weights);
  return readerOf({ ...shards, "model.json": new TextEncoder().encode(JSON.stringify(model)) });
}

const foldedNote = (count: number) =>
  `The file's batch normalizations (${count}) were folded into its kernels; they are set to neutral values here. Fine-tuning works; training statistics start over.`;

test.each(["plain", "folded"])("a graph that PyTorch exported, %s, gives its answers in our network", async (name) => {
  const { weights, report } = await loadWeights(torchNet(), torch(name), nodePlatform);
  // Folded: three kernels, the dense bias, and two betas.
  expect(report).toMatchObject({ taken: name === "plain" ? 13 : 7, missing: [], unexpected: [] });

  const images = syntheticImages(1, [21, 19, 3]);
  const planes = transpose(floatTensor([21, 19, 3], images.data), [2, 0, 1]);
  const theirs = await nodePlatform.engine.createSession(torch(name));
  const expected = (await theirs.run({ input: floatTensor([1, 3, 21, 19], planes.data) })).logits!.data;
  await theirs.dispose();
  expect(difference(await answers(torchNet(), weights), [...expected].map(Number))).toBeLessThan(1e-5);
});

test("an Xception of PyTorch, folded or as it is, gives PyTorch's logits", async () => {
  const ours = torchXception();
  const { weights, notes } = await loadWeights(ours, torch("xception"), nodePlatform);
  expect(notes).toEqual([
    "Only weights were loaded: epsilons and paddings are those of the network here, not of the file's graph.",
    foldedNote(19),
  ]);
  const { logits } = JSON.parse(new TextDecoder().decode(golden("torch-xception.json"))) as { logits: number[] };
  const pixels = Float32Array.from({ length: 71 * 80 * 3 }, (_, index) => Math.sin(0.37 * index));
  expect(difference(await answers(ours, weights, pixels), logits)).toBeLessThan(1e-5);
  for (const name of ["torch-xception.pth", "torch-xception-legacy.pth"]) {
    const unfolded = await loadWeights(ours, golden(name), nodePlatform);
    expect(difference(await answers(ours, unfolded.weights, pixels), logits)).toBeLessThan(1e-5);
  }
});

/** A convolution with a bias before its normalization, depthwise ones of their own, branches, one normalization behind a sum. */
function branched() {
  const image = layers.input([12, 11, 3]);
  const a = layers.batchNormalization(layers.conv2d(image, { filters: 6, kernelSize: 3, padding: "same", name: "a" }));
  let b = layers.conv2d(image, { filters: 6, kernelSize: 1, useBias: false, name: "b" });
  b = layers.depthwiseConv2d(b, { kernelSize: 3, padding: "same", useBias: false, name: "c" });
  b = layers.relu(layers.batchNormalization(b));
  b = layers.batchNormalization(layers.conv2d(b, { filters: 6, kernelSize: 1, useBias: false, name: "d" }));
  let x = layers.relu(layers.batchNormalization(layers.add([a, b]), { name: "after_sum" }));
  x = layers.globalAveragePooling2d(layers.conv2d(x, { filters: 4, kernelSize: 3, name: "e" }));
  return network("branched", layers.dense(x, { units: 3, name: "logits" }));
}

const small = { inputShape: [71, 75, 3], classes: 4, width: 0.02, classifierActivation: "none" } as const;

test.each([
  { title: "Xception", of: xception({ ...small, middleFlowRepeats: 1 }), folded: 19 },
  {
    title: "the tutorial's variant",
    of: xception({ ...small, middleFlowRepeats: 1, variant: "tutorial" }),
    folded: 19,
  },
  {
    title: "xception41, normalized between its steps",
    of: alignedXception({ ...small, variant: "41" }),
    folded: 84,
  },
  {
    title: "xception41p, normalized before convolutions",
    of: alignedXception({ ...small, variant: "41p" }),
    folded: 28,
  },
  { title: "a network with branches", of: branched(), folded: 2 },
])("$title, folded and with names that say nothing, gives the same answers", async ({ of, folded }) => {
  const weights = syntheticWeights(of);
  const expected = await answers(of, weights);
  const opened = await loadWeights(of, foldedOnnx(of, weights), nodePlatform);
  expect(opened.notes.at(-1)).toBe(foldedNote(folded));
  expect(difference(await answers(of, opened.weights), expected)).toBeLessThan(1e-5);

  const graph = await loadWeights(of, "model.json", readingFiles(graphModel(of, weights)));
  const normalizations = of.layers.filter(({ config }) => config.type === "BatchNormalization");
  expect(graph.notes).toEqual([foldedNote(normalizations.length)]);
  expect(graph.report).toMatchObject({ missing: [], unexpected: [], wrongShape: [] });
  expect(difference(await answers(of, graph.weights), expected)).toBeLessThan(1e-5);
});

test("transpositions as tf2onnx writes them are followed", async () => {
  for (const of of [branched(), torchXception()]) {
    const weights = syntheticWeights(of);
    const bytes = withTranspositions(foldedOnnx(of, weights));
    const session = await nodePlatform.engine.createSession(bytes);
    const shape = inputShapeOf(of) as [number, number, number];
    const images = floatTensor([1, ...shape], syntheticImages(1, shape).data);
    const theirs = [...(await session.run({ [imageInput]: images }))[of.output]!.data].map(Number);
    await session.dispose();
    expect(difference(theirs, await answers(of, weights))).toBeLessThan(1e-5);
    const opened = await loadWeights(of, bytes, nodePlatform);
    expect(difference(await answers(of, opened.weights), theirs)).toBeLessThan(1e-5);
  }
});

test("what the graph computes otherwise than the network is said", async () => {
  const { notes } = await loadWeights(torchNet(), torch("plain"), nodePlatform);
  expect(notes).toHaveLength(1);
  const options = { inputShape: [71, 80, 3], classes: 3, width: 0.02, middleFlowRepeats: 1 } as const;
  const asInKeras = await loadWeights(xception(options), torch("xception"), nodePlatform);
  expect(asInKeras.notes.at(-1)).toBe(
    "Its pooling is padded differently: predictions will differ. --architecture legacy_xception pads as PyTorch does.",
  );
  const image = layers.input([21, 19, 3]);
  let x = layers.conv2d(image, { filters: 8, kernelSize: 3, strides: 2, useBias: false });
  x = layers.relu(layers.batchNormalization(x, { epsilon: 0.01 }));
  x = layers.separableConv2d(x, { filters: 16, kernelSize: 3, padding: "same", useBias: false });
  x = layers.globalAveragePooling2d(layers.relu(layers.batchNormalization(x, { epsilon: 0.01 })));
  const other = network("other", layers.dense(x, { units: 5 }));
  expect((await loadWeights(other, torch("plain"), nodePlatform)).notes.at(-1)).toBe(
    "Its normalizations have epsilon 0.001, this network's 0.01: predictions will differ slightly.",
  );
});

test("neutral values add up to exactly 1 in float32, and a bias goes into beta", async () => {
  for (const epsilon of [1e-3, 1e-5, 1e-4, 2e-5, 0.37, 1]) {
    const variance = Math.fround(1 - Math.fround(epsilon));
    expect(Math.fround(variance + Math.fround(epsilon))).toBe(1);
  }
  const of = branched();
  const { weights } = await loadWeights(of, "model.json", readingFiles(graphModel(of, syntheticWeights(of))));
  expect([...weights.get("a/bias")!.data]).toEqual([0, 0, 0, 0, 0, 0]);
  expect(new Set(weights.get("batch_normalization/gamma")!.data)).toEqual(new Set([1]));
  expect(new Set(weights.get("batch_normalization/moving_mean")!.data)).toEqual(new Set([0]));
  expect(new Set(weights.get("batch_normalization/moving_variance")!.data)).toEqual(
    new Set([Math.fround(1 - Math.fround(1e-3))]),
  );
});

test("what cannot be taken is refused with its reason", async () => {
  const refusal = (of: Network, bytes: Uint8Array) =>
    loadWeights(of, bytes, nodePlatform).catch((error: Error) => error.message);
  expect(await refusal(torchNet(4), torch("plain"))).toContain(
    "of another shape: logits/kernel (16×5 instead of 16×4)",
  );
  expect(await refusal(torchNet(4), torch("folded"))).toContain(
    "of another shape: logits/kernel (16×5 instead of 16×4)",
  );
  const other = network("other", layers.conv2d(layers.input([9, 9, 3]), { filters: 2, kernelSize: 1 }));
  expect(await refusal(other, torch("plain"))).toMatchInlineSnapshot(
    `"file of 4123 bytes: its layers differ from the network's; received "2 convolutions, 1 depthwise convolution, 1 dense layer"; expected 1 convolution, 0 depthwise convolutions, 0 dense layers. Name the network of its weights: architecture, width and other options."`,
  );
  expect(await refusal(torchNet(), foldedOnnx(branched(), syntheticWeights(branched())))).toMatchInlineSnapshot(
    `"file of 4333 bytes: its layers differ from the network's; received "4 convolutions, 1 depthwise convolution, 1 dense layer"; expected 2 convolutions, 1 depthwise convolution, 1 dense layer. Name the network of its weights: architecture, width and other options."`,
  );
  // The same parts, but the second convolution reads the images, not the first one.
  const conv = (x: layers.LayerOutput, name: string) => layers.conv2d(x, { filters: 3, kernelSize: 1, name });
  const image = layers.input([9, 9, 3]);
  const inTurn = network("in_turn", conv(conv(image, "one"), "two"));
  const again = layers.input([9, 9, 3]);
  const sideBySide = network("side_by_side", layers.add([conv(again, "one"), conv(again, "two")]));
  expect(await refusal(sideBySide, foldedOnnx(inTurn, syntheticWeights(inTurn)))).toMatchInlineSnapshot(
    `"file of 666 bytes: its graph is connected differently: the counterpart of "two" reads other results; received ["onnx::Conv_512"]; expected the results of no layer, only the images."`,
  );
});

test("without a network, the file is described", async () => {
  expect(await openModel(torch("plain"), nodePlatform).catch((error: Error) => error.message)).toMatchInlineSnapshot(
    `"file of 4123 bytes: the file holds only weights, without their network; received "ONNX graph input → logits of 9 nodes: 3 Conv, 2 BatchNormalization, 2 Relu, 1 ReduceMean, 1 Gemm"; expected a whole model. Name the network: convert has flags for it; in code, use loadWeights."`,
  );
});
