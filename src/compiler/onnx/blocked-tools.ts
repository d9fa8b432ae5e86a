import type { Operation, OpKind, OpOf, Value } from "../../graph/ops.ts";
import type { BlockedKernels } from "./blocked-kernels.ts";
import type { Attributes, OnnxEmitter } from "./emitter.ts";
import type { ValueForms } from "./forms.ts";

/** What the rules of this layout work with. */
export interface BlockedTools {
  readonly emit: OnnxEmitter;
  readonly block: number;
  readonly forms: ValueForms;
  readonly kernels: BlockedKernels;
  readonly nameOf: (value: Value) => string;
  /** Operators that read a value. */
  readonly readers: (value: Value) => readonly Operation[];
  /** The value is an output of the graph. */
  readonly isPublished: (value: Value) => boolean;
  /** Operators that the rule of another one has computed along with its own. */
  readonly absorbed: Set<Operation>;
  /**
   * What the gradient of a max pooling needs to find the maxima, by the name of the pooling's output: the result of its
   * first half if it is a halving one, else flat positions in the form `channels`.
   */
  readonly maxima: Map<string, string>;
  /** Values with zeros inserted that have an even number of rows and columns still, by name; only an addition reads them. */
  readonly uncropped: Map<string, string>;
  /** Gradients that exist only with a column of zeros on either side of each image, in channel blocks, by name. */
  readonly padded: Map<string, string>;
  /** Gradients that a pooling has spread, by their names: the gradient it got, which has the same sum in each channel. */
  readonly spread: Map<string, Value>;
  /**
   * Factors `[C']` that are still missing from gradients which exist in blocks, by the value's name; only operators that
   * put them in read such a value.
   */
  readonly factors: Map<string, string>;
  /** Writes a convolution on blocks; an operand `""` at the end is left out. */
  readonly conv: (operands: readonly string[], y: string, attributes: Attributes) => void;
}

/** Writes an operator on blocks; false if it has to be written channels first. */
export type BlockedRule<K extends OpKind> = (tools: BlockedTools, config: OpOf<K>, operation: Operation) => boolean;
export type BlockedRules = { readonly [K in OpKind]?: BlockedRule<K> };

/** Returns whether this many channels can be brought into blocks: the engine converts them in groups of four. */
export function fitsBlocks(channels: number): boolean {
  return channels % 4 === 0;
}

type Shape4 = readonly [number, number, number, number];

/**
 * Pixels of the small image at even rows and columns of the large one, zeros elsewhere. First the large one is of even
 * size; what is too much goes where it is added to another value, or in a pass of its own.
 */
export function emitInsertZeros(tools: BlockedTools, name: string, small: Value, large: Value): void {
  const { emit, forms, block, isPublished, readers, uncropped } = tools;
  const [batch, , rows, columns] = small.shape as Shape4;
  const [, channels, largeRows, largeColumns] = large.shape as Shape4;
  const lanes = forms.lanes(channels);
  const planes = (batch * lanes) / block;
  const view = emit.reshape(name, [planes, rows, 1, columns, block]);
  const amounts = emit.integers([0, 0, 0, 0, 0, 0, 0, 1, 0, block]);
  const even = emit.compute(`${large.name}/spread`, "Pad", [view, amounts]);
  const [reader, ...others] = readers(large);
  const isSum = reader?.config.kind === "add" && reader.inputs.every(({ name }) => !uncropped.has(name));
  if (isSum && others.length === 0 && !isPublished(large)) {
    uncropped.set(large.name, even);
    return;
  }
  const pixels = emit.reshape(even, [planes, 2 * rows, 2 * columns, block]);
  const bounds = [
    [0, 0],
    [largeRows, largeColumns],
    [1, 2],
  ].map((each) => emit.integers(each));
  const cropped = emit.compute(`${large.name}/cropped`, "Slice", [pixels, ...bounds]);
  const shape = emit.integers([1, lanes, batch * largeRows, largeColumns]);
  emit.node("Reshape", [cropped, shape], [forms.define(large, "channelBlocks")]);
}

/** The sum of a value and of one that is not cropped yet, in one pass; false if neither is such a one. */
export function emitSumWithZeros(tools: BlockedTools, { inputs, outputs: [sum] }: Operation): boolean {
  const { emit, forms, block, conv, uncropped } = tools;
  const spread = inputs.find(({ name }) => uncropped.has(name));
  const other = inputs.find((value) => value !== spread);
  if (!spread || !other) return false;
  const [batch, channels, rows, columns] = spread.shape as Shape4;
  const lanes = forms.lanes(channels);
  const planes = batch * lanes;
  const margin = [rows % 2, columns % 2] as const;
  const even = emit.reshape(uncropped.get(spread.name)!, [1, planes, rows + margin[0], columns + margin[1]]);
  // A kernel that is as much larger than one pixel as the image is too large, and sees its first pixel only.
  const size = (1 + margin[0]) * (1 + margin[1]);
  const first = Float32Array.from({ length: planes * size }, (_, index) => Number(index % (size * block) < block));
  const kernel = emit.unusedName("first");
  emit.floats(kernel, [planes, 1, 1 + margin[0], 1 + margin[1]], first);
  const source = emit.reshape(forms.get(other, "channelBlocks"), [1, planes, rows, columns]);
  const result = emit.unusedName(`${sum!.name}/planes`);
  conv([even, kernel, "", source], result, { group: { i: planes } });
  const shape = emit.integers([1, lanes, batch * rows, columns]);
  emit.node("Reshape", [result, shape], [forms.define(sum!, "channelBlocks")]);
  return true;
}
