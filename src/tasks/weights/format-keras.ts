import type { Shape } from "../../tensor/shape.ts";
import { isHdf5, kerasFileJob, kerasFileLimits, readKerasFile } from "../../weights/keras/file.ts";
import { networkFromKeras } from "../../weights/keras/network.ts";
import { shapesOf } from "../../weights/map-weights.ts";
import { isZip } from "../../weights/zip.ts";
import { networkOf } from "../model/model-file.ts";
import { type ModelDescription, readMetadata } from "../model/model-metadata.ts";
import type { WeightsFile, WeightsFormat, WeightsSource } from "./weights-file.ts";

/** `.h5` with a whole model or its weights, and `.weights.h5`. */
export const kerasHdf5Format: WeightsFormat = {
  title: "HDF5 of Keras (.h5, .hdf5, .weights.h5)",
  recognizes: isHdf5,
  open,
};

/** `.keras`. */
export const kerasArchiveFormat: WeightsFormat = {
  title: "a zip archive of Keras (.keras)",
  recognizes: isZip,
  open,
};

async function open({ bytes, isDisposable, where, isolate }: WeightsSource): Promise<WeightsFile> {
  const limits = kerasFileLimits(bytes);
  const read = isolate ? isolate(kerasFileJob(bytes, where, isDisposable), limits) : readKerasFile(bytes, where);
  const { format, layers, config, metadata: text } = await read;
  return {
    format,
    layers: () => ({ layers }),
    stored: () => shapesOf(layers),
    ...describedBy({ config, metadata: text === undefined ? undefined : readMetadata(text, where) }, where),
  };
}

/** What a file says of its network: as Keras describes it, in our own words, both, or neither. */
export function describedBy(
  { config, metadata }: { readonly config?: string | undefined; readonly metadata?: ModelDescription | undefined },
  where: string,
): Pick<WeightsFile, "describedNetwork" | "metadata"> {
  if (config !== undefined) {
    const describedNetwork = (inputShape?: Shape) => networkFromKeras(config, { where, inputShape });
    return { describedNetwork, ...(metadata && { metadata }) };
  }
  if (metadata === undefined) return {};
  return { describedNetwork: () => ({ network: networkOf(metadata.architecture, where) }), metadata };
}
