import { FormatError, UsageError } from "../base/errors.ts";
import type { Engine, Session, SessionOptions, Tensors } from "../base/platform.ts";
import { encodeMessage } from "../base/protobuf-writer.ts";
import { imageInput } from "../compiler/lower.ts";
import { decodeWhole } from "../compiler/onnx/external-data.ts";
import type { OnnxContent } from "../compiler/onnx/reader.ts";
import { elementTypeNumbers, modelProto } from "../compiler/onnx/schema.ts";
import { type Preprocessing, scalePixels } from "../graph/preprocessing.ts";
import { type Shape, sizeOf } from "../tensor/shape.ts";
import { type FloatTensor, floatTensor, type Tensor, transpose } from "../tensor/tensor.ts";
import { namingFile, rejectedBy } from "./isolation.ts";
import { isolationOf } from "./network-isolation.ts";
import { stacked } from "./outputs.ts";

/** Largest side of an image, in pixels. */
const largestSide = 8192;

/** The inputs and outputs of an image classifier written by another tool. */
export interface GraphImages {
  readonly input: string;
  /** Size of its input images. */
  readonly size: readonly [height: number, width: number];
  /** PyTorch has `[N, C, H, W]`, TensorFlow `[N, H, W, C]`. */
  readonly channelsFirst: boolean;
  /** 3 for RGB, 1 for grayscale. */
  readonly channels: 1 | 3;
  /** The graph's first output. */
  readonly output: string;
  /** False if it ends in logits. */
  readonly givesProbabilities: boolean;
}

/**
 * Determines how a graph expects images.
 * @param given shape of the images `[H, W, 3]`, if the graph leaves it open.
 * @throws {FormatError} its input is not a float RGB image.
 * @throws {UsageError} its images have another size than the given one, or none is given.
 */
export function graphImages(content: OnnxContent, where: string, given?: Shape): GraphImages {
  const { inputs, outputs, shapes, elementTypes, tensors } = content;
  const [input = "", ...others] = inputs.filter((name) => !tensors.has(name));
  const axes = shapes.get(input) ?? [];
  const [count] = axes;
  const channels = ([3, 1] as const).find((each) => axes[1] === each || axes[3] === each);
  const channelsFirst = axes[1] === channels;
  const isImage = axes.length === 4 && (count === 1 || typeof count === "string");
  if (others.length > 0 || !isImage || channels === undefined) {
    throw new FormatError({
      where,
      what: "its graph does not take one image",
      received: [input, ...others].map((name) => `${name} [${shapes.get(name)?.join(", ") ?? "any shape"}]`).join(", "),
      expected: "[N, channels, height, width] or [N, height, width, channels] with 3 channels (RGB) or 1 (grayscale)",
    });
  }
  const elementType = elementTypes.get(input);
  if (elementType !== elementTypeNumbers.float32) {
    throw new FormatError({
      where: `${where}, input "${input}"`,
      what: "its element type is not supported",
      received: `element type ${elementType} of ONNX`,
      expected: `${elementTypeNumbers.float32}, float32`,
      remedy: "Export the model in single precision.",
    });
  }
  const [height, width] = channelsFirst ? [axes[2], axes[3]] : [axes[1], axes[2]];
  const size = sizeFrom([height!, width!], channels, given, where);
  if (size.some((side) => side < 1 || side > largestSide)) {
    throw new FormatError({
      where: `${where}, input "${input}"`,
      what: "unsupported image size",
      received: size.join("×"),
      expected: `height and width from 1 to ${largestSide}`,
    });
  }
  return {
    input,
    size,
    channelsFirst,
    channels,
    output: outputs[0]!,
    givesProbabilities: endsInProbabilities(content),
  };
}

/** Converts bytes `[1, H, W, 3]` to the graph's input, `pixel · scale + offset` rounded to float32 as in the engine. */
function toGraphInput(
  { channelsFirst, channels, size: [height, width] }: GraphImages,
  pixels: Uint8Array,
  preprocessing: Preprocessing,
): FloatTensor {
  const image = floatTensor([1, height, width, channels], scalePixels(pixels, channels, preprocessing));
  return channelsFirst ? transpose(image, [0, 3, 1, 2]) : image;
}

/** Returns one probability per class for one image: logits get a softmax, a single logit a sigmoid. */
export function probabilitiesOf(
  { output, givesProbabilities }: GraphImages,
  answer: FloatTensor,
  where: string,
): Float32Array {
  const { type, shape, data } = answer;
  const classes = shape.at(1) ?? 0;
  if (type !== "float32" || shape[0] !== 1 || classes < 1 || sizeOf(shape) !== classes) {
    throw new FormatError({
      where: `${where}, output "${output}"`,
      what: "its graph is not a classifier",
      received: `${type} [${shape.join(", ")}] for one image`,
      expected: "[1, classes]",
    });
  }
  if (givesProbabilities) return data;
  return classes === 1 ? Float32Array.of(1 / (1 + Math.exp(-data[0]!))) : softmax(data);
}

function softmax(logits: Float32Array): Float32Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return Float32Array.from(powers, (power) => power / sum);
}

