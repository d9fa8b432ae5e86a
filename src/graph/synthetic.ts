import { mulberry32 } from "../tensor/random.ts";
import { type Shape, sizeOf } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../tensor/tensor.ts";
import type { WeightSpec } from "./layer-weights.ts";
import { type Network, networkWeights } from "./network.ts";
import type { Weights } from "./weights.ts";

/**
 * Synthetic weights, so that golden values need no weight file: weight number i, in the order of the network's layers,
 * holds u(k) = value k of mulberry32 with seed i + 1, and r = 2u − 1: gamma 1 + 0.1r; variance 1 + 0.5u; beta, mean and
 * bias 0.1r; depthwise kernels r·√(3/(kh·kw)); other kernels r·√(6/fan-in).
 */
export function syntheticWeights(network: Network): Weights {
  return new Map(networkWeights(network).map((spec, index) => [spec.name, syntheticTensor(spec, index)]));
}

function syntheticTensor({ role, shape }: WeightSpec, index: number): FloatTensor {
  const fanIn = sizeOf(shape.slice(0, -1));
  const kernel = [0, Math.sqrt(6 / fanIn)] as const;
  const small = [0, 0.1] as const;
  const [offset, scale] = {
    gamma: [1, 0.1] as const,
    beta: small,
    bias: small,
    movingMean: small,
    movingVariance: oneToOneAndAHalf,
    depthwiseKernel: [0, Math.sqrt(3 / (shape[0]! * shape[1]!))] as const,
    kernel,
    pointwiseKernel: kernel,
    denseKernel: kernel,
  }[role];
  return drawn(shape, index, offset, scale);
}

/** Offset and scale of 1 + 0.5u as a multiple of r: 1.25 + 0.25r. */
const oneToOneAndAHalf = [1.25, 0.25] as const;

/** Tensor number `index` of a file: offset + scale · r of each random number. */
function drawn(shape: Shape, index: number, offset: number, scale: number): FloatTensor {
  const random = mulberry32(index + 1);
  const data = new Float32Array(sizeOf(shape));
  for (let k = 0; k < data.length; k++) data[k] = offset + scale * (2 * random() - 1);
  return floatTensor(shape, data);
}

/**
 * A synthetic tensor of a PyTorch `state_dict`, in PyTorch's layout.
 * @param index its position among all entries, including counters.
 */
export function torchSyntheticTensor(name: string, shape: Shape, index: number): FloatTensor {
  const isMean = name.endsWith("running_mean") || name.endsWith("bias");
  if (name.endsWith("running_var")) return drawn(shape, index, ...oneToOneAndAHalf);
  if (isMean || shape.length === 1) return drawn(shape, index, isMean ? 0 : 1, 0.1);
  return drawn(shape, index, 0, Math.sqrt((shape[1] === 1 ? 3 : 6) / sizeOf(shape.slice(1))));
}

/**
 * The synthetic image for these weights, with values about −1 … 1, `[batch, H, W, C]`: 0.5·sin(3x + channel + b)·cos(2y
 * − channel) + 0.5·noise, x and y from −1 to 1 across width and height, noise 2u − 1 of seed `firstSeed + b` in the
 * order of the pixels.
 * @param firstSeed 1000 for inference, 3000 for training.
 */
export function syntheticImages(
  batch: number,
  shape: readonly [number, number, number],
  firstSeed = 1000,
): FloatTensor {
  const [height, width, channels] = shape;
  const images = floatTensor([batch, ...shape]);
  let index = 0;
  for (let b = 0; b < batch; b++) {
    const random = mulberry32(firstSeed + b);
    for (let row = 0; row < height; row++) {
      const y = -1 + (2 * row) / (height - 1);
      for (let column = 0; column < width; column++) {
        const x = -1 + (2 * column) / (width - 1);
        for (let channel = 0; channel < channels; channel++) {
          const wave = Math.sin(3 * x + channel + b) * Math.cos(2 * y - channel);
          images.data[index++] = 0.5 * wave + 0.5 * (2 * random() - 1);
        }
      }
    }
  }
  return images;
}
