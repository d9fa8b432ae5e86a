import type { Layer } from "../../graph/network.ts";

/**
 * Names of a layer's weights in files of Keras 2 and TensorFlow.js, which loads them by these. They are those of the network,
 * but for a depthwise convolution's kernel, which only Keras 3 calls `kernel`.
 */
export function legacyWeightNames({ config, weights }: Pick<Layer, "config" | "weights">): readonly string[] {
  const isDepthwise = config.type === "DepthwiseConv2D";
  return weights.map(({ name }) => (isDepthwise ? name.replace(/\/kernel$/, "/depthwise_kernel") : name));
}
