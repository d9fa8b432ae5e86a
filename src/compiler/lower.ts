import { GraphError } from "../base/errors.ts";
import { windowGeometry } from "../graph/layer-shapes.ts";
import type { ActivationName, ConfigOf, LayerConfig, LayerType, Padding, Size2 } from "../graph/layers.ts";
import type { Layer, Network } from "../graph/network.ts";
import { OpGraphBuilder } from "../graph/op-builder.ts";
import type { OpGraph, Pads, Value } from "../graph/ops.ts";
import { luma, type Preprocessing } from "../graph/preprocessing.ts";
import { engineShape } from "../graph/weights.ts";
import { sizeOf } from "../tensor/shape.ts";

/** Options of {@link lower}. */
export interface LowerOptions {
  readonly mode: Mode;
  /** Batch normalizations in a different mode from the rest; default: none. */
  readonly batchNormMode?: (layer: Layer) => Mode;
  readonly batchSize: number;
  /**
   * Scales bytes `[N, H, W, C]` inside the graph; without it the input is float32, already scaled. A network of one
   * channel gets the luma of RGB bytes `[N, H, W, 3]`.
   */
  readonly preprocessing?: Preprocessing | undefined;
  /** In training mode, normalize by the statistics of all ranks' batches together; default false: each by its own. */
  readonly synchronizeBatchNormalization?: boolean;
  /** Layers whose outputs become the graph's, channels last, under the layer's name. Default: the last one. */
  readonly outputs?: readonly string[] | undefined;
}

/** A batch normalization whose moving statistics have to follow the batch's. */
export interface BatchStatistics {
  readonly layer: Layer;
  readonly mean: Value;
  readonly variance: Value;
}

/** The op graph of a network. */
export interface LoweredNetwork {
  readonly graph: OpGraph;
  /** Output of each layer, channels first. */
  readonly layerOutputs: ReadonlyMap<string, Value>;
  /** Logits: the input of the classifier's softmax or sigmoid; the network's output if it has none. */
  readonly logits: Value;
  /** One for each batch normalization in training mode. */
  readonly statistics: readonly BatchStatistics[];
  /** In training mode, factors for dropout to be fed: 0 or 1/(1 − rate), one input for each layer. */
  readonly dropoutMasks: readonly { readonly mask: Value; readonly rate: number }[];
}

/** Name of the graph's only input when a network is lowered. */
export const imageInput = "images";

/**
 * Translates layers into operators: channels last becomes channels first, a separable convolution becomes two, Keras's
 * kernels become ONNX's.
 * @throws {GraphError} an output names no layer.
 */
export function lower(network: Network, options: LowerOptions): LoweredNetwork {
  const { mode, batchNormMode, batchSize, preprocessing, outputs = [network.output] } = options;
  const { synchronizeBatchNormalization = false } = options;
  const build = new OpGraphBuilder();
  const layerOutputs = new Map<string, Value>();
  const statistics: BatchStatistics[] = [];
  const dropoutMasks: { mask: Value; rate: number }[] = [];
  let logits: Value | undefined;

  for (const layer of network.layers) {
    const inputs = layer.inbound.map((name) => layerOutputs.get(name)!);
    const weights = layer.weights.map((spec) => build.parameter(spec.name, engineShape(spec)));
    const output = lowerLayer(layer, {
      build,
      mode: (layer.config.type === "BatchNormalization" && batchNormMode?.(layer)) || mode,
      synchronizeBatchNormalization,
      inputs,
      weights,
      readImages: () => readImages(build, [batchSize, ...layer.outputShape], preprocessing),
      addStatistics: (mean, variance) => statistics.push({ layer, mean, variance }),
      addMask: (mask, rate) => dropoutMasks.push({ mask, rate }),
      setLogits: (value) => {
        if (layer.name === network.output) logits = value;
      },
    });
    layerOutputs.set(layer.name, output);
  }

  for (const name of outputs) {
    const value = layerOutputs.get(name);
    if (!value) {
      throw new GraphError({ where: `output "${name}"`, what: `network "${network.name}" has no layer of this name` });
    }
    const isImage = value.shape.length === 4;
    build.output(name, isImage ? build.op({ kind: "transpose", permutation: [0, 2, 3, 1] }, [value]) : value);
  }
  const last = layerOutputs.get(network.output)!;
  return { graph: build.finish(), layerOutputs, logits: logits ?? last, statistics, dropoutMasks };
}

