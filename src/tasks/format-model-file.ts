import { readOnnx } from "../compiler/onnx-reader.ts";
import { FormatError } from "../errors.ts";
import { fromEngineWeights } from "../weights/engine-weights.ts";
import { metadataKey } from "../weights/metadata-key.ts";
import { storedLayersOf } from "../weights/stored-layers.ts";
import { modelIn, networkOf } from "./model-file.ts";
import { readMetadata } from "./model-metadata.ts";
import type { WeightsFile, WeightsFormat } from "./weights-file.ts";

/** ONNX files that we wrote: model files, and plain graphs of other networks than classifiers. */
export const modelFileFormat: WeightsFormat = {
  title: "ONNX (.onnx)",
  // A protobuf message: field 1, the version of the format, is a small number; a field with a length follows.
  recognises: ([first = 0, version = 0, next = 0]) => first === 0x08 && version < 0x40 && (next & 7) === 2,
  async open({ bytes, where }): Promise<WeightsFile> {
    const content = readOnnx(bytes, where);
    const text = content.metadata.get(metadataKey);
    if (text === undefined) {
      throw new FormatError({
        where,
        what: `the ONNX file has no "${metadataKey}" metadata: what its tensors belong to is unknown`,
        expected: "a file that xception-ts wrote",
      });
    }
    const metadata = readMetadata(text, where);
    const isModel = metadata.labels !== undefined && metadata.preprocessing !== undefined;
    const network = isModel ? modelIn(content, where).network : networkOf(metadata.architecture, where);
    return {
      format: isModel ? "model file" : "plain ONNX",
      layers: () => storedLayersOf(network, fromEngineWeights(network, content.tensors, where)),
      describedNetwork: () => ({ network }),
      metadata,
    };
  },
};
