import { GraphError, WeightsError } from "../../base/errors.ts";
import type { CompileTarget } from "../../base/platform.ts";
import { dependents, type OpGraph, type OpKind, type Value } from "../../graph/ops.ts";
import type { ImageResize } from "../../graph/preprocessing.ts";
import type { StoredType } from "../../graph/weights.ts";
import { sameShape, sizeOf } from "../../tensor/shape.ts";
import type { FloatTensor, Tensor } from "../../tensor/tensor.ts";
import { imageInput } from "../lower.ts";
import { integerKernel } from "../quantize/weights.ts";
import { type BatchLimits, splitBatch } from "../split-batch.ts";
import { separateStatistics } from "../training-batch-norm.ts";
import { emitBlocked } from "./blocked.ts";
import { BlockedTools, fitsBlocks } from "./blocked-tools.ts";
import { encodeOnnx, OnnxEmitter } from "./emitter.ts";
import { computeInHalf } from "./half.ts";
import { emitImageResize } from "./images.ts";
import { emitComparedMaxima, emitRules } from "./rules.ts";

/** Options of the ONNX writer. */
export interface OnnxOptions {
  /** Parameters to store in the file, by name, in the engine's layout; the others become inputs. */
  readonly weights?: ReadonlyMap<string, Tensor>;
  /** Leaves the first axis of inputs and outputs open; only for graphs that never mix samples (inference). */
  readonly dynamicBatch?: boolean;
  /**
   * The graph's input `images` `[N, height, width, 3]` becomes bytes `[N, H, W, 3]` of any H and W, resized to height and
   * width in the graph.
   */
  readonly resize?: ImageResize | undefined;
  /**
   * Channels per block, if the engine on this machine works on blocks of channels (see `blockProbe`). The file then runs on
   * this kind of machine only, several times faster where weights are not constant: for training steps.
   */
  readonly blockSize?: number | undefined;
  /** Computes large batches in parts; only with blocks of channels, where that pays. Default: each batch as a whole. */
  readonly batchLimits?: BatchLimits | undefined;
  /**
   * Writes values that depend on no fed parameter channels first: weights are constant there, and the engine finds the
   * fastest layout itself. For steps that train only the last layers.
   */
  readonly plainWhereStored?: boolean;
  /**
   * Storage type of kernels: `float16` halves the file and rounds them to about 3 digits; `int8` quarters it and rounds them to 255
   * steps for each filter, depthwise ones to float16. The engine still computes in float32. Vectors (statistics, biases) stay
   * float32. Default `float32`.
   */
  readonly storedAs?: StoredType | undefined;
  /** Type of the numbers that the graph computes with; inputs and outputs stay. Default `float32`. */
  readonly precision?: CompileTarget["precision"];
  /**
   * Finds the maxima by comparison in the gradient of max pooling: for engines whose pooling does not return their
   * indices.
   */
  readonly comparesMaxima?: boolean;
  /** Entries of the file's `metadata_props`. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly name?: string;
}

/**
 * Encodes an op graph as an `.onnx` file. Inputs, parameters and outputs keep their names.
 * @throws {GraphError} a stored weight does not have the shape of its parameter.
 * @throws {WeightsError} a number is too large for float16.
 */
export function toOnnx(given: OpGraph, options: OnnxOptions = {}): Uint8Array {
  const { weights = new Map<string, Tensor>(), dynamicBatch = false, metadata = {}, storedAs } = options;
  const { blockSize, batchLimits } = options;
  const separate = blockSize === undefined ? given : separateStatistics(given, ({ shape }) => fitsBlocks(shape[1]!));
  const left = options.plainWhereStored ? weights.keys() : [];
  const graph = batchLimits ? splitBatch(separate, batchLimits, left) : separate;
  const emit = new OnnxEmitter();
  for (const { name } of [...graph.inputs, ...graph.parameters, ...graph.constants]) emit.reserve(name);
  for (const { outputs } of graph.operations) for (const { name } of outputs) emit.reserve(name);
  for (const name of graph.outputs.keys()) emit.reserve(name);

  for (const constant of graph.constants) emit.floats(constant.name, constant.shape, constant.data);
  const fed = [...graph.inputs];
  for (const parameter of graph.parameters) {
    const tensor = weights.get(parameter.name);
    if (!tensor) fed.push(parameter);
    else storeWeight(emit, parameter, tensor, tensor.shape.length > 1 ? storedAs : undefined);
  }

  const images = graph.inputs.find(({ name }) => name === imageInput);
  const sized = options.resize && images && emitImageResize(emit, images, options.resize);
  const innerNameOf = onnxNames(graph);
  const nameOf = (value: Value) => (sized !== undefined && value === images ? sized : innerNameOf(value));
  const blocked = blockSize === undefined ? undefined : new BlockedTools(emit, graph, blockSize, nameOf);
  const fedParameters = graph.parameters.flatMap(({ name }) => (weights.has(name) ? [] : [name]));
  const changing = options.plainWhereStored ? dependents(graph, fedParameters) : undefined;
  for (const operation of graph.operations) {
    const { config, inputs, outputs } = operation;
    const staysPlain = changing && !inputs.some(({ name }) => changing.has(name));
    if (!staysPlain && blocked && emitBlocked(blocked, operation)) continue;
    const isCompared = options.comparesMaxima && config.kind === "maxPoolGradient";
    const rule = (isCompared ? emitComparedMaxima : emitRules[config.kind]) as (typeof emitRules)[OpKind];
    const x = inputs.map((value) => blocked?.plain(value) ?? nameOf(value));
    rule({ emit, config, inputs, outputs, x, y: outputs.map(nameOf) } as never);
  }
  const outputs = [...graph.outputs].map(([name, value]): Value => {
    const source = blocked?.plain(value) ?? nameOf(value);
    if (source !== name) emit.node("Identity", [source], [name]);
    return { ...value, name };
  });
  if (options.precision === "float16") computeInHalf(emit, fed, outputs);
  const openAxes = new Map<string, readonly string[]>();
  if (dynamicBatch) for (const { name } of [...graph.inputs, ...outputs]) openAxes.set(name, ["N"]);
  if (sized !== undefined) openAxes.set(imageInput, ["N", "H", "W"]);
  return encodeOnnx(emit, { name: options.name ?? "xception", inputs: fed, outputs, openAxes, metadata });
}

/**
 * ONNX names of values. A computed value that is an output has the output's name, so that nothing is copied at the end;
 * another value of this name is renamed. Inputs keep their names.
 */
function onnxNames(graph: OpGraph): (value: Value) => string {
  const computed = new Set(graph.operations.flatMap((operation) => operation.outputs));
  // Of several outputs of a value, the first one counts.
  const outputs = [...graph.outputs].filter(([, value]) => computed.has(value)).toReversed();
  const published = new Map(outputs.map(([name, value]) => [value, name]));
  return (value) => published.get(value) ?? (graph.outputs.has(value.name) ? `${value.name}~inner` : value.name);
}

/** Filters of fewer numbers are rounded to float16 instead of int8: depthwise kernels, which are small and sensitive. */
const smallestFilter = 16;

function storeWeight(emit: OnnxEmitter, parameter: Value, tensor: Tensor, type: StoredType = "float32"): void {
  const { name, shape } = parameter;
  if (!sameShape(shape, tensor.shape)) {
    throw new GraphError({
      where: `parameter "${name}"`,
      what: "the stored weight has another shape",
      received: tensor.shape,
      expected: `${shape}`,
    });
  }
  const kernel = tensor as FloatTensor;
  // A convolution's filters are along the first axis, those of a dense layer along the second.
  const axis = shape.length === 2 ? 1 : 0;
  if (type === "float32" || tensor.type !== "float32") {
    emit.tensor(name, tensor);
  } else if (type === "int8" && sizeOf(shape) >= smallestFilter * shape[axis]!) {
    const { integers, scale } = integerKernel(name, kernel, axis, 127);
    emit.roundedKernel(name, integers, scale, axis);
  } else {
    assertFits(parameter, kernel);
    emit.halves(name, shape, kernel.data);
  }
}

function assertFits(parameter: Value, tensor: FloatTensor): void {
  const tooLarge = tensor.data.find((value) => Number.isFinite(value) && Math.abs(value) >= 65520);
  if (tooLarge === undefined) return;
  throw new WeightsError({
    where: `weight "${parameter.name}"`,
    what: "a number is too large for float16",
    received: tooLarge,
    expected: "at most 65504 in size",
    remedy: "Store float32.",
  });
}
