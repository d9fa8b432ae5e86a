import { fromEngineWeights } from "../weights/engine-weights.ts";
import { storedLayersOf } from "../weights/stored-layers.ts";
import { readModel } from "./model-file.ts";
import type { WeightsFormat } from "./weights-file.ts";

/** Our own model files. */
export const modelFileFormat: WeightsFormat = {
  title: "ONNX (.onnx)",
  // A protobuf message: field 1, the version of the format, is a small number; a field with a length follows.
  recognises: ([first = 0, version = 0, next = 0]) => first === 0x08 && version < 0x40 && (next & 7) === 2,
  async open({ bytes, where }) {
    const { network, tensors, ...metadata } = readModel(bytes, where);
    return {
      format: "model file",
      layers: () => storedLayersOf(network, fromEngineWeights(network, tensors, where)),
      describedNetwork: () => ({ network }),
      metadata,
    };
  },
};
