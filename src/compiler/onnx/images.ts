import { encodeMessage } from "../../base/protobuf-writer.ts";
import type { Value } from "../../graph/ops.ts";
import { cropStart, type ImageResize, scaledSize } from "../../graph/preprocessing.ts";
import type { OnnxEmitter } from "./emitter.ts";
import { decodeWhole, type OpenOnnx } from "./external-data.ts";
import { elementTypeNumbers, modelProto } from "./schema.ts";

type Size = readonly [height: number, width: number];

/** Name of the resized images. */
const sizedName = (images: string) => `${images}/sized`;

/**
 * Resizes bytes `[N, H, W, 3]` of any H and W to those of the graph's input, `[N, height, width, 3]`. Everything is computed
 * in integers, so that every CPU gives the same bytes: sizes and positions in int64, pixels by the engine's `Resize` of
 * bytes, which interpolates in fixed point as Pillow does.
 * @returns the name of the resized images.
 */
export function emitImageResize(emit: OnnxEmitter, { name: images, shape }: Value, resize: ImageResize): string {
  const { fit, cropRatio = 1 } = resize;
  const size: Size = [shape[1]!, shape[2]!];
  const whole = scaledSize(size, cropRatio);
  const emitter = new ImageEmitter(emit, images, resize);
  let sized: string;
  if (fit === "cover") sized = emitter.cropDynamically(emitter.resized(emitter.coveringSize(whole)), size);
  else if (fit === "contain") sized = emitter.cropped(emitter.centeredOn(whole), whole, size);
  else sized = emitter.cropped(emitter.resized(emit.integers(whole)), whole, size);
  return emit.compute(sizedName(images), "Reshape", [sized, emit.integers([-1, ...size, 3])]);
}

/**
 * Removes the nodes of `emitImageResize` from a file: its input `images` becomes bytes `[N, height, width, 3]` of the
 * network's size, so that images of several sizes can be resized before they are batched. Any other file stays the same.
 */
export function withoutImageResize(bytes: Uint8Array, images: string, size: Size): Uint8Array {
  const file = decodeWhole(bytes);
  return removeImageResize(file, images, size) ? encodeMessage(modelProto, file) : bytes;
}

/** As {@link withoutImageResize}, in a decoded file; returns whether there was anything to remove. */
export function removeImageResize({ graph }: OpenOnnx, images: string, [height, width]: Size): boolean {
  const sized = sizedName(images);
  const input = graph.input.find(({ name }) => name === images);
  if (input === undefined || !graph.node.some(({ output }) => output.includes(sized))) return false;
  graph.node = graph.node.filter(({ output }) => !output.every((name) => name.startsWith(`${images}/`)));
  for (const node of graph.node) node.input = node.input.map((name) => (name === sized ? images : name));
  const read = new Set(graph.node.flatMap((node) => node.input));
  graph.initializer = graph.initializer.filter(({ name }) => read.has(name));
  const [count] = input.type.tensor_type.shape.dim;
  input.type.tensor_type.shape.dim = [count!, ...[height, width, 3].map((size) => ({ dim_value: size }))];
  return true;
}

class ImageEmitter {
  readonly #emit: OnnxEmitter;
  readonly #images: string;
  readonly #resize: ImageResize;
  /** Name of the images' size, `[H, W]`. */
  readonly #shape: string;

  constructor(emit: OnnxEmitter, images: string, resize: ImageResize) {
    this.#emit = emit;
    this.#images = images;
    this.#resize = resize;
    this.#shape = this.#compute("shape", "Shape", [images], { start: { i: 1 }, end: { i: 3 } });
  }

  /** The smallest size with the image's proportions that covers `whole`, rounded down: max(whole, H·w/W, W·h/H). */
  coveringSize(whole: Size): string {
    const { product, turned } = this.#proportions(whole);
    const other = this.#compute("other", "Div", [product, turned]);
    return this.#compute("sizes", "Max", [this.#emit.integers(whole), other]);
  }

