import type { Network } from "../graph/network.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import type { Weights } from "./initialize.ts";

/** Which of Keras's kinds of file it is; `h5` holds a whole model, `h5 weights` and `weights.h5` its weights alone. */
export type KerasFormat = "keras" | "h5" | "h5 weights" | "weights.h5";

/** What a file of Keras holds, as it stands there. */
export interface KerasFile {
  readonly format: KerasFormat;
  /** The layers that have weights, in the order of the file. */
  readonly layers: readonly StoredLayer[];
  /** The network as JSON, if it is in the file. */
  readonly config?: string;
  /** Our JSON document, if we wrote the file. */
  readonly metadata?: string;
}

/** A layer's weights as a file holds them. */
export interface StoredLayer {
  /** What its author named it, where the file says so. */
  readonly name: string;
  /** After its class and its number among the layers of this class, from files that go by that: `conv2d_1`. */
  readonly alias?: string;
  /** In the file's order, which in Keras's files is that of the layer. */
  readonly weights: readonly StoredWeight[];
}

export interface StoredWeight {
  /** Where it is in the file, for messages. */
  readonly path: string;
  /** Undefined if the file lacks it, or files are not there that it is in. */
  readonly tensor?: FloatTensor;
  /** Those files. */
  readonly absent?: readonly string[];
}

/** A network's weights as a file holds them: the layers that have some, in the order of the network. */
export function storedLayersOf(network: Network, weights: Weights): readonly StoredLayer[] {
  return network.layers.flatMap(({ name, weights: specs }): StoredLayer[] => {
    const stored = specs.map((spec) => ({ path: spec.name, tensor: weights.get(spec.name)! }));
    return stored.length > 0 ? [{ name, weights: stored }] : [];
  });
}

/** Names and shapes of weights, as their file has them. */
export function shapesOf(layers: readonly StoredLayer[]) {
  return layers.flatMap(({ weights }) =>
    weights.map(({ path, tensor }) => ({ name: path, shape: tensor?.shape ?? null })),
  );
}
