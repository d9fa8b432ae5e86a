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

/** Whether so many channels can be brought into blocks: the engine converts them in groups of four. */
export function fitsBlocks(channels: number): boolean {
  return channels % 4 === 0;
}