function readImages(build: OpGraphBuilder, shape: readonly number[], preprocessing?: Preprocessing): Value {
  const isImage = shape.length === 4;
  const isGray = isImage && shape[3] === 1 && preprocessing !== undefined;
  const fed = isGray ? [...shape.slice(0, 3), luma.length] : shape;
  const images = build.input(imageInput, fed, preprocessing ? "uint8" : "float32");
  const planes = isImage ? build.op({ kind: "transpose", permutation: [0, 3, 1, 2] }, [images]) : images;
  if (!preprocessing) return planes;
  const rgb = build.op({ kind: "cast", to: "float32" }, [planes]);
  const ordered = preprocessing.order === "bgr" ? reversed(build, rgb) : rgb;
  const pixels = isGray ? grayOf(build, rgb) : ordered;
  const scaled = build.op({ kind: "multiply" }, [pixels, perChannel(build, preprocessing.scale)]);
  return build.op({ kind: "add" }, [scaled, perChannel(build, preprocessing.offset)]);
}

/** `[N, 3, H, W]` → `[N, 1, H, W]`. */
function grayOf(build: OpGraphBuilder, rgb: Value): Value {
  const weighted = build.op({ kind: "multiply" }, [rgb, perChannel(build, luma)]);
  return build.op({ kind: "reduceSum", axes: [1], keepDims: true }, [weighted]);
}

/** Reverses the order of three channels. */
function reversed(build: OpGraphBuilder, rgb: Value): Value {
  const planes = [2, 1, 0].map((start) => build.op({ kind: "slice", axis: 1, start, end: start + 1 }, [rgb]));
  return build.op({ kind: "concatenate", axis: 1 }, planes);
}

function perChannel(build: OpGraphBuilder, values: number | readonly number[]): Value {
  return typeof values === "number" ? build.constant(values) : build.constant(values, [values.length, 1, 1]);
}

/** `training`: batch statistics and dropout; `inference`: moving statistics, no dropout. */
export type Mode = "training" | "inference";

/** Context of a layer's lowering rule. */
interface LoweringContext {
  readonly build: OpGraphBuilder;
  readonly mode: Mode;
  readonly synchronizeBatchNormalization: boolean;
  /** Outputs of the inbound layers, channels first. */
  readonly inputs: readonly Value[];
  /** The layer's weights in Keras's order, in the engine's layout. */
  readonly weights: readonly Value[];
  readonly readImages: () => Value;
  readonly addStatistics: (mean: Value, variance: Value) => void;
  readonly addMask: (mask: Value, rate: number) => void;
  readonly setLogits: (value: Value) => void;
}