  /** Fits the image into `whole`, and fills the rest with the background. */
  centeredOn(whole: Size): string {
    const { product, turned } = this.#proportions(whole);
    const two = this.#emit.integers([2]);
    const doubled = this.#compute("doubled", "Mul", [product, two]);
    const rounded = this.#compute("rounded", "Add", [doubled, turned]);
    const other = this.#compute("other", "Div", [rounded, this.#compute("twice", "Mul", [turned, two])]);
    const smaller = this.#compute("smaller", "Min", [this.#emit.integers(whole), other]);
    const sizes = this.#compute("sizes", "Max", [this.#emit.integers([1]), smaller]);

    const room = this.#compute("room", "Sub", [this.#emit.integers(whole), sizes]);
    const before = this.#compute("before", "Div", [room, two]);
    const after = this.#compute("after", "Sub", [room, before]);
    const strip = (amounts: string, axis: 0 | 1): string => {
      const amount = this.#compute("amount", "Gather", [amounts, this.#emit.integers([axis])]);
      const columns = this.#compute("columns", "Gather", [sizes, this.#emit.integers([1])]);
      const rest = axis === 0 ? [amount, columns] : [this.#emit.integers([whole[0]]), amount];
      const count = this.#compute("count", "Shape", [this.#images], { start: { i: 0 }, end: { i: 1 } });
      const shape = this.#compute("strip shape", "Concat", [count, ...rest, this.#emit.integers([3])], axisOf(0));
      return this.#compute("strip", "Expand", [this.#emit.bytes([1, 1, 1, 3], this.#resize.background), shape]);
    };
    const rows = [strip(before, 0), this.resized(sizes), strip(after, 0)];
    const column = this.#compute("column", "Concat", rows, axisOf(1));
    return this.#compute("canvas", "Concat", [strip(before, 1), column, strip(after, 1)], axisOf(2));
  }

  /** @param sizes name of `[height, width]`. */
  resized(sizes: string): string {
    const { interpolation } = this.#resize;
    if (interpolation === "nearest") return this.#nearest(this.#nearest(this.#images, sizes, 0), sizes, 1);
    const isCubic = interpolation === "bicubic";
    return this.#compute("resized", "Resize", [this.#images, "", "", sizes], {
      axes: { ints: [1, 2] },
      mode: { s: isCubic ? "cubic" : "linear" },
      coordinate_transformation_mode: { s: "half_pixel" },
      antialias: { i: 1 },
      // Weights beyond the border are dropped, and the others normalized.
      exclude_outside: { i: 1 },
      ...(isCubic && { cubic_coeff_a: { f: -0.5 } }),
    });
  }

  /** Crops at the center, from a size known in advance. */
  cropped(image: string, from: Size, to: Size): string {
    if (from[0] === to[0] && from[1] === to[1]) return image;
    const starts = from.map((each, axis) => cropStart(each - to[axis]!));
    const ends = starts.map((each, axis) => each + to[axis]!);
    return this.#slice(image, this.#emit.integers(starts), this.#emit.integers(ends));
  }

  /** Crops at the center, from the actual size, by the rule of `cropStart`. */
  cropDynamically(image: string, to: Size): string {
    const two = this.#emit.integers([2]);
    const size = this.#compute("size", "Shape", [image], { start: { i: 1 }, end: { i: 3 } });
    const overhang = this.#compute("overhang", "Sub", [size, this.#emit.integers(to)]);
    const odd = this.#compute("odd", "Mod", [this.#compute("half", "Div", [overhang, two]), two]);
    const starts = this.#compute("starts", "Div", [this.#compute("even", "Add", [overhang, odd]), two]);
    return this.#slice(image, starts, this.#compute("ends", "Add", [starts, this.#emit.integers(to)]));
  }

  #slice(image: string, starts: string, ends: string): string {
    return this.#compute("cropped", "Slice", [image, starts, ends, this.#emit.integers([1, 2])]);
  }

  /** `[H·w, W·h]` and `[W, H]`; their quotients are the sizes along the other axis that keep the image's proportions. */
  #proportions([height, width]: Size): { product: string; turned: string } {
    const product = this.#compute("product", "Mul", [this.#shape, this.#emit.integers([width, height])]);
    return { product, turned: this.#compute("turned", "Gather", [this.#shape, this.#emit.integers([1, 0])]) };
  }

  /**
   * Along one axis: pixel x of `count` is pixel ⌊(x + 1/2)·length/count⌋. Rounding matters where this is an integer; as in
   * Pillow, the step is added up in float64, starting with half of it.
   */
  #nearest(image: string, sizes: string, axis: 0 | 1): string {
    const int64 = (values: readonly number[]) => this.#emit.integers(values);
    const [count, length] = [sizes, this.#shape].map((from) =>
      this.#compute("length", "Gather", [from, int64([axis])]),
    ) as [string, string];
    const double = { to: { i: elementTypeNumbers.float64 } };
    const [count64, length64, two] = [count, length, int64([2])].map((each) =>
      this.#compute("double", "Cast", [each], double),
    );
    const step = this.#compute("step", "Div", [length64!, count64!]);
    const rest = this.#compute("rest", "Expand", [step, this.#compute("others", "Sub", [count, int64([1])])]);
    const steps = this.#compute("steps", "Concat", [this.#compute("first", "Div", [step, two!]), rest], axisOf(0));
    const places = this.#compute("places", "CumSum", [steps, int64([0])]);
    const indices = this.#compute("indices", "Cast", [places], { to: { i: elementTypeNumbers.int64 } });
    return this.#compute("nearest", "Gather", [image, indices], axisOf(axis + 1));
  }

  #compute(hint: string, operator: string, inputs: readonly string[], attributes = {}): string {
    return this.#emit.compute(`${this.#images}/${hint}`, operator, inputs, attributes);
  }
}

function axisOf(axis: number) {
  return { axis: { i: axis } };
}
