import { withNormalizations } from "../../compiler/fold-batch-norm.ts";
import { imageInput, lower } from "../../compiler/lower.ts";
import type { OnnxContent } from "../../compiler/onnx/reader.ts";
import { elementTypeNumbers } from "../../compiler/onnx/schema.ts";
import type { Network } from "../../graph/network.ts";
import type { Signature } from "../signatures.ts";

/** ONNX: model files, plain graphs that we wrote, and graphs of other tools. */
export const onnxSignature: Signature = {
  title: "ONNX (.onnx)",
  // A protobuf message: field 1, the version of the format, is a small number; a field with a length follows.
  detect: ([first = 0, version = 0, next = 0]) => first === 0x08 && version < 0x40 && (next & 7) === 2,
};

/** The tensors of a graph of ours, with the batch normalizations that an integer form folds, and without its padding. */
export function networkTensors(network: Network, { tensors }: Pick<OnnxContent, "tensors">): OnnxContent["tensors"] {
  return withNormalizations(lower(network, { mode: "inference", batchSize: 1 }).graph, tensors);
}

/** Returns whether a graph of ours takes decoded images, as those of model files do; plain graphs take floats. */
export function readsBytes({ elementTypes }: OnnxContent): boolean {
  return elementTypes.get(imageInput) === elementTypeNumbers.uint8;
}
