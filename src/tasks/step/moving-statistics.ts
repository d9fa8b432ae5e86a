import type { Network } from "../../graph/network.ts";

/**
 * How much of its old value a moving statistic of batch normalization keeps at each step of a training.
 *
 * Keras's 0.99 is made for epochs of thousands of steps. With 31 steps in an epoch, the network as it is tested would
 * still normalize by its initial statistics, and give every image the same class, for many epochs after it has learned.
 * So the statistics look back over a third of an epoch, at least 5 steps: what lies before the epoch then counts e⁻³, 5 %.
 * @param own the network's momentum, which it does not exceed.
 */
export function statisticsMomentum(own: number, stepsPerEpoch: number): number {
  return Math.min(own, 1 - 1 / Math.max(5, stepsPerEpoch / 3));
}

/** The same network, its batch normalizations as slow to change as epochs of so many steps allow. */
export function withStatisticsFor(network: Network, stepsPerEpoch: number): Network {
  const layers = network.layers.map((layer) => {
    const { config } = layer;
    if (config.type !== "BatchNormalization") return layer;
    return { ...layer, config: { ...config, momentum: statisticsMomentum(config.momentum, stepsPerEpoch) } };
  });
  return { ...network, layers };
}
