import type { ByteScale, Value } from "../../graph/ops.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { OnnxEmitter } from "./emitter.ts";
import { elementTypeNumbers } from "./schema.ts";

/** Operands of a rule: the operator's, and their names in ONNX. */
interface Operands<C> {
  readonly emit: OnnxEmitter;
  readonly config: C;
  readonly inputs: readonly Value[];
  readonly x: readonly string[];
  readonly y: readonly string[];
}

/**
 * Rounding as bytes and int8 kernels are rounded, computed in float32, on any engine. It is not written as `QuantizeLinear` and
 * `DequantizeLinear`, which engines fuse with their neighbors into integer kernels.
 */
export const roundingRules = {
  fakeQuantize: ({ emit, config: { scale, zeroPoint }, x: [x], y: [y] }: Operands<ByteScale>): void => {
    const compute = emit.steps(y!);
    const steps = compute("whole", "Round", compute("steps", "Div", x!, emit.scalar(scale)));
    const kept = compute("kept", "Clip", steps, emit.scalar(-zeroPoint), emit.scalar(255 - zeroPoint));
    emit.node("Mul", [kept, emit.scalar(scale)], [y!]);
  },
  fakeQuantizeGradient: ({ emit, config, x: [dy, x], y: [dx] }: Operands<ByteScale>): void => {
    const compute = emit.steps(dx!);
    const isInside = compute("isInside", "Less", emitDistance(emit, config, x!, dx!), emit.scalar(128 * config.scale));
    const mask = emit.compute(`${dx}/mask`, "Cast", [isInside], { to: { i: elementTypeNumbers.float32 } });
    emit.node("Mul", [dy!, mask], [dx!]);
  },
  fakeQuantizeKernel: ({
    emit,
    config: { axes, largest },
    inputs: [w],
    x: [name],
    y: [y],
  }: Operands<{ readonly axes: readonly number[]; readonly largest: number }>): void => {
    const { shape } = w!;
    // The engine is slow where the last axis has size 1: kernels are viewed as a row for each filter, or as one row.
    const rows = shape.slice(0, axes[0]);
    const isRow = axes.length === shape.length - rows.length;
    const matrix = isRow ? emit.reshape(name!, [...rows, sizeOf(shape.slice(rows.length))]) : name!;
    const compute = emit.steps(y!);
    const magnitudes = compute("magnitudes", "Abs", matrix);
    const size = compute("size", "ReduceMax", magnitudes, emit.integers(isRow ? [rows.length] : axes));
    const scale = compute("scale", "Div", compute("positive", "Max", size, emit.scalar(1e-30)), emit.scalar(largest));
    const whole = compute("whole", "Round", compute("steps", "Div", matrix, scale));
    if (isRow) emit.node("Reshape", [compute("rounded", "Mul", whole, scale), emit.integers(shape)], [y!]);
    else emit.node("Mul", [whole, scale], [y!]);
  },
};

/**
 * Writes the distance of numbers from the middle of the range that bytes stand for. Up to 128 steps, half a step beyond the last
 * byte, they are rounded without being clipped.
 */
export function emitDistance(emit: OnnxEmitter, { scale, zeroPoint }: ByteScale, x: string, hint: string): string {
  const moved = emit.compute(`${hint}/moved`, "Sub", [x, emit.scalar((127.5 - zeroPoint) * scale)]);
  return emit.compute(`${hint}/distance`, "Abs", [moved]);
}
