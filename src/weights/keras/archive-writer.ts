import { strToU8, zipSync } from "fflate";
import { metadataKey } from "../metadata-key.ts";
import { kerasModelConfig } from "./config-writer.ts";
import { type KerasModelParts, writeKerasWeights } from "./hdf5-writer.ts";

/** The version of Keras that introduced what we write; every later one reads it. */
const kerasVersion = "3.3.0";

/**
 * A whole model as Keras 3's `save("….keras")` writes it.
 * @param savedAt goes into the file, in UTC.
 * @throws {WeightsError} the weights are not the network's.
 * @throws {UsageError} Keras has no layer for one of the network's.
 */
export async function writeKerasArchive({ metadata, ...parts }: KerasModelParts, savedAt: Date): Promise<Uint8Array> {
  const config = kerasModelConfig(parts.network, "keras 3");
  const about = {
    keras_version: kerasVersion,
    date_saved: savedAt.toISOString().slice(0, 19).replace("T", "@"),
    ...(metadata !== undefined && { [metadataKey]: metadata }),
  };
  const entries = {
    "metadata.json": strToU8(JSON.stringify(about)),
    "config.json": strToU8(JSON.stringify(config)),
    "model.weights.h5": await writeKerasWeights(parts),
  };
  // Weights hardly compress, and Keras does not try; zip's earliest date makes equal models equal files.
  return zipSync(entries, { level: 0, mtime: new Date(1980, 0, 1) });
}
