import type { Network } from "../../graph/network.ts";
import { type StoredLayer, shapesOf } from "../../weights/map-weights.ts";
import { readTfjsModel } from "../../weights/tfjs/file.ts";
import { readMetadata } from "../model/model-metadata.ts";
import { describedBy } from "./format-keras.ts";
import { layersOfGraph } from "./graph-layers.ts";
import type { WeightsFile, WeightsFormat, WeightsSource } from "./weights-file.ts";

/** A layers model or a graph model: `model.json`, and the files it names. */
export const tfjsFormat: WeightsFormat = {
  title: "TF.js (model.json)",
  recognizes: (bytes) => /^\s*\{\s*"/.test(new TextDecoder("latin1").decode(bytes.subarray(0, 64))),
  open,
};

async function open({ bytes, where, readBeside }: WeightsSource): Promise<WeightsFile> {
  const { kind, layers, steps, config, metadata: text } = await readTfjsModel(bytes, readBeside, where);
  const metadata = text === undefined ? undefined : readMetadata(text, where);
  return {
    format: `TF.js ${kind}`,
    layers: (network) => (steps && !namesTell(layers, network) ? layersOfGraph(steps, network, where) : { layers }),
    stored: () => shapesOf(layers),
    ...describedBy({ config, metadata }, where),
  };
}

/** False for a graph whose normalizations are nowhere to be seen. */
function namesTell(layers: readonly StoredLayer[], network: Network): boolean {
  const named = new Set(layers.map(({ name }) => name));
  const normalizations = network.layers.filter(({ config }) => config.type === "BatchNormalization");
  return named.size > 0 && (normalizations.length === 0 || normalizations.some(({ name }) => named.has(name)));
}
