import { strToU8, zipSync } from "fflate";
import { type Layer, type Network, networkWeights } from "../../graph/network.ts";
import { checkWeights, type Weights } from "../../graph/weights.ts";
import { metadataKey } from "../format.ts";
import { kerasClassNumbers } from "../map-weights.ts";
import { kerasModelConfig } from "./config-writer.ts";
import { type Hdf5WriterGroup, writeHdf5 } from "./hdf5.ts";

/** The version whose layout older `.h5` files have; readers take files without one for Keras 1 and transpose kernels. */
export const legacyVersion = "2.15.0";

/** The version of Keras that introduced what we write; every later one reads it. */
const kerasVersion = "3.3.0";

/** A model to write into a file. */
export interface KerasModelParts {
  readonly network: Network;
  readonly weights: Weights;
  /** Our own JSON document, stored where Keras does not look: labels, preprocessing and the like. */
  readonly metadata?: string | undefined;
}

/**
 * Writes weights as Keras 3's `save_weights("….weights.h5")` does: by class and number.
 * @throws {WeightsError} they are not the network's.
 */
export function writeKerasWeights(model: KerasModelParts): Promise<Uint8Array> {
  const { layers, name } = model.network;
  const places = kerasClassNumbers(layers.map(({ config }) => config.type));
  return writeChecked(model, (root) => {
    layers.forEach((layer, index) => {
      const variables = root.group(`layers/${places[index]!}/vars`);
      variables.text("name", layer.name);
      for (const [each, spec] of layer.weights.entries()) {
        variables.tensor(String(each), model.weights.get(spec.name)!);
      }
    });
    root.group("vars").text("name", name);
  });
}

/**
 * Writes weights as Keras 1 and 2 did, and as keras.applications still reads them: lists of names in the order of the
 * layers, `block1_conv1/kernel:0`.
 * @throws {WeightsError} they are not the network's.
 */
export function writeLegacyWeights(model: KerasModelParts): Promise<Uint8Array> {
  return writeChecked(model, (root) => putLegacyLayers(root, model));
}

/**
 * Writes a whole model as Keras 2's `save("….h5")` did; Keras 3 still reads it.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {UsageError} Keras has no equivalent of one of the network's layers.
 */
export async function writeLegacyModel(model: KerasModelParts): Promise<Uint8Array> {
  const config = kerasModelConfig(model.network, "legacy");
  return writeChecked(model, (root) => {
    putVersion(root);
    root.text("model_config", JSON.stringify(config));
    putLegacyLayers(root.group("model_weights"), model);
  });
}

/**
 * Writes a whole model as Keras 3's `save("….keras")` does.
 * @param savedAt goes into the file, in UTC.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {UsageError} Keras has no equivalent of one of the network's layers.
 */
export async function writeKerasArchive({ metadata, ...model }: KerasModelParts, savedAt: Date): Promise<Uint8Array> {
  const config = kerasModelConfig(model.network, "keras 3");
  const about = {
    keras_version: kerasVersion,
    date_saved: savedAt.toISOString().slice(0, 19).replace("T", "@"),
    ...(metadata !== undefined && { [metadataKey]: metadata }),
  };
  const entries = {
    "metadata.json": strToU8(JSON.stringify(about)),
    "config.json": strToU8(JSON.stringify(config)),
    "model.weights.h5": await writeKerasWeights(model),
  };
  // Weights hardly compress, and Keras does not try; with zip's earliest date, equal models give equal files.
  return zipSync(entries, { level: 0, mtime: new Date(1980, 0, 1) });
}

async function writeChecked(model: KerasModelParts, write: (root: Hdf5WriterGroup) => void): Promise<Uint8Array> {
  const { network, weights, metadata } = model;
  checkWeights(`weights of ${network.name}`, networkWeights(network), weights);
  return writeHdf5((root) => {
    write(root);
    if (metadata !== undefined) root.text(metadataKey, metadata);
  });
}

function putLegacyLayers(group: Hdf5WriterGroup, { network: { layers }, weights }: KerasModelParts): void {
  putVersion(group);
  const layerNames = layers.map(({ name }) => name);
  group.text("layer_names", layerNames);
  for (const layer of layers) {
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

/**
 * Names of a layer's weights in files of Keras 2 and TensorFlow.js, which look weights up by name. They equal the network's
 * except for a depthwise convolution's kernel, which only Keras 3 calls `kernel`.
 */
export function legacyWeightNames({ config, weights }: Pick<Layer, "config" | "weights">): readonly string[] {
  const isDepthwise = config.type === "DepthwiseConv2D";
  return weights.map(({ name }) => (isDepthwise ? name.replace(/\/kernel$/, "/depthwise_kernel") : name));
}