function sizeFrom(
  stored: readonly (number | string)[],
  channels: number,
  given: Shape | undefined,
  where: string,
): readonly [height: number, width: number] {
  const [height, width] = stored.map((size, axis) => (typeof size === "number" ? size : given?.[axis]));
  if (height === undefined || width === undefined) {
    throw new UsageError({
      where,
      what: "its graph does not fix the image size",
      received: stored.join("×"),
      remedy: `Set it with --input-shape HEIGHTxWIDTHx${channels}.`,
    });
  }
  if (given === undefined || (given[0] === height && given[1] === width && given[2] === channels))
    return [height, width];
  throw new UsageError({
    where,
    what: "its graph takes images of another shape",
    received: given.join("x"),
    expected: `${height}x${width}x${channels}`,
  });
}

/** Operators that change only the shape or the type. */
const views: ReadonlySet<string> = new Set(["Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"]);

function endsInProbabilities({ nodes, outputs }: OnnxContent): boolean {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  let node = makers.get(outputs[0] ?? "");
  // The engine would have rejected a cycle; here it must end nevertheless.
  for (let steps = 0; node !== undefined && views.has(node.operator) && steps < nodes.length; steps++) {
    node = makers.get(node.inputs[0] ?? "");
  }
  return node?.operator === "Softmax" || node?.operator === "Sigmoid";
}

interface GraphSessionOptions {
  readonly images: GraphImages;
  readonly preprocessing: Preprocessing;
  /** Name of the file in errors. */
  readonly where: string;
  readonly session?: SessionOptions | undefined;
  /** Turns the graph's outputs for one image into those of the session. Default: the probabilities. */
  readonly answersOf?: (outputs: Tensors) => Readonly<Record<string, FloatTensor>>;
}

/**
 * Loads a graph of another tool, unchanged, into a session with the same inputs as our own networks: bytes `images`
 * `[N, height, width, 3]` of the graph's size. It scales them, and turns logits into probabilities.
 * @throws {RuntimeUnavailableError} the engine is not available, or rejects the graph.
 */
export async function createGraphSession(
  graph: Uint8Array,
  engine: Engine,
  { images, preprocessing, where, session, answersOf }: GraphSessionOptions,
): Promise<Session> {
  const isolation = isolationOf(graph, where, images.size);
  const compileFor = async () => graph;
  const network = await engine.createSession(graph, { ...session, isolation, compileFor }).catch(namingFile(where));
  const scoresOf = ({ [images.output]: answer }: Tensors) => {
    const scores = probabilitiesOf(images, answer as FloatTensor, where);
    return { [images.output]: floatTensor([1, scores.length], scores) };
  };
  return {
    get report() {
      return network.report;
    },
    // One image at a time: many exporters fix the batch at 1.
    run: async ({ [imageInput]: batch }, run) => {
      const { shape, data } = batch as Tensor<"uint8">;
      const bytes = data.length / shape[0]!;
      const rows: Readonly<Record<string, FloatTensor>>[] = [];
      for (let start = 0; start < data.length; start += bytes) {
        const input = toGraphInput(images, data.subarray(start, start + bytes), preprocessing);
        const outputs = await network.run({ [images.input]: input }, run).catch(rejectedBy(where));
        rows.push((answersOf ?? scoresOf)(outputs));
      }
      return stacked(rows);
    },
    endProfiling: () => network.endProfiling(),
    dispose: () => network.dispose(),
  };
}

/** Axes of a result; a string names an axis of any size. */
export type OpenShape = readonly (number | string)[];

/**
 * Infers the shapes of all results of a graph of another tool: the engine loads it with every result as an output and
 * reports them without a run. Undefined if it cannot load the graph.
 * @param graph its bytes.
 * @param inputShape shape of the images `[H, W, C]`, if the graph leaves it open.
 */
export async function graphShapes(
  graph: Uint8Array,
  content: OnnxContent,
  engine: Engine,
  inputShape?: Shape,
): Promise<ReadonlyMap<string, OpenShape> | undefined> {
  try {
    const whole = withAllOutputs(graph, content, inputShape);
    const session = await engine.createSession(whole, { optimize: false, isolation: isolationOf(whole, "graph") });
    const { outputShapes } = session;
    await session.dispose();
    return outputShapes;
  } catch {
    // The graph can still be described without them.
    return undefined;
  }
}

function withAllOutputs(graph: Uint8Array, content: OnnxContent, inputShape: Shape | undefined): Uint8Array {
  const { nodes, outputs, tensors, shapes } = content;
  const known = new Set([...outputs, ...tensors.keys(), ""]);
  const names = nodes.flatMap((node) => (node.operator === "Constant" ? [] : node.outputs));
  const file = decodeWhole(graph);
  file.graph.output.push(...names.filter((name) => !known.has(name)).map((name) => ({ name })));
  for (const { name, type } of file.graph.input) {
    const sizes = inputShape && oneImage(shapes.get(name) ?? [], inputShape);
    if (sizes && !tensors.has(name)) type.tensor_type.shape.dim = sizes.map((size) => ({ dim_value: size }));
  }
  return encodeMessage(modelProto, file);
}

/** Fills in the open axes of an input's shape: one image of the given size. */
function oneImage(axes: OpenShape, [height, width, channels]: Shape): Shape | undefined {
  const isChannelsFirst = axes[1] === channels;
  const given = isChannelsFirst ? [1, channels, height, width] : [1, height, width, channels];
  const shape = axes.map((axis, index) => (typeof axis === "number" ? axis : given[index]));
  return shape.every((size) => size !== undefined) ? shape : undefined;
}
