import { engineShape, fromEngineLayout, toEngineLayout } from "../graph/engine-layout.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import type { Shape } from "../tensor/shape.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import { checkWeights } from "./check-weights.ts";
import type { Weights } from "./initialize.ts";

/**
 * A network's weights in the engine's layout, under the same names.
 * @throws {WeightsError} they are not the network's.
 */
export function toEngineWeights(network: Network, weights: Weights): ReadonlyMap<string, FloatTensor> {
  const specs = networkWeights(network);
  checkWeights(`weights of ${network.name}`, specs, weights);
  return new Map(specs.map((spec) => [spec.name, toEngineLayout(spec, weights.get(spec.name)!)]));
}

/**
 * A network's weights in Keras's layout, from tensors in the engine's; other tensors may be among them.
 * @param where what errors call the source, e.g. a file.
 * @throws {WeightsError} a weight is missing or has another shape.
 */
export function fromEngineWeights(
  network: Network,
  tensors: ReadonlyMap<string, { readonly shape: Shape; readonly read: () => FloatTensor }>,
  where: string,
): Weights {
  checkEngineWeights(network, tensors, where);
  // Read one by one, so that not all are there twice.
  return new Map(
    networkWeights(network).map((spec) => [spec.name, fromEngineLayout(spec, tensors.get(spec.name)!.read())]),
  );
}

/**
 * Makes sure that a network's weights are among tensors in the engine's layout.
 * @throws as {@link fromEngineWeights}.
 */
export function checkEngineWeights(
  network: Network,
  tensors: ReadonlyMap<string, { readonly shape: Shape }>,
  where: string,
): void {
  const stored = networkWeights(network).map((spec) => ({ name: spec.name, shape: engineShape(spec) }));
  const own = stored.flatMap(({ name }) => (tensors.has(name) ? [[name, tensors.get(name)!] as const] : []));
  checkWeights(where, stored, new Map(own));
}
