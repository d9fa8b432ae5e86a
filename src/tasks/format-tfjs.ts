import { networkFromKeras } from "../weights/keras-network.ts";
import { readTfjsModel } from "../weights/tfjs-file.ts";
import type { WeightsFile, WeightsFormat, WeightsSource } from "./weights-file.ts";

/** A layers model or a graph model: `model.json`, and the files it names. */
export const tfjsFormat: WeightsFormat = {
  title: "TF.js (model.json)",
  recognises: (bytes) => /^\s*\{\s*"/.test(new TextDecoder("latin1").decode(bytes.subarray(0, 64))),
  open,
};

async function open({ bytes, where, readBeside }: WeightsSource): Promise<WeightsFile> {
  const { kind, layers, config } = await readTfjsModel(bytes, readBeside, where);
  const file = { format: `TF.js ${kind}`, layers: () => layers };
  if (config === undefined) return file;
  return { ...file, describedNetwork: (inputShape) => networkFromKeras(config, { where, inputShape }) };
}
