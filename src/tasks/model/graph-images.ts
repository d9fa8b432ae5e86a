import type { OnnxContent } from "../../compiler/onnx/reader.ts";
import { elementTypeNumbers } from "../../compiler/onnx/schema.ts";
import { FormatError, UsageError } from "../../errors.ts";
import { type Shape, sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";

/** Of images, in pixels. */
const largestSide = 8192;

/** How a graph of another tool is fed with images, and what it answers. */
export interface GraphImages {
  readonly input: string;
  /** Of the images. */
  readonly size: readonly [height: number, width: number];
  /** PyTorch has `[N, C, H, W]`, TensorFlow `[N, H, W, C]`. */
  readonly channelsFirst: boolean;
  /** The graph's first output. */
  readonly output: string;
  /** False where its last operator leaves numbers of any size: logits. */
  readonly givesProbabilities: boolean;
}

/**
 * Reads off a graph how it takes images.
 * @param given shape of the images `[H, W, 3]`, where the graph leaves it open.
 * @throws {FormatError} its input is not one RGB image of floats.
 * @throws {UsageError} its images have another size than the given one, or none is given.
 */
export function graphImages(content: OnnxContent, where: string, given?: Shape): GraphImages {
  const { inputs, outputs, shapes, elementTypes, tensors } = content;
  const [input = "", ...others] = inputs.filter((name) => !tensors.has(name));
  const axes = shapes.get(input) ?? [];
  const [count] = axes;
  const channelsFirst = axes[1] === 3;
  const isImage = axes.length === 4 && (channelsFirst || axes[3] === 3) && (count === 1 || typeof count === "string");
  if (others.length > 0 || !isImage) {
    throw new FormatError({
      where,
      what: "its graph is not fed with one RGB image",
      received: [input, ...others].map((name) => `${name} [${shapes.get(name)?.join(", ") ?? "any shape"}]`).join(", "),
      expected: "[1, 3, height, width] or [1, height, width, 3], or any number of them",
    });
  }
  const elementType = elementTypes.get(input);
  if (elementType !== elementTypeNumbers.float32) {
    throw new FormatError({
      where: `${where}, input "${input}"`,
      what: "it is not fed with floats",
      received: `element type ${elementType} of ONNX`,
      expected: `${elementTypeNumbers.float32}, float32`,
      remedy: "Export the model in single precision.",
    });
  }
  const [height, width] = channelsFirst ? [axes[2], axes[3]] : [axes[1], axes[2]];
  const size = sizeFrom([height!, width!], given, where);
  if (size.some((side) => side < 1 || side > largestSide)) {
    throw new FormatError({
      where: `${where}, input "${input}"`,
      what: "there are no images of this size",
      received: size.join("×"),
      expected: `height and width from 1 to ${largestSide}`,
    });
  }
  return {
    input,
    size,
    channelsFirst,
    output: outputs[0]!,
    givesProbabilities: endsInProbabilities(content),
  };
}

/** Bytes `[1, H, W, 3]` → what the graph is fed, each `pixel · scale + offset` rounded to float32 as in the engine. */
export function toGraphInput(
  { channelsFirst, size: [height, width] }: GraphImages,
  pixels: Uint8Array,
  { scale, offset }: { readonly scale: number | readonly number[]; readonly offset: number | readonly number[] },
): FloatTensor {
  const of = (value: number | readonly number[], channel: number) =>
    Math.fround(typeof value === "number" ? value : value[channel]!);
  const levels = [0, 1, 2].map((channel) =>
    Float32Array.from({ length: 256 }, (_, pixel) => Math.fround(pixel * of(scale, channel)) + of(offset, channel)),
  );
  const count = height * width;
  const data = new Float32Array(3 * count);
  for (let place = 0; place < count; place++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = levels[channel]![pixels[3 * place + channel]!]!;
      data[channelsFirst ? channel * count + place : 3 * place + channel] = value;
    }
  }
  return floatTensor(channelsFirst ? [1, 3, height, width] : [1, height, width, 3], data);
}

/** One probability for each class, of one image: of logits a softmax, of a single one a sigmoid. */
export function classScores(
  { output, givesProbabilities }: GraphImages,
  answer: FloatTensor,
  where: string,
): Float32Array {
  const { type, shape, data } = answer;
  const classes = shape.at(1) ?? 0;
  if (type !== "float32" || shape[0] !== 1 || classes < 1 || sizeOf(shape) !== classes) {
    throw new FormatError({
      where: `${where}, output "${output}"`,
      what: "its graph does not tell classes apart",
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
  given: Shape | undefined,
  where: string,
): readonly [height: number, width: number] {
  const [height, width] = stored.map((size, axis) => (typeof size === "number" ? size : given?.[axis]));
  if (height === undefined || width === undefined) {
    throw new UsageError({
      where,
      what: "its graph leaves the size of images open",
      received: stored.join("×"),
      remedy: "Say it: --input-shape HEIGHTxWIDTHx3.",
    });
  }
  if (given === undefined || (given[0] === height && given[1] === width && given[2] === 3)) return [height, width];
  throw new UsageError({
    where,
    what: "its graph reads images of another shape",
    received: given.join("x"),
    expected: `${height}x${width}x3`,
  });
}

/** Operators that change the shape or the type alone. */
const views: ReadonlySet<string> = new Set(["Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"]);

function endsInProbabilities({ nodes, outputs }: OnnxContent): boolean {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  let node = makers.get(outputs[0] ?? "");
  // A cycle would have been refused by the engine; here it must end all the same.
  for (let steps = 0; node !== undefined && views.has(node.operator) && steps < nodes.length; steps++) {
    node = makers.get(node.inputs[0] ?? "");
  }
  return node?.operator === "Softmax" || node?.operator === "Sigmoid";
}
