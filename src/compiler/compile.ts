import { GraphError } from "../base/errors.ts";
import type { CompileTarget } from "../base/platform.ts";
import { type Network, networkWeights } from "../graph/network.ts";
import type { OpGraph } from "../graph/ops.ts";
import type { Preprocessing } from "../graph/preprocessing.ts";
import { type StoredType, toEngineLayout, toEngineWeights, type Weights } from "../graph/weights.ts";
import type { FloatTensor } from "../tensor/tensor.ts";
import { foldBatchNorm, foldStructure } from "./fold-batch-norm.ts";
import { lower } from "./lower.ts";
import { type OnnxOptions, toOnnx } from "./onnx/onnx.ts";
import { toProgram } from "./program/program.ts";
import { padChannels } from "./quantize/pad-channels.ts";
import type { Quantization } from "./quantize/quantization.ts";
import { quantizeGraph, quantizeStructure } from "./quantize/quantize.ts";
import { cacheLimits } from "./split-batch.ts";
import { splitBatchNorm } from "./training-batch-norm.ts";

/**
 * Form in which a graph is compiled for the engine:
 * - `exact`: operator for operator, every weight under its own name, as in model files;
 * - `inference`: batch normalization folded into the convolutions;
 * - `training`: weights that train are inputs, and large batches pass through the engine's channel blocks in parts. Frozen
 *   weights are stored, and folded where nothing before them trains;
 * - `int8`: the inference graph with integer weights and rounded activations (`quantization`), for CPUs;
 * - `program`: the inference graph as fused steps for our WebAssembly engine, no `.onnx` file.
 */
export type CompileForm = "exact" | "inference" | "training" | "int8" | "program";

/** The device that a training step is written for. */
export interface TrainingTarget {
  /** Channels to a block of the engine's fastest CPU layout on this machine, see `blockProbe`; default: plain layout. */
  readonly blockSize?: number | undefined;
  /** True for a GPU, which lacks batch normalization by the batch's own statistics and the positions of maxima; default false. */
  readonly isGpu?: boolean;
  /** Computes each batch as a whole, however large: for graphs that pass batches to each other; default false. */
  readonly wholeBatches?: boolean;
}

export interface CompileGraphOptions
  extends TrainingTarget,
    Pick<OnnxOptions, "name" | "metadata" | "resize" | "dynamicBatch"> {
  readonly form: CompileForm;
  /**
   * Storage type of kernels; the engine computes in float32. `float16` rounds them to about 3 digits, `int8` (programs and the form
   * `exact`) to 255 steps for each filter. Default `float32`.
   */
  readonly storedAs?: StoredType | undefined;
  /** Type of the numbers that the form `inference` computes with: `float16` is for GPUs. Default `float32`. */
  readonly precision?: CompileTarget["precision"];
  /** Limits of the activations, and the layers that stay float32; the form `int8` requires it. */
  readonly quantization?: Quantization | undefined;
}

/** Options of {@link compile}. */
export interface CompileOptions extends Omit<CompileGraphOptions, "name" | "dynamicBatch"> {
  /** Layers to output, channels last, under the layer's name; default: the network's output. */
  readonly outputs?: readonly string[] | undefined;
  /** Scaling inside the graph, with bytes as the input `images`; default: float32, already scaled. */
  readonly preprocessing?: Preprocessing | undefined;
  /** Batch size; default: any, in the training form 1. */
  readonly batchSize?: number;
}

/**
 * Compiles a network in inference mode to the bytes of an `.onnx` file or a program: images `[N, H, W, C]` → the outputs.
 * @param weights all of the network's; in the training form only the frozen ones, and the others become inputs.
 * @throws {GraphError} an output names no layer.
 * @throws {WeightsError} the weights are not the network's, or a number is too large for float16.
 */
export function compile(network: Network, weights: Weights, options: CompileOptions): Uint8Array {
  const { outputs, preprocessing, batchSize, ...rest } = options;
  const { graph } = lower(network, { mode: "inference", batchSize: batchSize ?? 1, preprocessing, outputs });
  const isTraining = rest.form === "training";
  const stored = isTraining ? frozenWeights(network, weights) : toEngineWeights(network, weights);
  const dynamicBatch = !isTraining && batchSize === undefined;
  return compileGraph(graph, stored, { ...rest, name: network.name, dynamicBatch });
}

/**
 * Compiles an op graph that was composed from a network, such as a training step, to the bytes of an `.onnx` file or a program.
 * @param weights stored in the file, in the engine's layout; the other parameters become inputs. The form `int8` has all or none.
 * @throws {GraphError} a stored weight does not have the shape of its parameter, the form cannot express the graph, or `int8` lacks
 * its quantization.
 * @throws {WeightsError} a number is too large for float16.
 */
export function compileGraph(
  graph: OpGraph,
  weights: ReadonlyMap<string, FloatTensor>,
  {
    form,
    blockSize,
    isGpu = false,
    wholeBatches = false,
    storedAs,
    precision,
    quantization,
    ...others
  }: CompileGraphOptions,
): Uint8Array {
  if (form === "program") return toProgram(graph, weights, { name: others.name, storedAs });
  if (storedAs === "int8" && form !== "exact") {
    const where = `form "${form}"`;
    throw new GraphError({ where, what: "its kernels cannot be stored as int8", expected: "float32 or float16" });
  }
  if (form === "int8") {
    if (quantization === undefined) {
      throw new GraphError({
        where: 'form "int8"',
        what: "it needs the option quantization",
        expected: "limits of activations",
      });
    }
    const isStructure = weights.size === 0;
    const folded = isStructure ? { graph: foldStructure(graph).graph, weights } : foldBatchNorm(graph, weights);
    const padded = padChannels(folded);
    if (isStructure) return toOnnx(quantizeStructure(padded.graph, quantization).graph, others);
    const { graph: rounded, weights: integers } = quantizeGraph(padded, quantization);
    return toOnnx(rounded, { ...others, weights: integers });
  }
  const options = { ...others, storedAs };
  if (form === "exact") return toOnnx(graph, { ...options, weights });
  const runnable = isGpu ? splitBatchNorm(graph) : graph;
  const folded = weights.size > 0 ? foldBatchNorm(runnable, weights) : { graph: runnable, weights };
  const batchLimits = blockSize === undefined || wholeBatches ? undefined : cacheLimits;
  const blocked = { ...options, weights: folded.weights, blockSize, batchLimits };
  if (form === "inference") return toOnnx(folded.graph, { ...blocked, precision });
  return toOnnx(folded.graph, {
    ...blocked,
    plainWhereStored: weights.size > 0,
    comparesMaxima: isGpu,
  });
}

function frozenWeights(network: Network, weights: Weights): ReadonlyMap<string, FloatTensor> {
  const stored = networkWeights(network).filter(({ name }) => weights.has(name));
  return new Map(stored.map((spec) => [spec.name, toEngineLayout(spec, weights.get(spec.name)!)]));
}
