import { buildNetwork, familyOf } from "../../models/registry.ts";
import { recognizeTimm } from "../../models/timm-names.ts";
import { metadataKey } from "../../weights/metadata-key.ts";
import { isSafetensors, readSafetensors } from "../../weights/safetensors.ts";
import { isTorch, readTorch } from "../../weights/torch/file.ts";
import { defaultPreprocessing } from "../model/model.ts";
import { readMetadata } from "../model/model-metadata.ts";
import { describedBy } from "./format-keras.ts";
import { byTimmNames, layersFromTimm, type NamedTensor } from "./timm-layers.ts";
import type { WeightsFile, WeightsFormat } from "./weights-file.ts";

/** `.safetensors` of timm: names of a `state_dict`. */
export const safetensorsFormat: WeightsFormat = {
  title: "safetensors of timm (.safetensors)",
  recognizes: isSafetensors,
  async open({ bytes, where }) {
    const { tensors, metadata: texts } = readSafetensors(bytes, where);
    const named = [...tensors].map(([path, encoded]) => ({ path, shape: encoded.shape, read: () => encoded }));
    const ours = texts.get(metadataKey);
    if (ours === undefined) return timmFile("safetensors", named, []);
    const layers: WeightsFile["layers"] = (network) => ({ layers: layersFromTimm(network, byTimmNames(named)) });
    return { format: "safetensors", layers, ...describedBy({ metadata: readMetadata(ours, where) }, where) };
  },
};

/** `.pth` and `.pt` of PyTorch. */
export const torchFormat: WeightsFormat = {
  title: "PyTorch (.pth, .pt)",
  recognizes: isTorch,
  async open({ bytes, where }) {
    const { container, tensors, under } = readTorch(bytes, where);
    const named = [...tensors].map(([path, tensor]) => ({ path, ...tensor }));
    const place = under.length === 0 ? [] : [`The weights under "${under.join(" / ")}" of the checkpoint were taken.`];
    return timmFile(container === "zip" ? "PyTorch" : "PyTorch legacy", named, place);
  },
};

function timmFile(format: string, named: readonly NamedTensor[], notes: readonly string[]): WeightsFile {
  const tensors = byTimmNames(named);
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  const found = recognizeTimm(shapes);
  const layers: WeightsFile["layers"] = (network) => ({ layers: layersFromTimm(network, tensors) });
  if (found === undefined) {
    return { format, layers, stored: () => named.map(({ path, shape }) => ({ name: path, shape })), notes };
  }
  const { architecture, cropRatio } = found;
  const numbers = familyOf(architecture)!.preprocessing;
  const preprocessing = {
    ...defaultPreprocessing,
    ...numbers,
    interpolation: "bicubic",
    fit: "cover",
    cropRatio,
  } as const;
  return {
    format: `${format}, ${found.name}`,
    layers,
    describedNetwork: (inputShape) => {
      const { architecture } = recognizeTimm(shapes, inputShape)!;
      return { network: buildNetwork(architecture), architecture };
    },
    metadata: { architecture, preprocessing },
    notes: [
      ...notes,
      `Images are prepared as timm does for the weights that it publishes: scaled (bicubic), the middle ${100 * cropRatio} % of each side kept, and -1 ... 1 made of their pixels.`,
    ],
  };
}
