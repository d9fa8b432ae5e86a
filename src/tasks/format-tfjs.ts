import { readTfjsModel } from "../weights/tfjs-file.ts";
import { describedBy } from "./format-keras.ts";
import { readMetadata } from "./model-metadata.ts";
import type { WeightsFile, WeightsFormat, WeightsSource } from "./weights-file.ts";

/** A layers model or a graph model: `model.json`, and the files it names. */
export const tfjsFormat: WeightsFormat = {
  title: "TF.js (model.json)",
  recognises: (bytes) => /^\s*\{\s*"/.test(new TextDecoder("latin1").decode(bytes.subarray(0, 64))),
  open,
};

async function open({ bytes, where, readBeside }: WeightsSource): Promise<WeightsFile> {
  const { kind, layers, config, metadata: text } = await readTfjsModel(bytes, readBeside, where);
  const metadata = text === undefined ? undefined : readMetadata(text, where);
  return { format: `TF.js ${kind}`, layers: () => layers, ...describedBy({ config, metadata }, where) };
}
