/**
 * Does the real TensorFlow.js load the layers models that we write, and compute with them what ONNX Runtime computes?
 *
 *     (cd bench/peers && npm ci) && npx tsx bench/peers/written-model.ts
 */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as layers from "@tensorflow/tfjs-layers";
import { lower } from "../../src/compiler/lower.ts";
import { toOnnx } from "../../src/compiler/onnx/onnx.ts";
import { writeTfjsModel } from "../../src/formats/tfjs/writer.ts";
import { inputShapeOf, type Network } from "../../src/graph/network.ts";
import { syntheticImages, syntheticWeights } from "../../src/graph/synthetic.ts";
import { toEngineWeights, type Weights } from "../../src/graph/weights.ts";
import { alignedXception } from "../../src/models/aligned/network.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";

async function inTfjs(network: Network, weights: Weights, images: Float32Array): Promise<ArrayLike<number>> {
  const { bytes, beside } = writeTfjsModel({ network, weights });
  const { modelTopology, weightsManifest } = JSON.parse(new TextDecoder().decode(bytes));
  const content = await new Blob([...beside.values()] as BlobPart[]).arrayBuffer();
  const handler = {
    load: async () => ({ modelTopology, weightSpecs: weightsManifest[0].weights, weightData: content }),
  };
  const model = await layers.loadLayersModel(handler);
  return (model.predict(tf.tensor(images, [2, ...inputShapeOf(network)])) as tf.Tensor).data();
}

async function inOnnxRuntime(network: Network, weights: Weights, images: Float32Array): Promise<ArrayLike<number>> {
  const { graph } = lower(network, { mode: "inference", batchSize: 2 });
  const session = await nodePlatform.engine.createSession(
    toOnnx(graph, { weights: toEngineWeights(network, weights) }),
  );
  const shape = [2, ...inputShapeOf(network)];
  const outputs = await session.run({ images: { type: "float32", shape, data: images } });
  await session.dispose();
  return outputs[network.output]!.data as Float32Array;
}

const sizes = { inputShape: [75, 71, 3], width: 0.25, classes: 10 } as const;
for (const options of [
  sizes,
  { ...sizes, variant: "tutorial", dropout: 0.5 },
  { ...sizes, residual: false, fcUnits: [16], classifierActivation: "sigmoid" },
  { inputShape: [75, 71, 3], width: 0.25, includeTop: false, pooling: "max" },
  { ...sizes, variant: "41" },
  { ...sizes, variant: "65p" },
] as const) {
  const network = "variant" in options && options.variant !== "tutorial" ? alignedXception(options) : xception(options);
  const weights = syntheticWeights(network);
  const { data } = syntheticImages(2, sizes.inputShape);
  const [theirs, ours] = [await inTfjs(network, weights, data), await inOnnxRuntime(network, weights, data)];
  const largest = Math.max(...Array.from(ours, Math.abs));
  const difference = Math.max(...Array.from(ours, (value, index) => Math.abs(value - theirs[index]!)));
  console.log(
    `${JSON.stringify(options)}: ${ours.length} outputs up to ${largest.toFixed(4)}, largest difference ${difference}`,
  );
  if (ours.length !== theirs.length || !(difference < 1e-4 * largest)) process.exitCode = 1;
}
