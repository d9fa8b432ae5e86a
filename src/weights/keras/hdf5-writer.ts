import type { Network } from "../../graph/network.ts";
import { checkWeights } from "../../graph/weights.ts";
import { type Hdf5WriterGroup, writeHdf5 } from "../hdf5/writer.ts";
import type { Weights } from "../initialize.ts";
import { metadataKey } from "../metadata-key.ts";
import { kerasClassNumbers } from "./class-numbers.ts";
import { kerasModelConfig } from "./config-writer.ts";
import { legacyWeightNames } from "./weight-names.ts";

/**
 * Version of Keras whose layout the older `.h5` files have; its readers treat files without one as of Keras 1, and
 * rearrange their kernels.
 */
const legacyVersion = "2.15.0";

/** What a Keras file is written from. */
export interface KerasModelParts {
  readonly network: Network;
  readonly weights: Weights;
  /** A text of ours to put where Keras does not look: labels, preprocessing and the like. */
  readonly metadata?: string | undefined;
}

/**
 * The weights as Keras 3's `save_weights("….weights.h5")` writes them: by class and number.
 * @throws {WeightsError} they are not the network's.
 */
export async function writeKerasWeights(parts: KerasModelParts): Promise<Uint8Array> {
  const { network, weights, metadata } = parts;
  check(parts);
  const { layers } = network;
  const places = kerasClassNumbers(layers.map(({ config }) => config.type));
  return writeHdf5((root) => {
    layers.forEach((layer, index) => {
      const variables = root.group(`layers/${places[index]!}/vars`);
      variables.text("name", layer.name);
      for (const [each, { name }] of layer.weights.entries()) variables.tensor(String(each), weights.get(name)!);
    });
    root.group("vars").text("name", network.name);
    if (metadata !== undefined) root.text(metadataKey, metadata);
  });
}

/**
 * The weights as Keras 1 and 2 wrote them, and as keras.applications still reads them: lists of names in the order of the
 * layers, `block1_conv1/kernel:0`.
 * @throws {WeightsError} they are not the network's.
 */
export async function writeLegacyWeights(parts: KerasModelParts): Promise<Uint8Array> {
  check(parts);
  return writeHdf5((root) => {
    putLegacyLayers(root, parts);
    if (parts.metadata !== undefined) root.text(metadataKey, parts.metadata);
  });
}

/**
 * The whole model as Keras 2's `save("….h5")` wrote it, which Keras 3 still reads.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {UsageError} Keras has no layer for one of the network's.
 */
export async function writeLegacyModel(parts: KerasModelParts): Promise<Uint8Array> {
  check(parts);
  const config = kerasModelConfig(parts.network, "legacy");
  return writeHdf5((root) => {
    putVersion(root);
    root.text("model_config", JSON.stringify(config));
    putLegacyLayers(root.group("model_weights"), parts);
    if (parts.metadata !== undefined) root.text(metadataKey, parts.metadata);
  });
}

function check({ network, weights }: KerasModelParts): void {
  checkWeights(
    `weights of ${network.name}`,
    network.layers.flatMap((layer) => layer.weights),
    weights,
  );
}

function putLegacyLayers(group: Hdf5WriterGroup, { network, weights }: KerasModelParts): void {
  putVersion(group);
  group.text(
    "layer_names",
    network.layers.map(({ name }) => name),
  );
  for (const layer of network.layers) {
    const own = group.group(layer.name);
    const names = legacyWeightNames(layer).map((name) => `${name}:0`);
    own.text("weight_names", names);
    for (const [index, { name }] of layer.weights.entries()) own.tensor(names[index]!, weights.get(name)!);
  }
  // Where Keras 3 looks for variables of the model itself; there are none.
  group.group("top_level_model_weights").text("weight_names", []);
}

function putVersion(group: Hdf5WriterGroup): void {
  group.text("backend", "tensorflow");
  group.text("keras_version", legacyVersion);
}
