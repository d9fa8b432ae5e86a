import { UsageError } from "../base/errors.ts";
import { check } from "../base/schema.ts";
import { type CompileOptions, compile } from "../compiler/compile.ts";
import { metadataKey } from "../formats/format.ts";
import { buildNetwork, completeArchitecture } from "../models/registry.ts";
import { type ImagePreprocessing, type ModelParts, resizesInGraph } from "./model.ts";
import { classifierProblem, type FormatVersion, type ModelDescription, preprocessingSchema } from "./model-file.ts";

/**
 * Encodes a model as one `.onnx` file: bytes `images [N, H, W, 3]` in, of any height and width where the preprocessing
 * names an interpolation; probabilities `[N, classes]` out, named after the network's last layer; labels and everything
 * else needed to use the model as JSON in `metadata_props`. Batch normalization stays unfolded, so that every weight
 * can be read back under its Keras name; engines fold it when they load the file. With a quantization it is folded into integer
 * weights.
 * @param options `storedAs`: how kernels are stored, see `toOnnx`.
 * @throws {UsageError} the architecture is not a classifier with as many classes as labels, or a preprocessing value is
 * invalid.
 * @throws {WeightsError} the weights are not those of the network.
 */
export function encodeModel(model: ModelParts, options: Pick<CompileOptions, "storedAs"> = {}): Uint8Array {
  const network = buildNetwork(model.architecture);
  const problem = classifierProblem(network, model) ?? preprocessingProblem(model.preprocessing);
  if (problem) throw new UsageError({ where: "encodeModel", ...problem });
  const { quantization } = model;
  return compile(network, model.weights, {
    form: quantization ? "int8" : "exact",
    quantization,
    preprocessing: model.preprocessing,
    resize: resizesInGraph(model.preprocessing) ? model.preprocessing : undefined,
    metadata: { [metadataKey]: writeMetadata(model) },
    ...options,
  });
}

/** Writes the JSON document with everything about a model that its file cannot store otherwise. */
export function writeMetadata(description: ModelDescription): string {
  const { architecture, labels, preprocessing, license, provenance, quantization } = description;
  const { scale, offset, order, interpolation, fit, cropRatio, background } = preprocessing ?? {};
  // In canonical order: equal documents give equal text.
  return JSON.stringify({
    // Earlier versions of this package can read files that need nothing new.
    formatVersion: versionFor(description),
    architecture: completeArchitecture(architecture),
    labels,
    preprocessing: preprocessing && { scale, offset, order, interpolation, fit, cropRatio, background },
    license,
    provenance,
    quantization: quantization && {
      ...quantization,
      activations: Object.fromEntries(quantization.activations),
    },
  });
}

function versionFor({ quantization, preprocessing }: ModelDescription): FormatVersion {
  if (quantization) return 4;
  if (preprocessing === undefined) return 1;
  const { order, interpolation, scale, offset } = preprocessing;
  if (order === "bgr") return 3;
  return interpolation !== undefined || typeof scale !== "number" || typeof offset !== "number" ? 2 : 1;
}

/** Returns the problem with an image preprocessing as parts of an error, or undefined. */
function preprocessingProblem(preprocessing: ImagePreprocessing) {
  const { problem } = check(preprocessingSchema, preprocessing);
  if (!problem) {
    if (preprocessing.interpolation !== undefined || (preprocessing.cropRatio ?? 1) === 1) return undefined;
    return { what: "images are cropped in the graph alone", expected: "preprocessing with an interpolation" };
  }
  const { path, received, expected } = problem;
  return { what: `${["preprocessing", path].filter(Boolean).join(".")} is not allowed`, received, expected };
}
