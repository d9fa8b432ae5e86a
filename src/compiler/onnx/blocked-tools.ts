import { type Operation, type OpGraph, type OpKind, type OpOf, readersOf, type Value } from "../../graph/ops.ts";
import { BlockedKernels } from "./blocked-kernels.ts";
import { type Attributes, domains, type OnnxEmitter } from "./emitter.ts";
import { type BlockOrder, ValueForms } from "./forms.ts";

/** A batch of feature maps, `[N, C, H, W]`, or a kernel, `[K, C, kh, kw]`. */
export type Shape4 = readonly [number, number, number, number];

/** Tools and shared state of the rules of this layout. */
export class BlockedTools {
  readonly emit: OnnxEmitter;
  readonly block: number;
  readonly forms: ValueForms;
  readonly kernels: BlockedKernels;
  readonly nameOf: (value: Value) => string;
  /** Operators already computed by the rule of another operator. */
  readonly absorbed = new Set<Operation>();
  /**
   * Operands for the gradient of a max pooling to find the maxima, by the name of the pooling's output: the result of its
   * first half if it is a halving one, else flat positions in the form `channels`.
   */
  readonly maxima = new Map<string, string>();
  /** Values with inserted zeros that still have excess rows or columns, by name; only an addition reads them. */
  readonly uncropped = new Map<string, string>();
  /** Gradients that exist only with a column of zeros on either side of each image, in channel blocks, by name. */
  readonly padded = new Map<string, string>();
  /** By the name of a pooling's input gradient: its output gradient, which has the same sum in each channel. */
  readonly spread = new Map<string, Value>();
  /**
   * Factors `[C']` that are still missing from gradients in blocks, by the value's name; only operators that apply them
   * read such a value.
   */
  readonly factors = new Map<string, string>();
  readonly #readers: ReadonlyMap<string, readonly Operation[]>;
  readonly #published: ReadonlySet<Value>;

  constructor(emit: OnnxEmitter, graph: OpGraph, block: number, nameOf: (value: Value) => string) {
    this.emit = emit;
    this.block = block;
    this.nameOf = nameOf;
    this.forms = new ValueForms(emit, block, nameOf);
    this.kernels = new BlockedKernels(emit, block);
    this.#readers = readersOf(graph);
    this.#published = new Set(graph.outputs.values());
  }

  /** Operators that read a value. */
  readers({ name }: Value): readonly Operation[] {
    return this.#readers.get(name) ?? [];
  }

  /** Returns whether the value is an output of the graph. */
  isPublished(value: Value): boolean {
    return this.#published.has(value);
  }

  /** Writes a convolution on blocks; an operand `""` at the end is left out. */
  conv(operands: readonly string[], y: string, attributes: Attributes): void {
    const last = operands.findLastIndex((name) => name !== "");
    this.emit.node("Conv", operands.slice(0, last + 1), [y], attributes, domains.blocked);
  }

  /** ONNX name of a value, channels first; converts it if it exists in blocks only. */
  plain(value: Value): string {
    return this.forms.get(value, "plain");
  }

  /** ONNX name of a vector of one number per channel, with zeros at the end: `[C']`. */
  vector(value: Value): string {
    return this.kernels.vector(this.plain(value), value.shape[0]!);
  }

  /** Every plane of a batch, one channel of one image, as a channel of a single image: `[1, C'·N, H, W]`. */
  planes(value: Value, order: BlockOrder = "channelBlocks"): string {
    const [batch, channels, height, width] = value.shape as Shape4;
    return this.emit.reshape(this.forms.get(value, order), [1, batch * this.forms.lanes(channels), height, width]);
  }

  /** The inverse of `planes`, for a value just computed. */
  definePlanes(value: Value, planes: string, order: BlockOrder = "channelBlocks"): void {
    const [batch, channels, height, width] = value.shape as Shape4;
    const lanes = this.forms.lanes(channels);
    const shape = order === "blocks" ? [batch, lanes, height, width] : [1, lanes, batch * height, width];
    this.emit.node("Reshape", [planes, this.emit.integers(shape)], [this.forms.define(value, order)]);
  }
}

/** Writes an operator on blocks; false if it has to be written channels first. */
export type BlockedRule<K extends OpKind> = (tools: BlockedTools, config: OpOf<K>, operation: Operation) => boolean;
export type BlockedRules = { readonly [K in OpKind]?: BlockedRule<K> };

/** Returns whether this many channels can be brought into blocks: the engine converts them in groups of four. */
export function fitsBlocks(channels: number): boolean {
  return channels % 4 === 0;
}

/**
 * Puts the pixels of the small image at even rows and columns of the large one, with zeros elsewhere. The result has an even
 * size first; excess rows and columns are cropped by the addition that reads it, or in a separate pass.
 */
export function emitInsertZeros(tools: BlockedTools, name: string, small: Value, large: Value): void {
  const { emit, forms, block, uncropped } = tools;
  const [batch, , rows, columns] = small.shape as Shape4;
  const [, channels, largeRows, largeColumns] = large.shape as Shape4;
  const lanes = forms.lanes(channels);
  const planes = (batch * lanes) / block;
  const view = emit.reshape(name, [planes, rows, 1, columns, block]);
  const amounts = emit.integers([0, 0, 0, 0, 0, 0, 0, 1, 0, block]);
  const even = emit.compute(`${large.name}/spread`, "Pad", [view, amounts]);
  const [reader, ...others] = tools.readers(large);
  const isSum = reader?.config.kind === "add" && reader.inputs.every(({ name }) => !uncropped.has(name));
  if (isSum && others.length === 0 && !tools.isPublished(large)) {
    uncropped.set(large.name, even);
    return;
  }
  const pixels = emit.reshape(even, [planes, 2 * rows, 2 * columns, block]);
  const bounds = emit.bounds([0, 0], [largeRows, largeColumns], [1, 2]);
  tools.definePlanes(large, emit.compute(`${large.name}/cropped`, "Slice", [pixels, ...bounds]));
}

/** Adds a value and an uncropped one in one pass; false if neither is uncropped. */
export function emitSumWithZeros(tools: BlockedTools, { inputs, outputs: [sum] }: Operation): boolean {
  const { emit, forms, block, uncropped } = tools;
  const spread = inputs.find(({ name }) => uncropped.has(name));
  const other = inputs.find((value) => value !== spread);
  if (!spread || !other) return false;
  const [batch, channels, rows, columns] = spread.shape as Shape4;
  const planes = batch * forms.lanes(channels);
  const margin = [rows % 2, columns % 2] as const;
  const even = emit.reshape(uncropped.get(spread.name)!, [1, planes, rows + margin[0], columns + margin[1]]);
  // The kernel exceeds one pixel by the image's excess, and reads only its first pixel.
  const size = (1 + margin[0]) * (1 + margin[1]);
  const first = Float32Array.from({ length: planes * size }, (_, index) => Number(index % (size * block) < block));
  const kernel = emit.unusedName("first");
  emit.floats(kernel, [planes, 1, 1 + margin[0], 1 + margin[1]], first);
  const source = tools.planes(other);
  const result = emit.unusedName(`${sum!.name}/planes`);
  tools.conv([even, kernel, "", source], result, { group: { i: planes } });
  tools.definePlanes(sum!, result);
  return true;
}
