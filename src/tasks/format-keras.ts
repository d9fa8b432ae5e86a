import { isHdf5, readKerasFile } from "../weights/keras-file.ts";
import { networkFromKeras } from "../weights/keras-network.ts";
import { isZip } from "../weights/zip.ts";
import type { WeightsFile, WeightsFormat, WeightsSource } from "./weights-file.ts";

/** `.h5` with a whole model or its weights, and `.weights.h5`. */
export const kerasHdf5Format: WeightsFormat = {
  title: "HDF5 of Keras (.h5, .hdf5, .weights.h5)",
  recognises: isHdf5,
  open,
};

/** `.keras`. */
export const kerasArchiveFormat: WeightsFormat = {
  title: "a zip archive of Keras (.keras)",
  recognises: isZip,
  open,
};

async function open({ bytes, where }: WeightsSource): Promise<WeightsFile> {
  const { format, layers, config } = await readKerasFile(bytes, where);
  const file = { format, layers: () => layers };
  if (config === undefined) return file;
  return { ...file, describedNetwork: (inputShape) => networkFromKeras(config, { where, inputShape }) };
}
