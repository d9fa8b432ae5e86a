import { crc32 } from "../../checksums.ts";
import { networkWeights } from "../../graph/network.ts";
import { checkWeights } from "../../graph/weights.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { kerasModelConfig } from "../keras/config-writer.ts";
import type { KerasModelParts } from "../keras/hdf5-writer.ts";
import { legacyWeightNames } from "../keras/weight-names.ts";
import { metadataKey } from "../metadata-key.ts";

/** A file and others beside it that it names. */
export interface FileGroup {
  readonly bytes: Uint8Array;
  /** By name. */
  readonly beside: ReadonlyMap<string, Uint8Array>;
}

/** As the converter of TensorFlow.js cuts them, so that browsers cache them. */
const shardBytes = 4 * 2 ** 20;

/**
 * A layers model of TensorFlow.js: its `model.json`, and the weights in shards of 4 MiB beside it. Their names tell their
 * content, so that writing another model to the same place never mixes the two.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {UsageError} Keras, whose layers TensorFlow.js has, has no layer for one of the network's.
 */
export function writeTfjsModel({ network, weights, metadata }: KerasModelParts): FileGroup {
  const specs = networkWeights(network);
  const names = network.layers.flatMap(legacyWeightNames);
  checkWeights(`weights of ${network.name}`, specs, weights);
  const content = concatenated(specs.map(({ name }) => weights.get(name)!));
  const count = Math.ceil(content.length / shardBytes);
  const stem = `group1-${crc32(content).toString(16).padStart(8, "0")}`;
  const shards = Array.from({ length: count }, (_, index): [string, Uint8Array] => [
    `${stem}-shard${index + 1}of${count}.bin`,
    content.subarray(index * shardBytes, (index + 1) * shardBytes),
  ]);
  const model = {
    format: "layers-model",
    generatedBy: "xception-ts",
    convertedBy: null,
    ...(metadata !== undefined && { userDefinedMetadata: { [metadataKey]: metadata } }),
    modelTopology: {
      keras_version: "2.15.0",
      backend: "tensorflow",
      model_config: kerasModelConfig(network, "legacy"),
    },
    weightsManifest: [
      {
        paths: shards.map(([name]) => name),
        weights: specs.map(({ shape }, index) => ({ name: names[index]!, shape, dtype: "float32" })),
      },
    ],
  };
  return { bytes: new TextEncoder().encode(JSON.stringify(model)), beside: new Map(shards) };
}

function concatenated(tensors: readonly FloatTensor[]): Uint8Array {
  const result = new Uint8Array(tensors.reduce((sum, { data }) => sum + data.byteLength, 0));
  let offset = 0;
  for (const { data } of tensors) {
    result.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return result;
}
