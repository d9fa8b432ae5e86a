import { deriveSeed, mulberry32 } from "../tensor/random.ts";
import { type FloatTensor, filledTensor, floatTensor } from "../tensor/tensor.ts";
import type { Initializer, WeightSpec } from "./layer-weights.ts";
import { type Network, networkWeights } from "./network.ts";
import type { Weights } from "./weights.ts";

/**
 * Initializes weights from the network's seed; each weight has its own random stream, so that a change in one layer
 * does not affect the others.
 */
export function initializeWeights(network: Network): Weights {
  return new Map(networkWeights(network).map((spec) => [spec.name, initialWeight(spec, network.seed)]));
}

/** Initializes one weight of a network that has this seed. */
export function initialWeight(spec: WeightSpec, seed: number): FloatTensor {
  return initializers[spec.initializer](spec, seed);
}

const initializers: Readonly<Record<Initializer, (spec: WeightSpec, seed: number) => FloatTensor>> = {
  zeros: ({ shape }) => floatTensor(shape),
  ones: ({ shape }) => filledTensor(shape, 1),
  // Uniform within ±√(6 / (fan-in + fan-out)) (Glorot and Bengio 2010). Keras counts a kernel's area into both fans.
  glorotUniform: ({ name, shape }, seed) => {
    const area = shape.slice(0, -2).reduce((product, size) => product * size, 1);
    const limit = Math.sqrt(6 / (area * (shape.at(-2)! + shape.at(-1)!)));
    const random = mulberry32(deriveSeed(seed, "initial", name));
    const tensor = floatTensor(shape);
    for (let index = 0; index < tensor.data.length; index++) tensor.data[index] = (2 * random() - 1) * limit;
    return tensor;
  },
};
