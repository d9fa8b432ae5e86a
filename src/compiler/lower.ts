import { GraphError } from "../errors.ts";
import type { Layer, Network } from "../graph/network.ts";
import { OpGraphBuilder } from "../graph/op-builder.ts";
import type { OpGraph, Value } from "../graph/ops.ts";
import type { Preprocessing } from "../graph/preprocessing.ts";
import { engineShape } from "../graph/weights.ts";
import { lowerLayer, type Mode } from "./lower-layers.ts";

export interface LowerOptions {
  readonly mode: Mode;
  /** Batch normalizations in another mode than the rest; default: none. */
  readonly batchNormMode?: (layer: Layer) => Mode;
  readonly batchSize: number;
  /** Bytes `[N, H, W, C]` are scaled inside the graph; without it the input is float32, already scaled. */
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

export interface LoweredNetwork {
  readonly graph: OpGraph;
  /** Output of each layer, channels first. */
  readonly layerOutputs: ReadonlyMap<string, Value>;
  /** What enters the classifier's softmax or sigmoid; the network's output where it has none. */
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
  const images = build.input(imageInput, shape, preprocessing ? "uint8" : "float32");
  const isImage = shape.length === 4;
  const planes = isImage ? build.op({ kind: "transpose", permutation: [0, 3, 1, 2] }, [images]) : images;
  if (!preprocessing) return planes;
  const pixels = build.op({ kind: "cast", to: "float32" }, [planes]);
  const scaled = build.op({ kind: "multiply" }, [pixels, perChannel(build, preprocessing.scale)]);
  return build.op({ kind: "add" }, [scaled, perChannel(build, preprocessing.offset)]);
}

function perChannel(build: OpGraphBuilder, values: number | readonly number[]): Value {
  return typeof values === "number" ? build.constant(values) : build.constant(values, [values.length, 1, 1]);
}
