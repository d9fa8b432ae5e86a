import { fileURLToPath } from "node:url";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import type { ConfigOf, LayerConfig, LayerType } from "../../src/graph/layers.ts";
import type { Network } from "../../src/graph/network.ts";

type Builders = { readonly [T in LayerType]?: (config: ConfigOf<T>, name: string) => layers.layers.Layer | undefined };

const builders: Builders = {
  Conv2D: (config, name) =>
    layers.layers.conv2d({ ...windowOf(config), filters: config.filters, useBias: config.useBias, name }),
  SeparableConv2D: (config, name) =>
    layers.layers.separableConv2d({ ...windowOf(config), filters: config.filters, useBias: config.useBias, name }),
  BatchNormalization: ({ momentum, epsilon }, name) => layers.layers.batchNormalization({ momentum, epsilon, name }),
  Activation: ({ activation }, name) => layers.layers.activation({ activation: activation as "relu", name }),
  MaxPooling2D: ({ poolSize, strides, padding }, name) =>
    layers.layers.maxPooling2d({ poolSize: [...poolSize], strides: [...strides], padding, name }),
  GlobalAveragePooling2D: (_, name) => layers.layers.globalAveragePooling2d({ name }),
  Add: (_, name) => layers.layers.add({ name }),
  Dense: ({ units, activation }, name) => layers.layers.dense({ units, activation: activation as "softmax", name }),
};

/** The same network in TensorFlow.js on its wasm backend, with weights of its own: only its speed counts. */
export async function tfjsInference(network: Network): Promise<(pixels: Uint8Array) => Promise<unknown>> {
  setWasmPaths(fileURLToPath(new URL("./node_modules/@tensorflow/tfjs-backend-wasm/dist/", import.meta.url)));
  await tf.setBackend("wasm");
  await tf.ready();
  const outputs = new Map<string, layers.SymbolicTensor>();
  let input: layers.SymbolicTensor | undefined;
  for (const { name, config, inbound, outputShape } of network.layers) {
    if (config.type === "InputLayer") {
      input = layers.input({ shape: [...outputShape] });
      outputs.set(name, input);
      continue;
    }
    const builder = builders[config.type] as ((config: LayerConfig, name: string) => layers.layers.Layer) | undefined;
    if (!builder) throw new Error(`bench/peers: no TensorFlow.js layer for ${config.type}`);
    const sources = inbound.map((source) => outputs.get(source)!);
    const layer = builder(config, name);
    outputs.set(name, layer.apply(sources.length === 1 ? sources[0]! : sources) as layers.SymbolicTensor);
  }
  const model = layers.model({ inputs: input!, outputs: outputs.get(network.output)! });
  const [height, width, channels] = network.layers[0]!.outputShape as [number, number, number];
  return async (pixels) => {
    const probabilities = tf.tidy(() => {
      const images = tf.tensor4d(Float32Array.from(pixels), [1, height, width, channels]);
      return model.predict(tf.sub(tf.div(images, 127.5), 1)) as tf.Tensor;
    });
    const values = await probabilities.data();
    probabilities.dispose();
    return values;
  };
}

function windowOf({ kernelSize, strides, padding }: ConfigOf<"Conv2D"> | ConfigOf<"SeparableConv2D">) {
  return { kernelSize: [...kernelSize], strides: [...strides] as [number, number], padding };
}
