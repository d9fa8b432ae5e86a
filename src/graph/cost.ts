import { type Shape, sizeOf } from "../tensor/shape.ts";
import type { Layer, Network } from "./network.ts";

/** Cost of a convolution or a fully connected layer for one image. */
export interface Cost {
  /** Weights in its kernels, biases not counted. */
  readonly weights: number;
  /** Multiply-accumulates (MACs). */
  readonly multiplications: number;
}

/** A separable convolution and the ordinary one that it replaces. */
export interface ConvolutionComparison {
  readonly depthwise: Cost;
  readonly pointwise: Cost;
  /** Both steps. */
  readonly separable: Cost;
  /** One kernel over all channels at once, with the same window and filters. */
  readonly ordinary: Cost;
}

export interface LayerCost extends Cost {
  readonly name: string;
  readonly type: "Conv2D" | "SeparableConv2D" | "DepthwiseConv2D" | "Dense";
  /** Kernel size, `[height, width]`; a fully connected layer has none. */
  readonly kernelSize?: Shape;
  readonly inputChannels: number;
  readonly outputShape: Shape;
  /** Separable convolutions only. */
  readonly comparison?: ConvolutionComparison;
}

/** Cost of a network's convolutions and fully connected layers at its own image size. */
export interface NetworkCost {
  readonly name: string;
  /** Layers that multiply by kernels, in the order of the network. */
  readonly layers: readonly LayerCost[];
  readonly total: Cost;
  /** The same network with an ordinary convolution in place of each separable one. */
  readonly ordinaryTotal: Cost;
}

/**
 * Counts weights and multiplications layer by layer. Batch normalization, activations, pooling and additions are not counted: they
 * cost little, and for inference normalization is folded into the convolutions.
 */
export function networkCost(network: Network): NetworkCost {
  const layers = network.layers.flatMap((layer) => layerCost(layer) ?? []);
  return {
    name: network.name,
    layers,
    total: sumCosts(layers),
    ordinaryTotal: sumCosts(layers.map(ordinaryCost)),
  };
}

/**
 * Compares the two kinds of convolution without a network.
 * @example
 * const { ordinary, separable } = compareConvolutions({
 *   kernelSize: [3, 3], inputChannels: 3, filters: 64, outputSize: [147, 147],
 * });
 * ordinary.weights; // 1728
 * separable.weights; // 27 + 192 = 219
 */
export function compareConvolutions(convolution: {
  readonly kernelSize: readonly [height: number, width: number];
  readonly inputChannels: number;
  readonly filters: number;
  /** Size of its output feature maps, `[height, width]`. */
  readonly outputSize: readonly [height: number, width: number];
}): ConvolutionComparison {
  const { inputChannels, filters, outputSize } = convolution;
  const window = sizeOf(convolution.kernelSize);
  const positions = sizeOf(outputSize);
  const depthwise = kernelCost(window * inputChannels, positions);
  const pointwise = kernelCost(inputChannels * filters, positions);
  return {
    depthwise,
    pointwise,
    separable: sumCosts([depthwise, pointwise]),
    ordinary: kernelCost(window * inputChannels * filters, positions),
  };
}

function layerCost({ name, config, outputShape, weights }: Layer): LayerCost | undefined {
  const kernel = weights[0]?.shape ?? [];
  const [height = 1, width = 1] = outputShape.slice(0, -1);
  const inputChannels = kernel.at(-2)!;
  switch (config.type) {
    case "Conv2D":
    case "DepthwiseConv2D": {
      const { type, kernelSize } = config;
      return { name, type, kernelSize, inputChannels, outputShape, ...kernelCost(sizeOf(kernel), height * width) };
    }
    case "SeparableConv2D": {
      const { type, kernelSize, filters } = config;
      const comparison = compareConvolutions({ kernelSize, inputChannels, filters, outputSize: [height, width] });
      return { name, type, kernelSize, inputChannels, outputShape, ...comparison.separable, comparison };
    }
    case "Dense":
      return { name, type: config.type, inputChannels, outputShape, ...kernelCost(sizeOf(kernel), 1) };
    default:
      return undefined;
  }
}

/** Each number of a kernel is multiplied once at each position of the output. */
function kernelCost(weights: number, positions: number): Cost {
  return { weights, multiplications: weights * positions };
}

/** Sum of some costs. */
export function sumCosts(costs: readonly Cost[]): Cost {
  const total = (key: keyof Cost) => costs.reduce((sum, cost) => sum + cost[key], 0);
  return { weights: total("weights"), multiplications: total("multiplications") };
}

/** The cost of the layer with an ordinary convolution in place of a separable one. */
export function ordinaryCost(layer: LayerCost): Cost {
  return layer.comparison?.ordinary ?? layer;
}
