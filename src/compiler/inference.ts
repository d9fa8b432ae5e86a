import type { CompileTarget, Device } from "../base/platform.ts";
import type { Network } from "../graph/network.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import type { CompileOptions } from "./compile.ts";
import { lower } from "./lower.ts";
import { toProgram } from "./program/program.ts";
import type { Quantization } from "./quantize/quantization.ts";

/** Options of {@link compileInference}. */
export interface InferenceOptions extends Pick<CompileOptions, "outputs" | "preprocessing" | "quantization"> {
  /** Leaves batch normalization unfolded, as model files do: their predictions are then the same bits. Default false. */
  readonly asInFiles?: boolean;
}

/**
 * The form in which a device runs a network fastest: `wasm` is our own engine. Only CPUs multiply integers; elsewhere their weights
 * are expanded.
 */
export function inferenceForm(device: Device, quantization?: Quantization): "inference" | "int8" | "program" {
  if (device === "wasm") return "program";
  return device === "cpu" && quantization ? "int8" : "inference";
}

/**
 * Compiles a network, as {@link compile} does, in the form in which a device runs it. Programs need no ONNX, whose writer is loaded
 * for other forms only: it is a fifth of the code that a page would load to classify an image.
 * @param weights all of the network's, in the engine's layout.
 * @throws as {@link compileGraph}.
 */
export async function compileInference(
  network: Network,
  weights: ReadonlyMap<string, FloatTensor>,
  { device, precision }: CompileTarget,
  { asInFiles = false, outputs, preprocessing, quantization }: InferenceOptions,
): Promise<Uint8Array> {
  const { name } = network;
  const form = inferenceForm(device, quantization);
  const { graph } = lower(network, { mode: "inference", batchSize: 1, preprocessing, outputs });
  if (form === "program") return toProgram(graph, weights, { name });
  const { compileGraph } = await import("./compile.ts");
  const inFiles = asInFiles && form === "inference";
  return compileGraph(graph, weights, {
    form: inFiles ? "exact" : form,
    quantization,
    precision,
    name,
    dynamicBatch: true,
  });
}
