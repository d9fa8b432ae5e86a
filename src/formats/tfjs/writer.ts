import { crc32 } from "../../base/checksums.ts";
import { networkWeights } from "../../graph/network.ts";
import { checkWeights } from "../../graph/weights.ts";
import { type FileGroup, metadataKey } from "../format.ts";
import { kerasModelConfig } from "../keras/config-writer.ts";
import { type KerasModelParts, legacyVersion, legacyWeightNames } from "../keras/writer.ts";
import { concatenated } from "./manifest.ts";

/** The shard size of TensorFlow.js's converter, small enough for browsers to cache. */
const shardBytes = 4 * 2 ** 20;

/**
 * Writes a TensorFlow.js layers model: `model.json`, and the weights next to it in shards of 4 MiB, named by their content,
 * so that writing another model to the same folder never mixes the two.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {UsageError} Keras, whose layers TensorFlow.js has, has no equivalent of one of the network's.
 */
export function writeTfjsModel({ network, weights, metadata }: KerasModelParts): FileGroup {
  const specs = networkWeights(network);
  const names = network.layers.flatMap(legacyWeightNames);
  checkWeights(`weights of ${network.name}`, specs, weights);
  const content = concatenated(
    specs.map(({ name }) => {
      const { buffer, byteOffset, byteLength } = weights.get(name)!.data;
      return new Uint8Array(buffer, byteOffset, byteLength);
    }),
  );
  const count = Math.ceil(content.length / shardBytes);
  const stem = `group1-${crc32(content).toString(16).padStart(8, "0")}`;
  const shards = Array.from({ length: count }, (_, index): [string, Uint8Array] => [
    `${stem}-shard${index + 1}of${count}.bin`,
    content.subarray(index * shardBytes, (index + 1) * shardBytes),
  ]);
  const paths = shards.map(([name]) => name);
  const manifest = specs.map(({ shape }, index) => ({ name: names[index]!, shape, dtype: "float32" }));
  const model = {
    format: "layers-model",
    generatedBy: "xception-ts",
    convertedBy: null,
    ...(metadata !== undefined && { userDefinedMetadata: { [metadataKey]: metadata } }),
    modelTopology: {
      keras_version: legacyVersion,
      backend: "tensorflow",
      model_config: kerasModelConfig(network, "legacy"),
    },
    weightsManifest: [{ paths, weights: manifest }],
  };
  return { bytes: new TextEncoder().encode(JSON.stringify(model)), beside: new Map(shards) };
}