const rules: {
  readonly [T in LayerType]: (config: ConfigOf<T>, context: LoweringContext, name: string) => Value;
} = {
  InputLayer: (_, { readImages }) => readImages(),
  Conv2D: (config, { build, inputs: [x], weights }, name) =>
    build.op(
      { kind: "conv", groups: config.groups ?? 1, ...window(config, config.kernelSize, x!) },
      [x!, ...weights],
      name,
    ),
  SeparableConv2D: (config, { build, inputs: [x], weights: [depthwise, ...pointwise] }, name) => {
    const groups = x!.shape[1]!;
    const perChannel = { kind: "conv", groups, ...window(config, config.kernelSize, x!) } as const;
    let y = build.op(perChannel, [x!, depthwise!], `${name}/depthwise`);
    y = activate(build, config.intermediateActivation, y, `${name}/intermediate`);
    return build.op({ kind: "conv", groups: 1, strides: [1, 1], pads: [0, 0, 0, 0] }, [y, ...pointwise], name);
  },
  DepthwiseConv2D: (config, { build, inputs: [x], weights }, name) =>
    build.op({ kind: "conv", groups: x!.shape[1]!, ...window(config, config.kernelSize, x!) }, [x!, ...weights], name),
  BatchNormalization: ({ epsilon, scale, center }, { build, mode, inputs: [x], ...context }, name) => {
    const { addStatistics } = context;
    const weights = [...context.weights];
    const absent = (value: number) => build.constant(new Float32Array(x!.shape[1]!).fill(value));
    const gamma = scale ? weights.shift()! : absent(1);
    const beta = center ? weights.shift()! : absent(0);
    const affine = [x!, gamma, beta];
    if (mode === "inference") return build.op({ kind: "batchNormalization", epsilon }, [...affine, ...weights], name);
    if (context.synchronizeBatchNormalization) {
      const { mean, variance } = statisticsOfAllRanks(build, x!, name);
      addStatistics(mean, variance);
      return build.op({ kind: "batchNormalization", epsilon }, [...affine, mean, variance], name);
    }
    const hints = [name, `${name}/mean`, `${name}/variance`];
    const [y, mean, variance] = build.ops({ kind: "batchNormalizationTraining", epsilon }, affine, hints);
    addStatistics(mean!, variance!);
    return y!;
  },
  Activation: ({ activation }, { build, inputs: [x], setLogits }, name) => {
    if (activation === "softmax" || activation === "sigmoid") setLogits(x!);
    return activate(build, activation, x!, name);
  },
  ReLU: (_, { build, inputs: [x] }, name) => activate(build, "relu", x!, name),
  LeakyReLU: ({ negativeSlope: slope }, { build, inputs: [x] }, name) =>
    build.op({ kind: "leakyRelu", slope }, [x!], name),
  MaxPooling2D: (config, { build, inputs: [x] }, name) =>
    build.op({ kind: "maxPool", kernel: config.poolSize, ...window(config, config.poolSize, x!) }, [x!], name),
  AveragePooling2D: (config, { build, inputs: [x] }, name) =>
    build.op({ kind: "averagePool", kernel: config.poolSize, ...window(config, config.poolSize, x!) }, [x!], name),
  ZeroPadding2D: ({ padding: [rows, columns] }, { build, inputs: [x] }, name) =>
    build.op({ kind: "pad", pads: [rows[0], columns[0], rows[1], columns[1]] }, [x!], name),
  GlobalAveragePooling2D: (_, { build, inputs: [x] }, name) =>
    build.op({ kind: "reduceMean", axes: [2, 3], keepDims: false }, [x!], name),
  GlobalMaxPooling2D: (_, { build, inputs: [x] }, name) => {
    const [height, width] = x!.shape.slice(2) as [number, number];
    const wholeImage = { kernel: [height, width], strides: [1, 1], pads: [0, 0, 0, 0] } as const;
    const y = build.op({ kind: "maxPool", ...wholeImage }, [x!]);
    // The mean of one pixel drops the two axes for any batch size.
    return build.op({ kind: "reduceMean", axes: [2, 3], keepDims: false }, [y], name);
  },
  Add: (_, { build, inputs }, name) => inputs.reduce((sum, x) => build.op({ kind: "add" }, [sum, x], name)),
  Concatenate: ({ axis }, { build, inputs }, name) =>
    build.op({ kind: "concatenate", axis: inputs[0]!.shape.length === 4 ? channelsFirst[axis]! : axis }, inputs, name),
  Flatten: (_, { build, inputs: [x] }, name) => {
    if (x!.shape.length === 2) return x!;
    const last = build.op({ kind: "transpose", permutation: [0, 2, 3, 1] }, [x!]);
    return build.op({ kind: "reshape", shape: [x!.shape[0]!, sizeOf(x!.shape) / x!.shape[0]!] }, [last], name);
  },
  Dropout: ({ rate }, { build, mode, inputs: [x], addMask }, name) => {
    if (mode === "inference") return x!;
    const mask = build.input(`${name}/mask`, x!.shape);
    addMask(mask, rate);
    return build.op({ kind: "multiply" }, [x!, mask], name);
  },
  Dense: ({ activation }, { build, inputs: [x], weights: [kernel, bias], setLogits }, name) => {
    let y = build.op({ kind: "matMul", transposeA: false, transposeB: false }, [x!, kernel!], `${name}/product`);
    if (bias) y = build.op({ kind: "add" }, [y, bias], activation === "linear" ? name : `${name}/logits`);
    setLogits(y);
    return activate(build, activation, y, name);
  },
};

/** The axes of images, channels last, in the op graph's order. */
const channelsFirst = [0, 2, 3, 1] as const;

/** Emits the operators of one layer; returns its output, channels first. */
function lowerLayer({ config, name }: Layer, context: LoweringContext): Value {
  const rule = rules[config.type] as (config: LayerConfig, context: LoweringContext, name: string) => Value;
  return rule(config, context, name);
}

/** Mean and variance, E[x²] − E[x]², over all ranks, in one exchange. Their gradients follow from the rules. */
function statisticsOfAllRanks(build: OpGraphBuilder, x: Value, name: string): { mean: Value; variance: Value } {
  const average = (value: Value, hint: string): Value => {
    const local = build.op({ kind: "reduceMean", axes: [0, 2, 3], keepDims: false }, [value], `${hint}/local`);
    return build.op({ kind: "allReduceMean" }, [local], hint);
  };
  const mean = average(x, `${name}/mean`);
  const meanSquare = average(build.op({ kind: "multiply" }, [x, x]), `${name}/mean square`);
  const squaredMean = build.op({ kind: "multiply" }, [mean, mean]);
  return { mean, variance: build.op({ kind: "subtract" }, [meanSquare, squaredMean], `${name}/variance`) };
}

function activate(build: OpGraphBuilder, activation: ActivationName, x: Value, name: string): Value {
  return activation === "linear" ? x : build.op({ kind: activation }, [x], name);
}

function window(config: { strides: Size2; padding: Padding }, kernel: Size2, x: Value): { strides: Size2; pads: Pads } {
  const rows = windowGeometry(x.shape[2]!, kernel[0], config.strides[0], config.padding, 0);
  const columns = windowGeometry(x.shape[3]!, kernel[1], config.strides[1], config.padding, 1);
  return { strides: config.strides, pads: [rows.before, columns.before, rows.after, columns.after] };
}
