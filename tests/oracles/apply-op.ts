import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import type { OpConfig } from "../../src/graph/ops.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { evaluate } from "./interpreter.ts";
import type { NdArray } from "./nd-array.ts";

/** One operand: a shape and its numbers in row-major order. */
export type Operand = readonly [shape: Shape, values: readonly number[]];

/** What the interpreter makes of a single operator: all its outputs. */
export function applyOp(config: OpConfig, ...operands: readonly Operand[]): readonly NdArray[] {
  const build = new OpGraphBuilder();
  const inputs = operands.map(([shape], index) => build.input(`x${index}`, shape));
  const outputs = build.ops(config, inputs, []);
  const feeds = new Map(operands.map(([, values], index) => [`x${index}`, Float64Array.from(values)]));
  const values = evaluate(build.finish(), feeds);
  return outputs.map(({ name }) => values.get(name)!);
}
