import { FormatError } from "../base/errors.ts";
import type { Engine, SessionOptions, Tensors } from "../base/platform.ts";
import { encodeMessage } from "../base/protobuf-writer.ts";
import { decodeWhole } from "../compiler/onnx/external-data.ts";
import type { OnnxContent } from "../compiler/onnx/reader.ts";
import { modelProto } from "../compiler/onnx/schema.ts";
import { wholeOnnx } from "../formats/onnx/format.ts";
import { input } from "../graph/builder.ts";
import { type Layer, type Network, network } from "../graph/network.ts";
import type { Shape } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor, transpose } from "../tensor/tensor.ts";
import { createGraphSession, graphImages, graphShapes, type OpenShape } from "./foreign-graph.ts";
import type { LoadPart, NetworkPart } from "./predictor.ts";
import { type PreprocessingOptions, type ResolvedPreprocessing, resolvePreprocessing } from "./preprocessing.ts";
import type { WeightsSource } from "./weights-file.ts";

/** A graph of another tool, whose results can be chosen like the layers of a network. */
export interface GraphFeatures extends ResolvedPreprocessing {
  /** A layer for each result before the classifier, `[H, W, C]`; vectors are maps of one pixel. */
  readonly network: Network;
  readonly load: LoadPart;
}

/**
 * Opens a graph of another tool to extract features.
 * @param options `inputShape`: shape of the images, if the graph leaves it open.
 * @throws {FormatError} it does not take one image, or the engine does not know the shapes of its results.
 */
export async function graphFeatures(
  source: WeightsSource,
  engine: Engine,
  options: PreprocessingOptions & {
    readonly inputShape?: Shape | undefined;
    readonly session?: SessionOptions | undefined;
  },
): Promise<GraphFeatures> {
  const { where } = source;
  const { inputShape, session } = options;
  const { bytes, content } = await wholeOnnx(source);
  const images = graphImages(content, where, inputShape);
  const start = input([...images.size, images.channels], { name: images.input });
  const shapes = await graphShapes(bytes, content, engine, start.shape);
  const results = resultsBeforeClassifier(content).flatMap((name): Layer[] => {
    const outputShape = mapShape(shapes?.get(name) ?? []);
    const config = { type: "Activation", activation: "linear" } as const;
    return outputShape === undefined ? [] : [{ name, config, inbound: [images.input], outputShape, weights: [] }];
  });
  if (results.length === 0) {
    const expected = "feature maps or vectors before a classifier";
    throw new FormatError({ where, what: "its graph has no known features", expected });
  }
  const own = network("graph", start);
  const resolved = resolvePreprocessing({ network: own }, options);
  const { preprocessing } = resolved;
  const load: LoadPart = (part) => {
    const wanted = part.outputs.map((name) => ({ name, ...resultOf(name, part) }));
    const graph = withOutputs(bytes, new Set(wanted.map(({ result }) => result)));
    const answersOf = (outputs: Tensors) =>
      Object.fromEntries(
        wanted.map(({ name, result, pooling }) => [name, featuresOf(outputs[result] as FloatTensor, pooling)]),
      );
    return createGraphSession(graph, engine, { images, preprocessing, where, session, answersOf });
  };
  const whole = { ...own, layers: [...own.layers, ...results], output: results.at(-1)!.name };
  return { ...resolved, network: whole, load };
}

/** Names of the results up to the input of the last layer with a matrix of weights; all if there is none. */
function resultsBeforeClassifier({ nodes, tensors }: OnnxContent): readonly string[] {
  const isDense = ({ operator, inputs }: (typeof nodes)[number]) =>
    (operator === "Gemm" || operator === "MatMul") && inputs.some((name) => tensors.has(name));
  const classifier = nodes.findLast(isDense);
  const names = nodes.flatMap(({ operator, outputs: [first] }) =>
    operator === "Constant" || first === undefined ? [] : [first],
  );
  const last = classifier?.inputs.find((name) => names.includes(name));
  return last === undefined ? names : names.slice(0, names.indexOf(last) + 1);
}

/** `[H, W, C]` of a result `[N, C, H, W]` or `[N, C]`. */
function mapShape([, channels, height = 1, width = 1, ...others]: OpenShape): Shape | undefined {
  const shape = [height, width, channels];
  return others.length === 0 && shape.every((size) => typeof size === "number" && size > 0)
    ? (shape as Shape)
    : undefined;
}

/** The result that an output of a part is computed from, and its pooling. */
function resultOf(output: string, { network: { layers } }: NetworkPart) {
  const { config, inbound } = layers.find(({ name }) => name === output)!;
  if (config.type === "GlobalAveragePooling2D") return { result: inbound[0]!, pooling: "avg" } as const;
  if (config.type === "GlobalMaxPooling2D") return { result: inbound[0]!, pooling: "max" } as const;
  return { result: output, pooling: undefined };
}

/** `[1, H, W, C]`, or `[1, C]` if pooled, of a result `[1, C, H, W]` or `[1, C]`. */
function featuresOf({ shape, data }: FloatTensor, pooling: "avg" | "max" | undefined): FloatTensor {
  const [, channels, height = 1, width = 1] = shape as [number, number, number?, number?];
  if (pooling === undefined) return transpose(floatTensor([1, channels, height, width], data), [0, 2, 3, 1]);
  const pixels = height * width;
  const pooled = Float32Array.from({ length: channels }, (_, channel) => {
    const values = data.subarray(channel * pixels, (channel + 1) * pixels);
    return pooling === "max"
      ? values.reduce((a, b) => Math.max(a, b), -Infinity)
      : values.reduce((sum, value) => sum + value, 0) / pixels;
  });
  return floatTensor([1, channels], pooled);
}

/** The graph with other outputs; the engine leaves out what they do not need. */
function withOutputs(bytes: Uint8Array, names: ReadonlySet<string>): Uint8Array {
  const file = decodeWhole(bytes);
  file.graph.output.splice(0, Infinity, ...[...names].map((name) => ({ name })));
  return encodeMessage(modelProto, file);
}
